"""The engine: the composition root that embedders, the CLI and the service call."""

from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import attrs
from sqlalchemy import Connection

from kfstate import intake
from kfstate.archive.face import Archive
from kfstate.audit.face import Audit
from kfstate.audit.proofs.heads import TreeHead
from kfstate.clock import SECOND, Clock, SystemClock
from kfstate.concurrency import THREADS, Concurrency
from kfstate.errors import UnknownConversationError
from kfstate.feed.face import Feed
from kfstate.feed.own import Projection
from kfstate.feed.projections import Projections
from kfstate.intake import CursorMove, Report, Source
from kfstate.machine import Verdict, initial, may
from kfstate.opening import prepare
from kfstate.projections import live
from kfstate.projections.building import Site
from kfstate.projections.builds import LiveReader
from kfstate.projections.views import increments
from kfstate.queries import conversations as conversation_queries
from kfstate.queries import history as history_queries
from kfstate.queries.face import Questions
from kfstate.queries.views import (
    ConversationView,
    Explanation,
    StepView,
)
from kfstate.service_state import KfServiceState
from kfstate.store import cursor as cursors
from kfstate.store import verify
from kfstate.store.checkpoint import Checkpoint
from kfstate.store.crew import Crew
from kfstate.store.cursor import Cursor
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.envelope import OwnEntry
from kfstate.store.head import read_end
from kfstate.store.read import find_stream
from kfstate.store.rows import Expected, Result, Stream, StreamKey
from kfstate.store.upcasting import Upcaster

__all__ = ["Engine", "Recorded"]

T = TypeVar("T")


@attrs.frozen
class Recorded:
    """Where an own entry stands; ``duplicate``: its key was known, and this is where the first one stands."""

    position: int
    duplicate: bool


