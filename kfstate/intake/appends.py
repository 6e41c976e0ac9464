"""The transactions that append: of the engine, shared by whoever asks at the same time, or of the caller."""

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial

import attrs
from sqlalchemy import Connection

from kfstate.clock import Clock
from kfstate.concurrency import Concurrency
from kfstate.errors import (
    ConnectionLostError,
    KfstateError,
    LockTimeoutError,
    OutcomeUnknownError,
    UndoneError,
)
from kfstate.intake.gather import Gathering, Request, Take
from kfstate.projections import builds, live
from kfstate.projections.projector import Projected
from kfstate.store.append import Gathered, append_parts
from kfstate.store.cursor import Pull, read_pull
from kfstate.store.database import Database
from kfstate.store.dialect import in_one_go
from kfstate.store.head import lock_head, read_head
from kfstate.store.plan import Part
from kfstate.store.read import rows_at
from kfstate.store.rows import Appended, Head

__all__ = ["Appends", "Stored", "append_and_project"]

_AGAIN = (ConnectionLostError, UndoneError)
"""Errors that are nobody's fault: nothing was stored, and a second attempt may succeed."""
_PAUSE = 0.1
"""Seconds between two attempts to ask a database that went away what became of a commit."""


@attrs.frozen
class Stored:
    """What became of a part; ``projected`` is of the whole transaction, None where the projections are behind."""

    appended: Appended
    projected: Projected | None


@attrs.frozen
class _Wanted:
    part: Part
    meanwhile: Callable[[], object] | None
    """Called before the commit: what can be done while it syncs."""


_Asked = Request[_Wanted]


def append_and_project(
    conn: Connection, parts: Sequence[Part], *, now: int, head: Head | None = None
) -> tuple[Gathered, Projected | None]:
    """Append parts and fold what is new of them; the projections' part is None where they are behind."""
    head = head or lock_head(conn)
    with in_one_go(conn, sum(len(part.drafts) for part in parts)):
        found = builds.ask(conn)
        done = append_parts(conn, parts, now=now, head=head)
        projected = live.project(conn, done.whole, head_before=head.position, found=found())
    live.tell(conn, done.whole, head_before=head.position)
    return done, projected


