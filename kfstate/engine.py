"""The engine: the composition root that embedders, the CLI and the service call."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import attrs
from sqlalchemy import Connection

from kfstate import intake
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
from kfstate.queries import sessions as session_queries
from kfstate.queries.conversations import PAGE, Filter, wanted_state
from kfstate.queries.views import ConversationView, Explanation, LoadView, QueueView, SessionView, StepView
from kfstate.service_state import KfServiceState
from kfstate.store import cursor as cursors
from kfstate.store import verify
from kfstate.store.cursor import Cursor
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.envelope import OwnEntry
from kfstate.store.head import read_head
from kfstate.store.read import find_stream
from kfstate.store.rows import Expected, Stream, StreamKey
from kfstate.store.upcasting import Upcaster

__all__ = ["Engine", "Recorded"]

T = TypeVar("T")


@attrs.frozen
class Recorded:
    """Where an own entry stands; ``duplicate``: its key was known, and this is where the first one stands."""

    position: int
    duplicate: bool


class Engine(Feed):
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

        ``now`` is in microseconds, default the clock's. States do not depend on it: it makes an expiry visible.
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
        view = conversation_queries.conversation(
            self._read, open_kfid, external_userid, corp_id=self.corp_id, now=now
        )
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

    def conversations(
        self,
        *,
        state: KfServiceState | int | str | None = None,
        account: str | None = None,
        servicer: str | None = None,
        doubt: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int | None = None,
        as_of_log: bool = False,
    ) -> Iterator[ConversationView]:
        """Yield conversations by ``external_userid`` and ``open_kfid``; ``after`` is such a pair to go on from."""
        now = None if as_of_log else self._now()
        wanted = Filter(state=wanted_state(state), account=account, servicer=servicer, doubt=doubt, now=now)
        yield from self._pages(partial(conversation_queries.conversations, wanted=wanted), after, limit)

    def counts(
        self,
        *,
        state: KfServiceState | int | str | None = None,
        account: str | None = None,
        servicer: str | None = None,
        doubt: str | None = None,
        as_of_log: bool = False,
    ) -> dict[KfServiceState, int]:
        """Return how many of the conversations that :meth:`conversations` would yield are in each state."""
        now = None if as_of_log else self._now()
        wanted = Filter(state=wanted_state(state), account=account, servicer=servicer, doubt=doubt, now=now)
        with self._reading() as conn:
            return conversation_queries.counts(conn, wanted, corp_id=self.corp_id)

    def sessions(
        self,
        *,
        open_kfid: str | None = None,
        external_userid: str | None = None,
        running: bool | None = None,
        after: tuple[str, str, int] | None = None,
        limit: int | None = None,
        as_of_log: bool = False,
    ) -> Iterator[SessionView]:
        """Yield sessions by ``external_userid``, ``open_kfid`` and number; ``after`` is such a triple to go on from."""
        page = partial(
            session_queries.sessions, open_kfid=open_kfid, external_userid=external_userid, running=running,
            now=None if as_of_log else self._now(),
        )  # fmt: skip
        yield from self._pages(page, after, limit)

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

    def queue(self, account: str | None = None) -> list[QueueView]:
        """Return who waits in the pool now, longest first."""
        with self._reading() as conn:
            return conversation_queries.queue(conn, account=account, corp_id=self.corp_id, now=self._now())

    def load(self, account: str | None = None) -> list[LoadView]:
        """Return what each servicer of an account (default: of all) carries now."""
        with self._reading() as conn:
            return conversation_queries.load(conn, account=account, corp_id=self.corp_id, now=self._now())

    # Care

    def rebuild(self, *, progress: live.Progress | None = None) -> int:
        """Fold the whole log again beside the projections, and switch where that differs; return how many entries.

        Writes go on meanwhile. :attr:`projections` does the same step by step, and takes it back.
        """
        return self.projections.rebuild(progress=increments(progress)).entries

    def check(self, *, progress: live.Progress | None = None) -> live.Difference:
        """Fold the whole log again beside the projections and count the rows that differ; leaves them as they are."""
        return self.projections.checked(progress=increments(progress))

    def verify(self, expect: str | None = None) -> verify.Verified:
        """Recompute the hash chain over the whole log and the commitments of all payloads.

        ``expect`` is the ``anchor`` of an earlier verification, ``POSITION:CHAIN``, kept elsewhere: a log that has
        another chain there, or ends before, is not the one that was verified then. Raises ValueError where it is none.
        """
        anchor = None if expect is None else verify.anchor_of(str(expect))
        with self._reading() as conn:
            return verify.verify(conn, anchor=anchor)

    def position(self) -> int:
        """Return the position of the last entry of the log."""
        with self._reading() as conn:
            return read_head(conn).position

    def behind(self) -> int | None:
        """Return how many entries the projections lag behind the log (0 as a rule); None: another machine's."""
        with self._reading() as conn:
            return live.behind(conn)

    def _connected(self, url: str, lock_timeout: float) -> Database:
        return Database(url, lock_timeout=lock_timeout)

    def _stream(self, conn: Connection, open_kfid: str, external_userid: str) -> Stream:
        stream = find_stream(conn, StreamKey(self.corp_id, "conversation", open_kfid, external_userid))
        if stream is None:
            raise UnknownConversationError(open_kfid, external_userid)
        return stream

    def _pages(self, page: Callable[..., tuple[list[T], object]], after: object, limit: int | None) -> Iterator[T]:
        """Yield what pages hold, each read in a transaction of its own, so that none stays open between them."""
        more = True
        while more and (limit is None or limit > 0):
            with self._reading() as conn:
                size = PAGE if limit is None else min(limit, PAGE)
                found, after = page(conn, corp_id=self.corp_id, after=after, limit=size)
            yield from found
            more = after is not None
            limit = None if limit is None else limit - len(found)

    def _now(self) -> int:
        return self._clock.now() // SECOND
