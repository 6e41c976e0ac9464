"""Waiting for the event loop in synchronous code that an asynchronous engine runs inside a greenlet.

The two functions of SQLAlchemy that this takes are not in its documentation of asyncio, so they are named here alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.util import concurrency as _sqlalchemy

__all__ = ["awaited", "begin", "ended", "give_back", "in_greenlet", "through"]

P = ParamSpec("P")
T = TypeVar("T")

# SQLAlchemy 2.1 renamed it.
_await: Callable[[Awaitable[Any]], Any] = getattr(_sqlalchemy, "await_", None) or _sqlalchemy.await_only


def awaited(awaitable: Awaitable[T]) -> T:
    """Wait for something of the event loop, inside a greenlet."""
    result: T = _await(awaitable)
    return result


async def in_greenlet(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run synchronous code in a greenlet: there it may call :func:`awaited`, and asyncio's drivers."""
    return await _sqlalchemy.greenlet_spawn(partial(function, *args, **kwargs))


async def through(work: Coroutine[Any, Any, T]) -> T:
    """Await something that must come to its end, even where the caller is cancelled meanwhile."""
    task = begin(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await ended(task)
        raise


def begin(work: Coroutine[Any, Any, T], **how: Any) -> "asyncio.Task[T]":
    """Return a task of ``work`` that begins even where it is cancelled before: it meets that in its first wait.

    Who ends an event loop cancels all its tasks; those that wait for this one would wait for ever.
    """
    return asyncio.get_running_loop().create_task(_Begins(work), **how)


class _Begins(Coroutine[Any, Any, T]):
    """A coroutine that cannot be thrown out before it has begun."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._begun = False

    def send(self, value: Any) -> Any:
        self._begun = True
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        if not self._begun:
            self.send(None)
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work.__await__()


async def ended(task: "asyncio.Task[Any]") -> None:
    """Wait until a task has ended, however often the caller is cancelled; what it raised has been seen."""
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


def give_back(connection: Connection) -> None:
    """Give a connection back to its pool.

    Of an asyncio driver, even where the caller is cancelled meanwhile: the pool would lose its place, because what it
    does with a connection that comes back (setting the isolation level again) waits for the server.
    """
    if connection.dialect.is_async:
        awaited(through(in_greenlet(connection.close)))
    else:
        connection.close()
