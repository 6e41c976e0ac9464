"""Several processes that work on one database, each with connections of its own."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Generic, Self, TypeVar

from kfstate.concurrency import Signal
from kfstate.errors import ArgumentError, WorkerLostError
from kfstate.store.database import Database
from kfstate.store.sqlite import in_memory

__all__ = ["Crew", "cores"]

_LOOK = 0.02
"""Seconds after which it is looked whether something is done, or a stop was raised."""

_ROWS = 20_000
"""Objects after which garbage is looked for: rows are tuples, of which there are many, and none is ever in a cycle."""

_Task = TypeVar("_Task")
_Found = TypeVar("_Found")
_Job = Callable[[Database, _Task], _Found]


class Crew:
    """As many processes as it is told; one is this one, and starts no other.

    They are started with the first task, and end with the ``with`` block.
    """

    def __init__(self, database: Database, processes: int, signal: Callable[[], Signal]) -> None:
        """Work on this database; ``signal`` makes what this process waits on."""
        if processes < 1:
            raise ArgumentError("processes", repr(processes), "a number from 1 on")
        url = database.engine.url
        if processes > 1 and url.get_backend_name() == "sqlite" and in_memory(url):
            raise ArgumentError("processes", str(processes), "1: no other process can see a database in memory")
        self.processes = processes
        self._database = database
        self._signal = signal
        self._pool: ProcessPoolExecutor | None = None
        self._over: Event | None = None

    def __enter__(self) -> Self:
        """Make ready."""
        if self.processes > 1:
            url = self._database.engine.url.render_as_string(hide_password=False)
            spawning = multiprocessing.get_context("spawn")
            self._over = spawning.Event()
            self._pool = ProcessPoolExecutor(self.processes, spawning, _open, (url, self._over))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the processes end what they are at, and go."""
        if self._over is not None and self._pool is not None:
            self._over.set()
            self._pool.shutdown(cancel_futures=True)

    def each(
        self, job: _Job[_Task, _Found], tasks: Iterable[_Task], *, ahead: int = 2, stop: Signal | None = None
    ) -> Iterator[tuple[int, _Found]]:
        """Begin with the tasks, and return what yields number and result of each, in the order in which they end.

        Job and tasks are plain data, for they go to other processes; there are no more than ``ahead`` for each at a
        time. Once ``stop`` is raised no more is yielded. Raises :class:`~kfstate.errors.WorkerLostError`.
        """
        stop = stop or self._signal()
        numbered = enumerate(tasks)
        if self._pool is None:
            return self._here(job, numbered, stop)
        return self._beside(self._begun(self._pool, job, numbered, ahead), stop)

    def in_order(self, job: _Job[_Task, _Found], tasks: Iterable[_Task], *, ahead: int = 4) -> Iterator[_Found]:
        """Begin with the tasks, and return what yields their results in order. Else as :meth:`each`."""
        if self._pool is None:
            return (found for _, found in self._here(job, enumerate(tasks), self._signal()))
        return self._in_order(self._begun(self._pool, job, enumerate(tasks), ahead))

    def _begun(
        self, pool: ProcessPoolExecutor, job: _Job[_Task, _Found], tasks: Iterator[tuple[int, _Task]], ahead: int
    ) -> "_Doing[_Task, _Found]":
        doing = _Doing(pool, job, tasks, self.processes)
        doing.begin(ahead * self.processes)
        return doing

    def _here(
        self, job: _Job[_Task, _Found], tasks: Iterable[tuple[int, _Task]], stop: Signal
    ) -> Iterator[tuple[int, _Found]]:
        for number, task in tasks:
            if stop.is_set():
                return
            yield number, job(self._database, task)

    def _beside(self, doing: "_Doing[_Task, _Found]", stop: Signal) -> Iterator[tuple[int, _Found]]:
        pause = self._signal()
        while doing.waiting and not stop.is_set():
            ended = wait(doing.waiting, timeout=0).done
            for future in ended:
                number = doing.waiting.pop(future)
                doing.begin(1)
                yield number, doing.result(future)
            if not ended:
                pause.wait(_LOOK)

    def _in_order(self, doing: "_Doing[_Task, _Found]") -> Iterator[_Found]:
        pause = self._signal()
        while doing.waiting:
            future = next(iter(doing.waiting))  # they stand in the order in which they were begun
            while not future.done():
                pause.wait(_LOOK)
            del doing.waiting[future]
            doing.begin(1)
            yield doing.result(future)


class _Doing(Generic[_Task, _Found]):
    """Tasks that were begun, and those to come."""

    def __init__(
        self, pool: ProcessPoolExecutor, job: _Job[_Task, _Found], tasks: Iterator[tuple[int, _Task]], processes: int
    ) -> None:
        self.waiting: dict[Future[_Found], int] = {}
        self._pool, self._job, self._tasks, self._processes = pool, job, tasks, processes

    def begin(self, tasks: int) -> None:
        """Begin with so many further tasks, as far as there are any."""
        for number, task in islice(self._tasks, tasks):
            with self._together():
                self.waiting[self._pool.submit(_run, self._job, task)] = number

    def result(self, future: Future[_Found]) -> _Found:
        """Return the result of a task that has ended."""
        with self._together():
            return future.result()

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except BrokenExecutor as error:
            raise WorkerLostError(self._processes) from error


def cores() -> int:
    """Return how many processes can work at once on this machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_opened: list[tuple[Database, Event]] = []
"""In a process of a crew: the database, for all of its tasks, and whether there are to be no more."""


_interrupted: list[int] = []
"""In a process of a crew: what Ctrl-C leaves, which goes to every process of a terminal."""


def _open(url: str, over: Event) -> None:
    signal.signal(signal.SIGINT, _note)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.set_threshold(_ROWS)
    _opened.append((Database(url), over))


def _note(number: int, _frame: object) -> None:
    """Say nothing, as long as there is nothing to be ended; begin with nothing more."""
    _interrupted.append(number)


def _end_with_parent() -> None:
    """End this process when that which started it was killed: whatever lock it held is no more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(job: _Job[_Task, _Found], task: _Task) -> _Found:
    database, over = _opened[0]
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if _interrupted or over.is_set():
            raise CancelledError
        return job(database, task)
    except KeyboardInterrupt:
        # Before the process that gives out the tasks has heard of it, the next one may be there.
        _interrupted.append(signal.SIGINT)
        raise
    finally:
        signal.signal(signal.SIGINT, _note)