class Engine(Feed, Questions):
    """One log with its projections, behind one database URL.

    Opening creates or upgrades the embedded database. Share one engine between threads; close it at the end, or use
    it as a context manager.
    """

    _concurrency: Concurrency = THREADS
    """How the engine waits; :mod:`kfstate.aio` waits in another way, and connects in another way."""

    def __init__(
        self,
        url: str = "sqlite:///kfstate.db",
        *,
        corp_id: str = "",
        clock: Clock | None = None,
        lock_timeout: float = 10.0,
        upcasters: Iterable[Upcaster] = (),
        projections: Iterable[Projection] = (),
    ) -> None:
        """Open the database.

        ``lock_timeout`` is in seconds; ``upcasters`` bring payloads of own entries up to date for readers;
        ``projections`` are the caller's own, see :class:`~kfstate.feed.own.Projection`. Raises
        :class:`~kfstate.errors.SchemaError` where the database is newer than this release, or where the triggers that
        guard the log are gone.
        """
        self.url = url
        self.corp_id = corp_id
        self._clock = clock or SystemClock()
        self._database = self._connected(url, lock_timeout)
        self._reading, self._writing = self._database.reading, self._database.writing
        self._read = LiveReader(self._database.read)
        self._appends = intake.Appends(self._database, self._clock, self._concurrency, patience=lock_timeout)
        try:
            site = Site(self._database, self._clock, self._concurrency.signal)
            self.projections = Projections(site, projections, corp_id=corp_id)
            self.audit = Audit(site, self._receipt, corp_id=corp_id)
            self.archive = Archive(site)
            prepare(self._database, clock=self._clock, corp_id=corp_id)
            self.projections.open()
        except BaseException:
            self._database.close()
            raise
        self._open_feed(upcasters)

    def __enter__(self) -> Self:
        """Return the engine."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        self.close()

    def close(self) -> None:
        """Stop what runs beside, take no more appends, wait for those taken, and give back every connection."""
        self._close_feed()
        self._appends.close()
        self._database.close()

    # Into the log

    def ingest(
        self,
        source: Source | Iterable[Source],
        *,
        account: str = "",
        cursor: CursorMove | None = None,
        progress: intake.Progress | None = None,
        connection: Connection | None = None,
    ) -> Report:
        """Append every entry of pages, entries and own entries, and return what became of them.

        A source is a page as ``bytes``, ``str`` (JSON text) or mapping, the ``Path`` of a file with a page or with
        NDJSON, or an open binary stream of NDJSON. ``account`` is the ``open_kfid`` that was pulled, for entries that
        name none. ``cursor`` moves the account's cursor in the same transaction (for one page). What is no page is
        reported, and stops nothing; see :class:`~kfstate.intake.Report`. ``connection`` is the caller's own: the
        entries join its transaction, and the report holds once that is committed.
        """
        return intake.ingest(
            self._appends, source, account=account, cursor=cursor, progress=progress, corp_id=self.corp_id,
            connection=connection,
        )  # fmt: skip

    def record(
        self,
        entry: OwnEntry | Mapping[str, Any],
        *,
        expected: Expected = "any",
        connection: Connection | None = None,
    ) -> Recorded:
        """Append one own entry: what the embedding service did or saw.

        ``expected`` is the version of its stream that the caller decided on: ``any``, ``new``, ``exists`` or a number.
        ``connection`` as for :meth:`ingest`.
        Raises :class:`~kfstate.errors.EnvelopeError`, :class:`~kfstate.errors.VersionConflictError`.
        """
        done = intake.record_one(self._appends, entry, corp_id=self.corp_id, expected=expected, connection=connection)
        return Recorded(done.position, done.duplicate)

    def claim(self, open_kfid: str) -> Cursor:
        """Make the caller the puller of an account: whoever claimed it before can no longer move its cursor."""
        with self._writing() as conn:
            return cursors.claim(conn, open_kfid, corp_id=self.corp_id)

    def cursor(self, open_kfid: str) -> Cursor | None:
        """Return where the next pull of an account begins; None where it was never claimed."""
        with self._reading() as conn:
            return cursors.read_cursor(conn, open_kfid, corp_id=self.corp_id)

    def tick(self, now: int | None = None) -> int:
        """Append a ``session_expired`` entry for every session that is due by ``now``, and return how many.

        ``now`` is in microseconds, default the clock's. States do not depend on it: it makes an expiry visible. In an
        account that is pulled, nothing is due that was not when the last complete pull began, so that a sync that was
        down raises no false alarm.
        """
        due_by = (self._clock.now() if now is None else now) // SECOND
        expired = 0
        while True:
            with self._writing() as conn:
                done = intake.expire_due(conn, due_by, now=self._clock.now(), corp_id=self.corp_id)
            expired += done
            if done == 0:
                return expired

    # Out of the projections

    def state(self, open_kfid: str, external_userid: str, *, as_of_log: bool = False) -> ConversationView:
        """Return a conversation as of now (a due expiry applied), or as of its last entry.

        Raises :class:`~kfstate.errors.UnknownConversationError`.
        """
        now = None if as_of_log else self._now()
        view = conversation_queries.conversation(self._read, open_kfid, external_userid, corp_id=self.corp_id, now=now)
        if view is None:
            raise UnknownConversationError(open_kfid, external_userid)
        return view

    def may(self, open_kfid: str, external_userid: str, to: KfServiceState, *, servicer: str | None = None) -> Verdict:
        """Tell whether ``service_state/trans`` may be called for a conversation now.

        An unknown conversation is one of which nothing is known, not an error.
        """
        with self._reading() as conn:
            state = conversation_queries.folded(conn, open_kfid, external_userid, corp_id=self.corp_id)
        named = None if servicer is None else servicer.casefold()
        return may(initial() if state is None else state, to, servicer=named, now=self._now())

    def history(self, open_kfid: str, external_userid: str, *, as_of_log: bool = False) -> list[StepView]:
        """Return the steps of a conversation, in the order of the fold, and an expiry that is due now.

        Raises :class:`~kfstate.errors.UnknownConversationError`.
        """
        now = None if as_of_log else self._now()
        with self._reading() as conn:
            return history_queries.history(conn, self._stream(conn, open_kfid, external_userid).id, now=now)

    def explain(self, open_kfid: str, external_userid: str, *, as_of_log: bool = False) -> Explanation:
        """Return why a conversation is in its state.

        Raises :class:`~kfstate.errors.UnknownConversationError`.
        """
        now = None if as_of_log else self._now()
        with self._reading() as conn:
            view = conversation_queries.conversation(
                partial(query, conn), open_kfid, external_userid, corp_id=self.corp_id, now=now
            )
            if view is None:
                raise UnknownConversationError(open_kfid, external_userid)
            return history_queries.explain(conn, view.position, view.doubt, expired=view.evidence == "timer")

    # Care

    def rebuild(self, *, progress: live.Progress | None = None) -> int:
        """Fold the whole log again beside the projections, and switch where that differs; return how many entries.

        Writes go on meanwhile. :attr:`projections` does the same step by step, and takes it back.
        """
        return self.projections.rebuild(progress=increments(progress)).entries

    def check(self, *, progress: live.Progress | None = None) -> live.Difference:
        """Fold the whole log again beside the projections and count the rows that differ; leaves them as they are."""
        return self.projections.checked(progress=increments(progress))

    def verify(
        self,
        expect: Checkpoint | TreeHead | str | None = None,
        *,
        first: int | None = None,
        last: int | None = None,
        progress: live.Progress | None = None,
        processes: int = 1,
    ) -> verify.Verified:
        """Recompute the hash chain over the log, or a range of it, and the commitments of its payloads.

        ``expect`` is the ``anchor`` of an earlier verification, ``POSITION:CHAIN``, a checkpoint, or a head that
        :attr:`audit` gave, kept elsewhere: a log that has another chain there, or ends before, is not the one of then.
        Where there is much to verify, as many ``processes`` work at once. Raises ValueError where ``expect`` is none of
        these, :class:`~kfstate.errors.ArgumentError` where the log has no such range, and
        :class:`~kfstate.errors.CorruptLogError` where the row of the log itself holds what it cannot.
        """
        anchor = None if expect is None else verify.anchor_of(str(expect))
        with Crew(self._database, processes, self._concurrency.signal) as crew, self._reading() as conn:
            return verify.verify(conn, first=first, last=last, anchor=anchor, progress=progress, crew=crew)

    def position(self) -> int:
        """Return the position of the last entry of the log."""
        with self._reading() as conn:
            return read_end(conn)[2]

    def behind(self) -> int | None:
        """Return how many entries the projections lag behind the log (0 as a rule); None: another machine's."""
        with self._reading() as conn:
            return live.behind(conn)

    def _receipt(self, conn: Connection, entry: OwnEntry) -> Result:
        (done,) = intake.record(conn, [entry], now=self._clock.now(), corp_id=self.corp_id, receipt=True)
        return done

    def _connected(self, url: str, lock_timeout: float) -> Database:
        return Database(url, lock_timeout=lock_timeout)

    def _stream(self, conn: Connection, open_kfid: str, external_userid: str) -> Stream:
        stream = find_stream(conn, StreamKey(self.corp_id, "conversation", open_kfid, external_userid))
        if stream is None:
            raise UnknownConversationError(open_kfid, external_userid)
        return stream
