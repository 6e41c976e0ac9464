"""Subscriptions of an AsyncEngine: their handlers are coroutine functions, and work on an AsyncConnection."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

from kfstate.aio.greenlets import inside
from kfstate.feed import Event, Handler, Subscription
from kfstate.queries.entries import EntryView
from kfstate.queries.views import StepView
from kfstate.store.greenlets import awaited

if TYPE_CHECKING:  # needs an extra
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["AsyncEvent", "AsyncHandler", "AsyncSubscription", "called"]


@attrs.frozen
class AsyncEvent:
    """As :class:`kfstate.Event`, with a connection that is awaited."""

    entry: EntryView
    steps: tuple[StepView, ...] = ()
    revised: tuple[StepView, ...] = ()
    connection: "AsyncConnection | None" = None

    @property
    def position(self) -> int:
        """The position of the entry."""
        return self.entry.position


AsyncHandler = Callable[[AsyncEvent], Awaitable[object]]
"""A coroutine function that is called for each entry."""


class AsyncSubscription:
    """As :class:`kfstate.Subscription`; made by :meth:`kfstate.AsyncEngine.subscribe`."""

    def __init__(self, subscription: Subscription) -> None:
        """Run this one."""
        self._subscription = subscription
        self.name = subscription.name

    @property
    def error(self) -> Exception | None:
        """What ended it when it ran beside, if anything did."""
        return self._subscription.error

    async def __aenter__(self) -> Self:
        """Start it beside."""
        await self.start()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Stop it."""
        await self.stop()

    async def run(self, *, until_idle: bool = False) -> None:
        """As :meth:`kfstate.Subscription.run`; cancelled, it gives the subscription back."""
        await inside(self._subscription.run, until_idle=until_idle)

    async def start(self) -> None:
        """As :meth:`kfstate.Subscription.start`: as a task beside the caller's."""
        await inside(self._subscription.start)

    async def stop(self) -> None:
        """As :meth:`kfstate.Subscription.stop`."""
        await inside(self._subscription.stop)

    def halt(self) -> None:
        """As :meth:`kfstate.Subscription.halt`: nothing to await, so that a signal handler of the loop may call it."""
        self._subscription.halt()

    async def end(self) -> None:
        """As :meth:`kfstate.Subscription.end`."""
        await inside(self._subscription.end)


def called(handler: AsyncHandler) -> Handler:
    """Return what calls an asynchronous handler from inside a greenlet."""

    def call(event: Event) -> None:
        awaited(_handle(handler, AsyncEvent(event.entry, event.steps, event.revised, _asynchronous(event))))

    return call


async def _handle(handler: AsyncHandler, event: AsyncEvent) -> None:
    try:
        await handler(event)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        message = "the handler awaited something that was cancelled"  # of which the subscription must not end
        raise RuntimeError(message) from error


def _asynchronous(event: Event) -> "AsyncConnection | None":
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine  # noqa: PLC0415 (needs an extra)

    conn = event.connection
    return None if conn is None else AsyncConnection(AsyncEngine(conn.engine), conn)