class Appends:
    """All ways into one engine's log. Share it between threads, or between the tasks of a loop."""

    def __init__(self, database: Database, clock: Clock, concurrency: Concurrency, *, patience: float) -> None:
        """Append to ``database``; ``patience`` is how many seconds an append waits for its turn."""
        self.clock = clock
        self._database = database
        self._concurrency = concurrency
        self._patience = patience
        self._gathering = Gathering(self._store, concurrency, patience=patience)

    def store(self, part: Part, *, meanwhile: Callable[[], object] | None = None) -> Stored:
        """Store a part in a transaction of the engine's, and return when it is committed.

        Raises what is wrong with the part; :class:`~kfstate.errors.TransactionError` in a thread or task that is in a
        transaction of this engine already; and what :meth:`Gathering.submit` raises.
        """
        self._database.refuse_inside()
        done = self._gathering.submit(_Wanted(part, meanwhile), len(part.drafts))
        assert isinstance(done, Stored)  # noqa: S101 (what _store answers)
        return done

    def store_in(self, conn: Connection, part: Part) -> Stored:
        """Store a part in the caller's transaction, which stays open: it is there once the caller commits.

        Raises :class:`~kfstate.errors.TransactionError` where the transaction cannot take it.
        """
        head = self._database.join(conn)
        done, projected = append_and_project(conn, [part], now=self.clock.now(), head=head)
        return _of(done.parts[0], projected)

    @property
    def reads_ahead(self) -> bool:
        """Whether a thread may read on while a commit syncs: not on an event loop."""
        return self._concurrency.leads_inline

    def position(self, conn: Connection | None) -> int:
        """Return where the log ends now."""
        if conn is not None:
            return read_head(conn).position
        with self._database.reading() as reading:
            return read_head(reading).position

    def close(self) -> None:
        """Take no more, and wait until what was taken is committed."""
        self._database.refuse_inside()
        self._gathering.close()

    # What a leader does

    def _store(self, take: Take[_Wanted]) -> None:
        """Store what :attr:`take` gives in one transaction; where that fails, each part in one of its own."""
        taken: list[_Asked] = []
        try:
            self._together(taken, take)
        except OutcomeUnknownError as error:
            _answer(taken, error)
        except LockTimeoutError as error:
            # Those who came later have not waited as long yet: one of them tries again.
            _answer(taken or take(1), error)
        except Exception as error:  # noqa: BLE001 (each is told what is wrong with its own)
            self._apart(taken or take(1), error)

    def _apart(self, taken: Sequence[_Asked], error: Exception) -> None:
        if len(taken) == 1 and not isinstance(error, _AGAIN):
            _answer(taken, error)
            return
        gone: Exception | None = None
        for request in taken:
            if gone is not None:
                _answer([request], gone)
                continue
            try:
                self._together([], partial(_only, request))
            except Exception as alone:  # noqa: BLE001 (as above)
                _answer([request], alone)
                # Whoever holds the lock, or took the server away, would keep every one of the others waiting as long.
                gone = alone if isinstance(alone, LockTimeoutError | ConnectionLostError) else None

    def _together(self, taken: list[_Asked], take: Take[_Wanted]) -> None:
        done: Gathered | None = None
        projected: Projected | None = None
        try:
            with self._database.writing() as conn:
                head = lock_head(conn)
                taken += take()
                parts = [request.wanted.part for request in taken]
                stored, projected = append_and_project(conn, parts, now=self.clock.now(), head=head)
                for request in taken:
                    if request.wanted.meanwhile is not None:
                        request.wanted.meanwhile()
                for request in taken:
                    request.committing = True
                done = stored
        except BaseException as error:
            if done is None or not self._is_committed(taken, done, error):
                for request in taken:
                    request.committing = False
                raise
            _hand_out(taken, done, projected)
            if not isinstance(error, Exception):
                raise
        else:
            _hand_out(taken, stored, projected)

    def _is_committed(self, taken: Sequence[_Asked], done: Gathered, error: BaseException) -> bool:
        """Find out whether a commit that raised an error took place.

        Whoever asks waits for the lock of the head, so that no commit is still under way. The chain is over random
        salts: no other transaction can have put the same link at the same position.
        """
        since = time.monotonic()
        while True:
            try:
                with self._database.writing() as conn:
                    lock_head(conn)
                    if not done.whole.rows:
                        return not done.pulls or read_pull(conn, done.pulls[-1]) == _last_pull(taken, done)
                    last = done.whole.rows[-1]
                    there = rows_at(conn, [last.position]).get(last.position)
                    return there is not None and there.chain == last.chain
            except Exception as unreachable:
                waited = time.monotonic() - since
                if waited > self._patience:
                    raise OutcomeUnknownError(waited=round(waited, 3), reason=str(error)) from unreachable
            self._concurrency.signal().wait(_PAUSE)


def _only(request: _Asked, most: int = 1) -> list[_Asked]:
    return [request][:most]


def _hand_out(taken: Sequence[_Asked], done: Gathered, projected: Projected | None) -> None:
    for request, part in zip(taken, done.parts, strict=True):
        request.answer(part if isinstance(part, KfstateError) else Stored(part, projected))


def _last_pull(taken: Sequence[_Asked], done: Gathered) -> Pull:
    kept = (request.wanted.part for request, part in zip(taken, done.parts, strict=True) if isinstance(part, Appended))
    return [pull for part in kept for pull in part.pulls][-1]


def _of(part: Appended | KfstateError, projected: Projected | None) -> Stored:
    if isinstance(part, KfstateError):
        raise part
    return Stored(part, projected)


def _answer(taken: Sequence[_Asked], error: Exception) -> None:
    for at, request in enumerate(taken):
        # Each raises an exception of its own: a traceback grows where it is raised, and threads would share it.
        request.answer(error if at == 0 else copy.copy(error))
