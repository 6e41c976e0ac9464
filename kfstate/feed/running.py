"""Subscriptions: one runner for each name, that catches up and then follows the log."""

import logging
import threading
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from kfstate.clock import Clock
from kfstate.concurrency import Concurrency, Running
from kfstate.errors import (
    CheckpointError,
    ClosedError,
    CorruptLogError,
    LeaseLostError,
    StoreError,
    UnknownSubscriptionError,
)
from kfstate.feed import lease as leases
from kfstate.feed import letters
from kfstate.feed.handling import GivenUpError, Handler, Handling, Settings
from kfstate.feed.wake import Wakes, quietly
from kfstate.store.database import Database
from kfstate.store.head import read_head
from kfstate.store.lease import owner_name
from kfstate.store.upcasting import Upcasters

__all__ = ["Handler", "Settings", "Subscription"]

_logger = logging.getLogger("kfstate")
_FOR_GOOD = (CheckpointError, ClosedError, CorruptLogError)
"""What no waiting mends."""
_TO_END = 5.0
"""How many seconds the end of an engine waits for what runs in other threads."""
_RUNNING: ContextVar["Subscription | None"] = ContextVar("kfstate_running", default=None)


class Subscription:
    """Calls a handler for every entry of the log, in order of position, and keeps how far it came.

    Several processes may run the same name: one of them is active, the others stand by. Run it here (:meth:`run`) or
    beside (:meth:`start`, or as a context manager).
    """

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        database: Database,
        clock: Clock,
        concurrency: Concurrency,
        wakes: Wakes,
        settings: Settings,
        upcasters: Upcasters,
    ) -> None:
        """Prepare to run the subscription of this name; :meth:`kfstate.Engine.subscribe` makes it."""
        self.name = name
        self.error: Exception | None = None
        """What ended it when it ran beside, if anything did."""
        self._handler, self._settings, self._upcasters = handler, settings, upcasters
        self._database, self._clock, self._concurrency, self._wakes = database, clock, concurrency, wakes
        self._wake, self._stopping, self._over = (concurrency.signal() for _ in range(3))
        self._active = threading.Lock()
        self._beside: Running | None = None
        self._handling: Handling | None = None

    def __enter__(self) -> Self:
        """Start it beside."""
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def run(self, *, until_idle: bool = False) -> None:
        """Handle entries until :meth:`stop`; with ``until_idle``, until there are no more.

        Waits while somebody else runs this name. Raises :class:`~kfstate.errors.CheckpointError` where the log is not
        the one that was handled up to here, what the handler raised where it is to stop at an error, and
        :class:`~kfstate.errors.UnknownSubscriptionError` where somebody removed the subscription.
        """
        self._begin()
        self._run(until_idle=until_idle)

    def start(self) -> None:
        """Run beside the caller, until :meth:`stop`."""
        self._begin()
        self._beside = self._concurrency.spawn(self._run_beside, name=f"kfstate-{self.name}")

    def stop(self) -> None:
        """End after the entry, or batch, that is being handled, and give the subscription back.

        Raises what ended it before, where it ran beside and failed.
        """
        self.halt()
        if self._beside is not None and _RUNNING.get() is not self:
            self._beside.join()
            self._beside = None
            error, self.error = self.error, None
            if error is not None:
                raise error

    def halt(self) -> None:
        """Have it end, as :meth:`stop`, and wait for nothing."""
        self._stopping.set()
        self._wake.set()

    def end(self) -> None:
        """Stop it, whatever ended it before; one that runs in another thread gets some seconds to end."""
        with suppress(Exception):  # it was logged when it happened
            self.stop()
        if self._active.locked() and _RUNNING.get() is not self:
            self._over.wait(_TO_END)

    def _begin(self) -> None:
        if not self._active.acquire(blocking=False):
            message = f"the subscription {self.name!r} is running already"
            raise RuntimeError(message)
        self._over.clear()
        self._stopping.clear()
        self.error = None

    def _run_beside(self) -> None:
        try:
            self._run(until_idle=False)
        except Exception as error:
            self.error = error
            _logger.exception("subscription %s failed", self.name, extra={"action": "subscription", "name_": self.name})

    def _run(self, *, until_idle: bool) -> None:
        running = _RUNNING.set(self)
        self._wakes.join(self._wake)
        try:
            self._loop(until_idle=until_idle)
        except BaseException as error:
            self._give_back(error)
            if isinstance(error, GivenUpError):
                raise error.error from None
            raise
        else:
            self._give_back(None)
        finally:
            self._wakes.leave(self._wake)
            _RUNNING.reset(running)
            self._over.set()
            self._active.release()

    def _loop(self, *, until_idle: bool) -> None:
        restart = True
        while not self._stopping.is_set():
            self._wake.clear()
            if self._stopping.is_set():  # set, and its wake-up cleared, since we looked
                return
            try:
                busy = self._round(restart=restart)
                restart = False
            except LeaseLostError as error:
                self._handling = None
                if error.current == 0:
                    raise UnknownSubscriptionError(name=self.name) from error
                _logger.info("subscription %s: another runner has taken over", self.name)
                busy = True
            except (SQLAlchemyError, StoreError) as error:
                if until_idle or isinstance(error, _FOR_GOOD):
                    raise
                _logger.warning("subscription %s: %s", self.name, error, extra={"action": "subscription"})
                busy = False
            if busy:
                continue
            if until_idle and self._idle():
                return
            self._wake.wait(min(self._settings.poll, self._settings.lease / 3))

    def _round(self, *, restart: bool) -> bool:
        if self._handling is None:
            self._handling = self._claim(restart=restart)
            if self._handling is None:
                return False
        try:
            self._handling.keep()
            return self._handling.round()
        except LeaseLostError as error:
            self._handling.regain(error)
            return True

    def _claim(self, *, restart: bool) -> Handling | None:
        """Become the runner, if nobody is."""
        with self._database.reading() as conn:  # most of the time there is one, and looking locks nothing
            row = leases.find(conn, self.name)
        if row is None:
            raise LeaseLostError(name=self.name, epoch=0, current=0)
        if not leases.free(row, now=self._clock.now(), restart=restart):
            return None
        length = self._settings.length
        with quietly(), self._database.writing() as conn:
            lease = leases.claim(conn, self.name, owner_name(), clock=self._clock, length=length, restart=restart)
        if lease is None:
            return None
        return Handling(
            self._database, self._clock, self._handler, self._settings, self._upcasters, self._stopping, lease
        )

    def _idle(self) -> bool:
        """Tell whether there is nothing to do, for whoever runs it."""
        if self._handling is not None:
            return True
        with self._database.reading() as conn:
            row = leases.find(conn, self.name)
            if letters.requeued(conn, self.name, 1):
                return False
            return row is not None and row.position >= read_head(conn).position

    def _give_back(self, error: BaseException | None) -> None:
        """Let the next runner begin at once, and say why this one failed, if it did."""
        handling, self._handling = self._handling, None
        if handling is None:
            return
        told = None
        if isinstance(error, CheckpointError | CorruptLogError | GivenUpError):
            cause = error.error if isinstance(error, GivenUpError) else error
            told = f"{type(cause).__name__}: {cause}"[:4000]
        try:
            with self._database.writing() as conn:
                leases.release(conn, handling.lease, error=told)
        except Exception as failed:  # noqa: BLE001 (then the lease runs out)
            _logger.warning("subscription %s was not given back: %s", self.name, failed)
