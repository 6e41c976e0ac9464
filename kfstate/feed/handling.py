"""Handling: events through a handler, together with the checkpoint; what fails is tried again, then put aside."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND, Clock
from kfstate.concurrency import Signal
from kfstate.errors import CheckpointError, ConnectionLostError, LeaseLostError, OutcomeUnknownError, PoisonEntryError
from kfstate.feed import lease as leases
from kfstate.feed import letters
from kfstate.feed.events import Event, read_events
from kfstate.feed.lease import Lease
from kfstate.feed.letters import Failure
from kfstate.feed.wake import loud, quietly
from kfstate.store.checkpoint import chain_at, hold
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.upcasting import Upcasters

__all__ = ["GivenUpError", "Handler", "Handling", "Settings"]

Handler = Callable[[Event], object]
"""Called for each event; what it returns is ignored, what it raises is a failure of that entry."""

_LONGEST = 60.0
_NOT_ITS_FAULT = (ConnectionLostError, LeaseLostError, OutcomeUnknownError)
"""What says nothing about an entry: it is handled again when the database is back, or by another runner."""


@attrs.frozen(kw_only=True)
class Settings:
    """How a subscription is run; seconds, unless said otherwise."""

    transactional: bool = True
    """Whether the handler is called inside of the transaction that moves the checkpoint."""
    poll: float = 1.0
    """How often to look for new entries where nobody wakes the runner."""
    attempts: int = attrs.field(default=5, validator=attrs.validators.ge(1))
    batch: int = attrs.field(default=100, validator=attrs.validators.ge(1))
    """How many entries share a transaction at most."""
    backoff: float = 0.1
    """How long to wait before the second attempt; twice as long before each further one, a minute at most."""
    lease: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))
    """How long the others wait for a runner of which nothing is heard."""
    on_error: Literal["dead_letter", "stop"] = attrs.field(
        default="dead_letter", validator=attrs.validators.in_(("dead_letter", "stop"))
    )
    steps: bool = True
    """Whether events have steps; without, entries come even where the projections are behind."""

    @property
    def length(self) -> int:
        """The length of the lease in microseconds."""
        return round(self.lease * SECOND)


class GivenUpError(Exception):
    """A handler failed on an entry as often as it may; ``error`` is what it raised last."""

    def __init__(self, event: Event, error: Exception) -> None:
        super().__init__(str(error))
        self.event, self.error = event, error


class _FailedError(Exception):
    """The handler of an event failed; None: the transaction of several did, after their handlers."""

    def __init__(self, event: Event | None, error: Exception) -> None:
        super().__init__(str(error))
        self.event, self.error = event, error


@attrs.define
class Handling:
    """Handles the events of one subscription, as long as ``lease`` is held."""

    database: Database
    clock: Clock
    handler: Handler
    settings: Settings
    upcasters: Upcasters
    stopping: Signal
    lease: Lease

    def round(self) -> bool:
        """Handle what there is, a batch at most; tell whether there was anything.

        Raises :class:`~kfstate.errors.CheckpointError`, :class:`~kfstate.errors.LeaseLostError`, and
        :class:`GivenUpError` where the subscription is to stop at an entry that cannot be handled.
        """
        with self.database.reading() as conn:
            standing = leases.look(conn, self.lease)
            at = self.lease.checkpoint
            if standing.chain != at.chain:
                hold(conn, at)
            requeued = letters.requeued(conn, self.lease.name, self.settings.batch) if standing.requeued else []
            found = [(letter, self._of_letter(conn, letter, standing.projected)) for letter in requeued]
            events = self._read(conn, at.position, self.settings.batch, until=standing.projected)
        again = [(letter, event) for letter, event in found if event is not None]
        for letter, event in again:
            if self.stopping.is_set():
                return True
            if isinstance(event, CheckpointError):
                now = self.clock.now()
                self._bury_again(letter, Failure(event, 0, now, now))
            else:
                self._alone(event, letter=letter)
        if self.stopping.is_set():
            return True
        if events:
            self._all(events)
        return bool(again or events)

    def keep(self) -> None:
        """Lengthen the lease, where a third of it is over."""
        now = self.clock.now()
        if now >= self.lease.until - self.settings.length * 2 // 3:
            with quietly(), self.database.writing() as conn:
                self.lease = leases.renew(conn, self.lease, now=now, length=self.settings.length)

    def regain(self, lost: LeaseLostError) -> None:
        """Go on from where the row is, where it was this runner that moved it: by a commit of which it heard nothing.

        Raises ``lost`` where another runner has taken over.
        """
        with self.database.reading() as conn:
            row = leases.find(conn, self.lease.name)
        if row is None or row.epoch != self.lease.epoch:
            raise lost
        self.lease = leases.held(row)

    def _read(self, conn: Connection, after: int, limit: int, until: int | None = None) -> list[Event]:
        return read_events(conn, after, limit, steps=self.settings.steps, upcasters=self.upcasters, until=until)

    def _of_letter(self, conn: Connection, letter: Any, projected: int) -> Event | CheckpointError | None:
        """Return the event of a dead letter; None: its steps are not there yet; an error: the log has another entry."""
        chain = bytes(letter.chain).hex()
        for event in self._read(conn, letter.position - 1, 1):
            if (event.position, event.entry.chain) == (letter.position, chain):
                return event
        found = (chain_at(conn, letter.position) or b"").hex()
        if found == chain and self.settings.steps and letter.position > projected:
            return None
        return CheckpointError(position=letter.position, found=found, expected=chain)

    def _all(self, events: Sequence[Event]) -> None:
        failed: dict[int, Failure] = {}
        if self.settings.transactional and len(events) > 1:
            try:
                self._transaction(events)
            except _FailedError as failure:
                if failure.event is not None:
                    failed[failure.event.position] = self._failure(failure.error)
            else:
                return
        for event in events:
            if self.stopping.is_set():
                return
            self._alone(event, failed.get(event.position))

    def _alone(self, event: Event, failure: Failure | None = None, *, letter: Any | None = None) -> None:
        """Handle one event, as often as it takes or may take."""
        while failure is None or (
            failure.attempts < self.settings.attempts and not isinstance(failure.error, PoisonEntryError)
        ):
            if failure is not None and not self._pause(failure.attempts):
                return
            self.keep()
            try:
                if self.settings.transactional:
                    self._transaction([event], letter)
                else:
                    self._call(event, None)
                    self._done(event, letter)
            except _FailedError as failed:
                if failure is None:
                    failure = self._failure(failed.error)
                else:
                    failure.again(failed.error, self.clock.now())
            else:
                return
        if self.settings.on_error == "stop" and letter is None:
            raise GivenUpError(event, failure.error)
        self._bury(event, failure, letter)

    def _failure(self, error: Exception) -> Failure:
        now = self.clock.now()
        return Failure(error, 1, now, now)

    def _transaction(self, events: Sequence[Event], letter: Any | None = None) -> None:
        """Handle events in the transaction that moves the checkpoint past them, or that removes the dead letter."""
        began = False
        try:
            with quietly(), self.database.writing() as conn:
                leases.lock(conn, self.lease)
                began = True
                if letter is None or letters.settle(conn, self.lease.name, letter.position):
                    for event in events:
                        self._call(event, conn)
                moved = self._moved(conn, events[-1], letter)
        except Exception as error:
            if not began or isinstance(error, (_FailedError, *_NOT_ITS_FAULT)):
                raise
            # The database refused the checkpoint, or the commit, for what the handlers left behind.
            raise _FailedError(None, error) from error
        self.lease = moved

    def _call(self, event: Event, conn: Connection | None) -> None:
        entry = event.entry
        if entry.problem:
            poison = PoisonEntryError(position=entry.position, kind=entry.kind, reason=entry.problem)
            raise _FailedError(event, poison)
        try:
            self.handler(attrs.evolve(event, connection=conn))
        except Exception as error:
            if conn is not None and isinstance(error, _NOT_ITS_FAULT):
                raise
            raise _FailedError(event, error) from error

    def _done(self, event: Event, letter: Any) -> None:
        """Move the checkpoint after the handler, or remove the dead letter."""
        with quietly(), self.database.writing() as conn:
            leases.lock(conn, self.lease)
            if letter is not None:
                letters.settle(conn, self.lease.name, letter.position)
            moved = self._moved(conn, event, letter)
        self.lease = moved

    def _moved(self, conn: Connection, event: Event, letter: Any | None = None) -> Lease:
        """Move the checkpoint past an event that came in its turn; return the lease as it is then."""
        if self.settings.transactional and query(conn, "SELECT MAX(position) FROM kf_entry")[0][0] > event.position:
            loud()  # the handler may have appended in this transaction
        if letter is not None:
            return self.lease
        now, length = self.clock.now(), self.settings.length
        return leases.move(conn, self.lease, event.entry.checkpoint, now=now, length=length)

    def _bury(self, event: Event, failure: Failure, letter: Any) -> None:
        """Put an entry aside, in the transaction that moves the checkpoint past it."""
        if letter is not None:
            self._bury_again(letter, failure)
            return
        with quietly(), self.database.writing() as conn:
            leases.lock(conn, self.lease)
            letters.bury(conn, self.lease.name, event.entry.checkpoint, failure)
            moved = self._moved(conn, event)
        self.lease = moved

    def _bury_again(self, letter: Any, failure: Failure) -> None:
        with quietly(), self.database.writing() as conn:
            leases.lock(conn, self.lease)
            letters.failed_again(conn, letter, failure)

    def _pause(self, attempts: int) -> bool:
        """Wait before the next attempt; tell whether there is to be one."""
        left = min(self.settings.backoff * 2 ** (attempts - 1), _LONGEST)
        while left > 0 and not self.stopping.is_set():
            step = min(left, self.settings.lease / 3)
            self.stopping.wait(step)
            left -= step
            self.keep()
        return not self.stopping.is_set()
