"""The engine's methods for questions about many conversations, and about what stands beside them."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from kfstate.clock import SECOND, Clock
from kfstate.errors import ArgumentError
from kfstate.queries import conversations as conversation_queries
from kfstate.queries import sessions as session_queries
from kfstate.queries import side as side_queries
from kfstate.queries.conversations import PAGE, Filter
from kfstate.queries.side import AnomalyView, CodeView, FateView
from kfstate.queries.views import ConversationView, LoadView, QueueView, SessionView
from kfstate.service_state import KfServiceState
from kfstate.store.database import Database
from kfstate.store.facts import IDS, sought

__all__ = ["Questions"]

T = TypeVar("T")


class Questions:
    """The part of :class:`kfstate.Engine` that lists and counts."""

    corp_id: str
    _database: Database
    _clock: Clock

    def conversations(
        self,
        *,
        state: KfServiceState | int | str | None = None,
        account: str | None = None,
        servicer: str | None = None,
        doubt: str | None = None,
        evidence: str | None = None,
        older_than: int | None = None,
        after: tuple[str, str] | None = None,
        limit: int | None = None,
        as_of_log: bool = False,
    ) -> Iterator[ConversationView]:
        """Yield conversations by ``external_userid`` and ``open_kfid``; ``after`` is such a pair to go on from.

        ``older_than``: only those that have been in their state for so many seconds at least.
        """
        wanted = Filter.of(
            state=state, account=account, servicer=servicer, doubt=doubt, evidence=evidence, older_than=older_than,
            now=self._now(), as_of_log=as_of_log,
        )  # fmt: skip
        yield from self._pages(partial(conversation_queries.conversations, wanted=wanted), after, limit)

    def counts(
        self,
        *,
        state: KfServiceState | int | str | None = None,
        account: str | None = None,
        servicer: str | None = None,
        doubt: str | None = None,
        evidence: str | None = None,
        older_than: int | None = None,
        as_of_log: bool = False,
    ) -> dict[KfServiceState, int]:
        """Return how many of the conversations that :meth:`conversations` would yield are in each state."""
        wanted = Filter.of(
            state=state, account=account, servicer=servicer, doubt=doubt, evidence=evidence, older_than=older_than,
            now=self._now(), as_of_log=as_of_log,
        )  # fmt: skip
        with self._database.reading() as conn:
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

    def queue(self, account: str | None = None) -> list[QueueView]:
        """Return who waits in the pool now, longest first."""
        with self._database.reading() as conn:
            return conversation_queries.queue(conn, account=account, corp_id=self.corp_id, now=self._now())

    def load(self, account: str | None = None) -> list[LoadView]:
        """Return what each servicer of an account (default: of all) carries now."""
        with self._database.reading() as conn:
            return conversation_queries.load(conn, account=account, corp_id=self.corp_id, now=self._now())

    def anomalies(
        self,
        *,
        kind: str | None = None,
        open_kfid: str | None = None,
        external_userid: str | None = None,
        after: tuple[int, str] | None = None,
        limit: int | None = None,
    ) -> Iterator[AnomalyView]:
        """Yield the entries that did not fit, by position and kind; ``after`` is such a pair to go on from.

        ``kind`` is ``repaired``, ``refused``, ``unknown``, ``conflicting_msgid`` or ``history_gap``.
        """
        page = partial(side_queries.anomalies, kind=kind, open_kfid=open_kfid, external_userid=external_userid)
        yield from self._pages(page, after, limit)

    def fates(
        self,
        *,
        fate: str | None = None,
        open_kfid: str | None = None,
        external_userid: str | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> Iterator[FateView]:
        """Yield the messages that were taken back or not delivered, by the position of the entry that says so.

        ``fate`` is ``recalled_by_customer``, ``recalled_by_servicer`` or ``failed``.
        """
        page = partial(side_queries.fates, fate=fate, open_kfid=open_kfid, external_userid=external_userid)
        yield from self._pages(page, after, limit)

    def codes(
        self,
        *,
        usable: bool = True,
        open_kfid: str | None = None,
        external_userid: str | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> Iterator[CodeView]:
        """Yield the codes for ``send_msg_on_event`` that may be used now, or all, by the position they came at."""
        page = partial(
            side_queries.codes, now=self._now(), usable=usable, open_kfid=open_kfid, external_userid=external_userid
        )
        yield from self._pages(page, after, limit)

    def _pages(self, page: Callable[..., tuple[list[T], object]], after: object, limit: int | None) -> Iterator[T]:
        """Yield what pages hold, each read in a transaction of its own, so that none stays open between them."""
        for part in after if isinstance(after, tuple) else ():
            if isinstance(part, str) and part != sought(part):
                raise ArgumentError(name="after", value=ascii(after)[:200], allowed=f"ids of {IDS}")
        more = True
        while more and (limit is None or limit > 0):
            with self._database.reading() as conn:
                size = PAGE if limit is None else min(limit, PAGE)
                found, after = page(conn, corp_id=self.corp_id, after=after, limit=size)
            yield from found
            more = after is not None
            limit = None if limit is None else limit - len(found)

    def _now(self) -> int:
        return self._clock.now() // SECOND
