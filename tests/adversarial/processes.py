"""Other processes: what a test has run beside itself, hears of, and kills.

They are forked from a server that has kfstate imported and no connection open, so that one costs a few milliseconds.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

__all__ = ["PATIENCE", "Child", "Say", "beside", "until"]

PATIENCE = 60.0
"""Seconds after which a test gives up."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["pytest", "psycopg", "pymysql", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.mysql", "kfstate.engine",
     "kfstate.testing", "tests.servers", "tests.wecom.end_to_end.warm"]
)  # fmt: skip

Say = Callable[[object], None]
"""Tells the test something, from any thread; what was said before the process was killed arrives."""


class Child:
    """A process that runs a function of a module, with what tells the test something as its first argument."""

    def __init__(self, target: Callable[..., None], *args: Any) -> None:
        """Start it."""
        self._hears, speaks = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=_run, args=(speaks, target, args), daemon=True)
        self._process.start()
        speaks.close()
        self.said: list[Any] = []

    def hear(self, patience: float = PATIENCE) -> Any:
        """Wait for the next thing that it says. Raises EOFError where it ended before."""
        if not self._hears.poll(patience):
            raise TimeoutError
        self.said.append(self._hears.recv())
        return self.said[-1]

    def kill(self) -> None:
        """Kill it, with -9."""
        self._process.kill()

    def go_on(self) -> None:
        """Let it go on where it stopped itself."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def end(self, patience: float = PATIENCE) -> int:
        """Wait until it has ended, hear everything that it said, and return its exit code."""
        deadline = time.monotonic() + patience
        while True:
            if not wait([self._hears, self._process.sentinel], max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            try:
                while self._hears.poll():
                    self.said.append(self._hears.recv())
            except EOFError:
                break
            if not self._process.is_alive() and not self._hears.poll():
                break
        self._process.join(max(0.0, deadline - time.monotonic()))
        assert self._process.exitcode is not None
        return self._process.exitcode

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process.is_alive():
            self.kill()
            self._process.join()
        self._hears.close()
        self._process.close()


def _run(speaks: Connection, target: Callable[..., None], args: tuple[Any, ...]) -> None:
    talking = threading.Lock()

    def say(what: object) -> None:
        with talking:
            speaks.send(what)

    target(say, *args)


@contextmanager
def beside(target: Callable[..., None], *args: Any) -> Iterator[Child]:
    """Run a function in a process of its own; at the end of the block it is gone."""
    child = Child(target, *args)
    try:
        yield child
    finally:
        child.close()


def until(holds: Callable[[], bool], patience: float = PATIENCE) -> float:
    """Ask again and again until something holds, and return how many seconds that took. Raises TimeoutError."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > patience:
            raise TimeoutError
        time.sleep(0.005)
    return time.monotonic() - began
