"""The bridge: synchronous code in a greenlet, where whatever it waits for is awaited by the event loop.

SQLAlchemy's asyncio dialects await from inside a greenlet. The documented way in, ``AsyncConnection.run_sync``, starts
with a connection that is open; an engine opens, waits and commits by itself. So the two functions that ``run_sync`` is
made of are taken from :mod:`sqlalchemy.util.concurrency`, here and nowhere else.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.util import concurrency as _sqlalchemy

__all__ = ["AsyncTasks", "awaited", "inside", "through"]

P = ParamSpec("P")
T = TypeVar("T")

# SQLAlchemy 2.1 renamed it.
_await: Callable[[Awaitable[Any]], Any] = getattr(_sqlalchemy, "await_", None) or _sqlalchemy.await_only


def awaited(awaitable: Awaitable[T]) -> T:
    """Wait for something of the event loop, in code that :func:`inside` runs."""
    result: T = _await(awaitable)
    return result


async def inside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run synchronous code in a greenlet, and return or raise what it does.

    It runs as a task of its own. When the caller is cancelled, the code meets that once, at what it waits for, and is
    then let alone until it has rolled back and given back its connection, however often the caller is cancelled again.
    What it sets of the context, its caller has.
    """
    context = contextvars.copy_context()
    work = _sqlalchemy.greenlet_spawn(partial(function, *args, **kwargs))
    task = asyncio.get_running_loop().create_task(work, context=context)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await _ended(task)
        raise
    finally:
        _take_over(context)


def _take_over(context: contextvars.Context) -> None:
    for variable, value in context.items():
        if variable.get(context) is not value:
            variable.set(value)


async def through(work: Coroutine[Any, Any, None]) -> None:
    """Await something that must come to its end, even where the caller is cancelled meanwhile."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await _ended(task)
        raise
    task.result()


async def _ended(task: "asyncio.Task[Any]") -> None:
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # seen: the caller hears of the cancellation


class AsyncTasks:
    """Waiting and running with tasks of one event loop: a :class:`kfstate.concurrency.Concurrency`."""

    leads_inline = False

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def signal(self) -> "_Flag":
        """Return a new flag."""
        return _Flag()

    def spawn(self, run: Callable[[], None], *, name: str) -> "_Beside":
        """Run a function as a task of its own; as a new thread, it knows nothing of the caller's context."""
        coroutine = _sqlalchemy.greenlet_spawn(run)
        task = asyncio.get_running_loop().create_task(coroutine, name=name, context=contextvars.Context())
        self._running.add(task)  # the loop itself holds its tasks weakly
        task.add_done_callback(self._running.discard)
        return _Beside(task)

    async def close(self) -> None:
        """Cancel whatever still runs, and wait until it has ended."""
        for task in tuple(self._running):
            task.cancel()
            await _ended(task)


class _Flag:
    """A :class:`kfstate.concurrency.Signal` for the tasks of one event loop."""

    def __init__(self) -> None:
        self._up = False
        self._waiting: set[asyncio.Future[None]] = set()

    def set(self) -> None:
        self._up = True
        for future in self._waiting:
            _wake(future)

    def clear(self) -> None:
        self._up = False

    def is_set(self) -> bool:
        return self._up

    def wait(self, timeout: float | None = None) -> bool:
        if self._up:
            return True
        # By hand: an asyncio.Event under a timeout costs three times as much, and every append waits.
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, _wake, future)
        self._waiting.add(future)
        try:
            awaited(future)
        finally:
            self._waiting.discard(future)
            if timer is not None:
                timer.cancel()
        return self._up


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class _Beside:
    """A :class:`kfstate.concurrency.Running` that is a task."""

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self._task = task

    def join(self, timeout: float | None = None) -> None:
        awaited(asyncio.wait([self._task], timeout=timeout))

    def is_alive(self) -> bool:
        return not self._task.done()
