"""What the rules stand on: engines of either colour on empty databases, and threads that run at once."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from kfstate.clock import Clock
from kfstate.engine import Engine
from kfstate.testing.builders import Element, customer_message, session_status_change
from kfstate.testing.clock import FrozenClock
from kfstate.testing.own import own_action

__all__ = ["KF", "NOW", "USER", "Base", "Blocking", "action", "refused", "said", "taken"]

NOW = 1_767_225_600
"""Seconds: when the clocks of the rules begin, 2026-01-01 UTC."""
KF, USER = "wkA", "wm1"
T = TypeVar("T")
E = TypeVar("E", bound=Exception)


def said(second: int, *, user: str = USER, account: str = KF, **more: Any) -> Element:
    """The customer writes, this many seconds after the beginning."""
    return customer_message(account, user, NOW + second, **more)


def taken(second: int, by: str, *, user: str = USER) -> Element:
    """A servicer takes the customer from the pool."""
    return session_status_change(1, KF, user, NOW + second, new=by)


def action(second: float, *, user: str = USER, key: str | None = None) -> Element:
    """Return an own entry that moves nothing."""
    made = own_action(KF, user, NOW + second, via="recall_msg", actor="contract")
    return made if key is None else {**made, "key": key}


def refused(error: type[E], call: Callable[[], object]) -> E:
    """Make a call that must fail with this error, and return the error."""
    try:
        found = call()
    except error as caught:
        return caught
    raise AssertionError(f"no {error.__name__}, but {found!r}")


class Base:
    """Opens engines. A rule opens its own, so that it starts from an empty database."""

    asynchronous = False
    """Run the rules through :class:`kfstate.AsyncEngine`."""

    def new_database(self) -> str:
        """Return the URL of an empty database, another one with each call."""
        raise NotImplementedError

    @contextmanager
    def open(self, url: str | None = None, *, clock: Clock | None = None) -> Iterator[Engine]:
        """Open an engine, by default on an empty database."""
        url = self.new_database() if url is None else url
        clock = FrozenClock.at(NOW) if clock is None else clock
        if self.asynchronous:
            with _awaited(url, clock) as made:
                yield made
        else:
            with Engine(url, clock=clock) as made:
                yield made

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Make calls at once, each in a thread that waits for the others to be there; return what they gave."""
        ready = threading.Barrier(len(calls))

        def run(call: Callable[[], T]) -> T:
            ready.wait(60)
            return call()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(run, calls))


class Blocking:
    """Something awaitable behind a blocking face: each call is a task on an event loop that runs in another thread."""

    def __init__(self, subject: object, loop: asyncio.AbstractEventLoop) -> None:
        """Speak to ``subject`` on ``loop``."""
        self._subject = subject
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        """Return what the subject has under this name, for callers that wait."""
        found = getattr(self._subject, name)
        if not callable(found):
            return self._faced(found)

        def call(*args: Any, **kwargs: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(self._call(found, args, kwargs), self._loop).result()

        return call

    async def _call(self, found: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        result = found(*args, **kwargs)
        if hasattr(result, "__aiter__"):
            return [item async for item in result]
        return self._faced(await result if inspect.isawaitable(result) else result)

    def _faced(self, value: Any) -> Any:
        """Give what has methods to await a face of its own."""
        return Blocking(value, self._loop) if type(value).__module__.startswith("kfstate.aio") else value


@contextmanager
def _awaited(url: str, clock: Clock) -> Iterator[Engine]:
    """Open an AsyncEngine on an event loop of its own."""
    from kfstate.aio import AsyncEngine  # noqa: PLC0415 (needs an extra)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="kfstate-contract", daemon=True)
    thread.start()
    made = AsyncEngine(url, clock=clock)
    try:
        asyncio.run_coroutine_threadsafe(made.open(), loop).result()
        try:
            yield cast("Engine", Blocking(made, loop))
        finally:
            asyncio.run_coroutine_threadsafe(made.close(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
