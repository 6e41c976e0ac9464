"""Waking whoever waits for the log: at once in this process, by a notice in others where the database has them.

Every wake-up is a hint. Whoever waits polls as well, so that a lost one costs time, never an entry.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kfstate.concurrency import Concurrency, Running, Signal
from kfstate.store.database import Database
from kfstate.store.notify import Notices

__all__ = ["Wakes", "loud", "quietly"]

_logger = logging.getLogger("kfstate")
_QUIET: ContextVar[bool] = ContextVar("kfstate_quiet", default=False)
_APART = 0.002
"""Seconds between two notices of a process: commits that come faster share one."""
_LISTEN = 1.0
_AGAIN = 1.0
_END = 5.0


@contextmanager
def quietly() -> Iterator[None]:
    """Let commits inside the block wake nobody: they move a checkpoint, and add nothing to the log."""
    before = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(before)


def loud() -> None:
    """Let the next commit wake others after all, until the end of the block of :func:`quietly`."""
    _QUIET.set(False)


class Wakes:
    """The signals of those who wait in this process, and the notices between processes."""

    def __init__(self, database: Database, concurrency: Concurrency) -> None:
        """Be told of the commits of ``database`` from now on."""
        self._concurrency = concurrency
        self._notices = Notices(database.engine) if Notices.known(database.engine) else None
        self._waiting: tuple[Signal, ...] = ()
        self._to_tell, self._closing = concurrency.signal(), concurrency.signal()
        self._teller: Running | None = None
        self._listener: Running | None = None
        database.committed.append(self.committed)

    def committed(self) -> None:
        """Wake everybody; called after each commit."""
        if _QUIET.get():
            return
        self._wake()
        if self._notices is not None and not self._closing.is_set():
            self._to_tell.set()
            if self._teller is None or not self._teller.is_alive():
                self._teller = self._concurrency.spawn(self._tell, name="kfstate-notify")

    def join(self, signal: Signal) -> None:
        """Raise this signal on every commit from now on."""
        self._waiting = (*self._waiting, signal)
        if self._notices is not None and (self._listener is None or not self._listener.is_alive()):
            self._listener = self._concurrency.spawn(self._listen, name="kfstate-listen")

    def leave(self, signal: Signal) -> None:
        """Raise it no more."""
        self._waiting = tuple(each for each in self._waiting if each is not signal)

    def close(self) -> None:
        """Send what is to be sent, and end what runs beside."""
        self._closing.set()
        if self._notices is None:
            return
        if self._listener is not None and self._teller is None:
            self._teller = self._concurrency.spawn(self._tell, name="kfstate-notify")
        if self._listener is not None:
            self._to_tell.set()  # our own notice ends our own waiting
        for running in (self._teller, self._listener):
            if running is not None:
                self._to_tell.set()
                running.join(_END)

    def _wake(self) -> None:
        for signal in self._waiting:
            signal.set()

    def _tell(self) -> None:
        """Send notices, as long as there are commits to tell of."""
        while not self._closing.is_set() or self._to_tell.is_set():
            try:
                self._tell_all()
            except Exception as error:  # noqa: BLE001 (a notice is a hint; whoever waits polls)
                _logger.debug("no notice was sent", extra={"action": "notify", "problem": str(error)})
                self._to_tell.clear()
                self._closing.wait(_AGAIN)

    def _tell_all(self) -> None:
        assert self._notices is not None  # noqa: S101 (nobody runs this without)
        with self._notices.sending() as tell:
            while True:
                self._to_tell.wait()
                self._to_tell.clear()
                tell()
                if self._closing.wait(_APART) and not self._to_tell.is_set():
                    return

    def _listen(self) -> None:
        """Wake everybody on each notice; a connection that was lost is made again."""
        assert self._notices is not None  # noqa: S101 (nobody runs this without)
        while not self._closing.is_set():
            try:
                with self._notices.listening() as told:
                    self._hear(told)
            except Exception as error:  # noqa: BLE001 (without notices there is polling)
                _logger.debug("not listening", extra={"action": "listen", "problem": str(error)})
                self._closing.wait(_AGAIN)

    def _hear(self, told: Callable[[float], bool]) -> None:
        self._wake()  # something may have been committed before we listened
        while not self._closing.is_set():
            if told(_LISTEN):
                self._wake()
