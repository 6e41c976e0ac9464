"""The bridge: Engine's code as tasks of an event loop; where it waits for the database, the loop goes on.

SQLAlchemy's asyncio dialects await from inside a greenlet. Its documented way in, ``AsyncConnection.run_sync``, starts
with a connection that is open; an engine opens, waits and commits by itself. See :mod:`kfstate.store.greenlets`.
"""

import asyncio
import contextvars
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from kfstate.store.greenlets import awaited, begin, ended, in_greenlet

__all__ = ["AsyncTasks", "inside"]

P = ParamSpec("P")
T = TypeVar("T")


async def inside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run synchronous code in a greenlet, and return or raise what it does.

    It runs as a task of its own. When the caller is cancelled, the code meets that once, at what it waits for, and is
    then let alone until it has rolled back and given back its connection, however often the caller is cancelled again.
    What it sets of the context, its caller has.
    """
    context = contextvars.copy_context()
    task = asyncio.get_running_loop().create_task(in_greenlet(function, *args, **kwargs), context=context)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await ended(task)
        raise
    finally:
        _take_over(context)


def _take_over(context: contextvars.Context) -> None:
    for variable, value in context.items():
        if variable.get(context) is not value:
            variable.set(value)


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
        context = contextvars.Context()
        task = begin(in_greenlet(run), name=name, context=context)
        self._running.add(task)  # the loop itself holds its tasks weakly
        task.add_done_callback(self._running.discard)
        return _Beside(task)

    async def close(self) -> None:
        """Cancel whatever still runs, and wait until it has ended."""
        for task in tuple(self._running):
            task.cancel()
            await ended(task)


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
        if self._task is not asyncio.current_task():
            awaited(asyncio.wait([self._task], timeout=timeout))

    def is_alive(self) -> bool:
        return not self._task.done()
