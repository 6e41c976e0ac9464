# ruff: noqa: S608 (the SQL is put together from constants)
"""What somebody wants done with a conversation: what is known before the call, and the entries around it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.errors import (
    ArgumentError,
    ClosedError,
    ConcurrentChangeError,
    ReplyError,
    ReplyLostError,
    UnreachableError,
    VersionConflictError,
    WecomError,
)
from kfstate.intake import ACTOR
from kfstate.machine import SessionState, initial, state_at
from kfstate.queries.conversations import conversation, folded
from kfstate.queries.views import SendWindow
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import query
from kfstate.store.envelope import OwnEntry, draft_own
from kfstate.store.head import lock_head
from kfstate.store.identity import look_up, repeated
from kfstate.store.read import find_stream
from kfstate.store.rows import Expected, StreamKey
from kfstate.store.streams import last_of
from kfstate.wecom.accounts import manages
from kfstate.wecom.alive import this_process
from kfstate.wecom.earlier import Earlier, Result, concurrent, read_earlier
from kfstate.wecom.intents import CHANGE, Intent, Intents
from kfstate.wecom.reading import Reading, read_state
from kfstate.wecom.site import Site
from kfstate.wecom.trying import Trying

__all__ = [
    "AGAIN",
    "BUSY",
    "NO_RIGHT",
    "REFUSALS",
    "STATE_IS_WRONG",
    "TRANS",
    "UNMANAGED",
    "Errand",
    "Guard",
    "Seen",
    "settle",
    "usable_code",
]

T = TypeVar("T")
Guard = Callable[[Connection], None]
"""Called under the lock, before an intent is recorded: raises an error where what was decided on no longer holds."""

BUSY = -1
"""The errcode under which a call is recorded that certainly was not carried out: it never got to WeCom."""
NO_RIGHT = 48002
UNMANAGED = "the account is not managed by API (通过API管理): WeCom routes its sessions by itself"
REFUSALS = frozenset({95001, 95002, 95013, 95014, 95016, 95018, 95019})
"""Errcodes with which WeCom answers the question itself; after any other one the same key may try again."""
STATE_IS_WRONG = frozenset({95016, 95018})
"""Those that say that the state is another one than we believe."""
AGAIN = 20
"""How often is decided again because entries came in meanwhile."""
TRANS = "service_state/trans"
_UNDONE = (UnreachableError, ReplyError, ClosedError, ArgumentError, ConcurrentChangeError)
"""What a call raises that was not carried out, and not refused by WeCom either."""
_SINCE = f"SELECT MAX(position) FROM kf_entry WHERE stream = ? AND version > ? AND kind = '{CHANGE}'"


@attrs.frozen(kw_only=True)
class Seen:
    """A conversation as it was in one snapshot.

    ``servicer`` is who serves, spelled as it came in, '' where that is nobody. ``now`` and ``latest`` are seconds and
    microseconds.
    """

    state: SessionState
    servicer: str
    doubt: str
    version: Expected
    latest: int
    stream: int | None
    managed: bool | None
    window: SendWindow | None
    under_way: Intent | None
    now: int

    @property
    def service_state(self) -> KfServiceState:
        """The state now, a due expiry applied."""
        return KfServiceState(state_at(self.state, self.now).service_state)


@attrs.frozen(kw_only=True)
class Errand:
    """Who wants something done, of which conversation, and why."""

    site: Site
    intents: Intents
    open_kfid: str
    external_userid: str
    actor: str = ACTOR
    reason: str = ""
    request_id: str = ""

    # What is known

    def look(self) -> Seen:
        """Return the conversation as it is now."""
        site, now = self.site, self.site.clock.now() // SECOND
        ids = (self.open_kfid, self.external_userid)
        with site.database.reading() as conn:
            intent = self.intents.read(conn).change(*ids)
            stream = find_stream(conn, StreamKey(site.corp_id, "conversation", *ids))
            version, latest = (0, -1) if stream is None else last_of(conn, stream.id)
            state = folded(conn, *ids, corp_id=site.corp_id)
            view = conversation(partial(query, conn), *ids, corp_id=site.corp_id, now=now)
            managed = manages(conn, self.open_kfid)
        return Seen(
            state=state or initial(), servicer="" if view is None else view.servicer_userid or "",
            doubt="first_seen" if view is None else view.doubt, version=version or "new",
            latest=latest, stream=None if stream is None else stream.id, managed=managed,
            window=None if view is None else view.send_window, under_way=intent, now=now,
        )  # fmt: skip

    def earlier(self, intent: OwnEntry) -> Earlier | None:
        """Return what stands in the log under the key of an intent."""
        site = self.site
        draft = draft_own(intent, now=site.clock.now(), corp_id=site.corp_id)
        with site.database.reading() as conn:
            seen = look_up(conn, [draft])().get((draft.day, draft.key))
            return None if seen is None else read_earlier(conn, repeated(draft, seen))

    def at(self, position: int) -> Earlier:
        """Return an intent and what became of it."""
        with self.site.database.reading() as conn:
            return read_earlier(conn, position)

    # The entries around a call

    def entry(self, kind: str, **facts: Any) -> OwnEntry:
        """Return an entry of this conversation, in the name of whoever wants this."""
        return OwnEntry(
            kind=kind, actor=facts.pop("actor", self.actor), open_kfid=self.open_kfid,
            external_userid=self.external_userid, reason=facts.pop("reason", self.reason),
            request_id=self.request_id, **facts,
        )  # fmt: skip

    def intend(self, call: str, intent: OwnEntry, seen: Seen, guard: Guard | None = None) -> int:
        """Record an intent that was decided on by what was seen, and return its position.

        Raises :class:`~kfstate.errors.ConcurrentChangeError` where somebody else has begun to change the conversation
        since; :class:`~kfstate.errors.VersionConflictError` where something else came in: decide again;
        :class:`~kfstate.errors.RateLimitError` where ``call`` is stopped.
        """
        self.site.client._calls.rates.ask(call)  # noqa: SLF001 (nothing is intended that is not tried)
        data = {**(intent.data or {}), "process": this_process()}
        intent = attrs.evolve(intent, data=data, occurred_at=max(self.site.wecom_now(), seen.latest + 1))
        try:
            if guard is None:
                done = self.site.engine.record(intent, expected=seen.version)
            else:
                with self.site.database.writing() as conn:
                    lock_head(conn)
                    guard(conn)
                    done = self.site.engine.record(intent, expected=seen.version, connection=conn)
        except VersionConflictError:
            self._ask_since(seen)
            raise
        if done.duplicate:
            raise self._in_the_way(self.at(done.position).intent)
        return done.position

    @contextmanager
    def calling(
        self, intent: int, refused: str, lost: str, facts: Mapping[str, Any], *, again: bool = False
    ) -> Iterator[Trying]:  # fmt: skip
        """Record what became of the call inside, where it fails; ``facts`` are those of the refusal.

        What the call raises is raised. ``again``: nobody knows what became of the same call before, and a refusal of
        this one does not tell, so that none is recorded.
        """
        trying = Trying.of(self.site, self.open_kfid, lost, self.at(intent).intent, again=again)
        try:
            with self.site.client._calls.telling(trying.goes_out):  # noqa: SLF001
                yield trying
        except WecomError as error:
            if again:
                raise
            data = {"errmsg": error.errmsg}
            self.record(refused, cause=intent, occurred_at=trying.asked, errcode=error.errcode, data=data, **facts)
            raise
        except _UNDONE as error:
            if again:
                raise
            data = {"error": str(error)[:1000]}
            self.record(refused, cause=intent, occurred_at=trying.asked, errcode=BUSY, data=data, **facts)
            raise
        except BaseException as error:
            reason = error.reason if isinstance(error, ReplyLostError) else type(error).__name__
            self.lose(intent, lost, facts, trying.asked, reason)
            raise

    def answered(self, trying: Trying, kind: str, **facts: Any) -> int:
        """Record that WeCom did what it was asked for, and return the position.

        Where the state was read meanwhile, nobody knows which came first: it is read again.
        """
        overtaken = trying.overtaken()
        position = self.record(kind, cause=trying.intent.position, occurred_at=trying.asked, **facts)
        if overtaken:
            self.heal(cause=position, why="it was read while a call was under way")
        return position

    def lose(self, intent: int, via: str, facts: Mapping[str, Any], occurred_at: int, reason: str) -> bool:
        """Record that nobody knows what became of a call; tell whether that is news."""
        named = {name: facts[name] for name in ("service_state", "servicer_userid", "msgid") if name in facts}
        return not self.site.engine.record(
            self.entry(
                "reply_lost", cause=intent, occurred_at=occurred_at, via=via, data={"error": reason[:1000]},
                key=f"reply_lost/{intent}/{occurred_at}", **named,
            )
        ).duplicate  # fmt: skip

    def record(self, kind: str, **facts: Any) -> int:
        """Record what became of a call, and return its position."""
        return self.site.engine.record(self.entry(kind, **facts)).position

    def read(self, *, cause: int | None = None, why: str) -> Reading:
        """Read the state back from WeCom, and record it."""
        return read_state(
            self.site, self.open_kfid, self.external_userid, cause=cause, actor=self.actor, reason=why,
            request_id=self.request_id,
        )  # fmt: skip

    def heal(self, *, cause: int, why: str) -> Reading | None:
        """Read the state back where that can be done; None: it stays in doubt."""
        try:
            return self.read(cause=cause, why=why)
        except (WecomError, UnreachableError, ReplyError, VersionConflictError, ClosedError):
            return None

    def give_way(self, intent: Intent | Result) -> None:
        """Settle an intent that nobody will settle; raise an error where its call is under way.

        Raises what the client does, where the state cannot be read: what became of the call stays unknown.
        """
        with self.site.database.reading() as conn:
            abandoned = self.intents.is_abandoned(conn, intent.position, intent.recorded_at)
        if not abandoned:
            raise self._in_the_way(intent)
        settle(self, self.at(intent.position))

    def settled(self, earlier: Earlier) -> Earlier:
        """Return an earlier intent with what became of it; raise an error where its call is under way."""
        if earlier.results:
            return earlier
        self.give_way(earlier.intent)
        return self.at(earlier.intent.position)

    def _in_the_way(self, other: Result | Intent) -> ConcurrentChangeError:
        return concurrent(self.open_kfid, self.external_userid, other)

    def _ask_since(self, seen: Seen) -> None:
        """Raise an error where somebody intends to change the conversation who did not when it was looked at."""
        with self.site.database.reading() as conn:
            stream = seen.stream
            if stream is None:
                key = StreamKey(self.site.corp_id, "conversation", self.open_kfid, self.external_userid)
                found = find_stream(conn, key)
                stream = 0 if found is None else found.id
            version = seen.version if isinstance(seen.version, int) else 0
            position = query(conn, _SINCE, (stream, version))[0][0]
            other = None if position is None else read_earlier(conn, position).intent
        if other is not None:
            raise self._in_the_way(other)


def settle(errand: Errand, earlier: Earlier) -> bool:
    """Record that the reply of an abandoned intent never came, and read the state back; tell whether that is news.

    Raises what the client does, where the state cannot be read: what became of the call stays unknown.
    """
    intent = earlier.intent
    if earlier.results:
        return False
    if intent.kind == CHANGE:
        via, facts = TRANS, {"service_state": intent.to, "servicer_userid": intent.servicer_userid}
    else:
        via, facts = intent.via, {"msgid": intent.msgid}
    reason = "whoever made the call did not record its result"
    if not errand.lose(intent.position, via, facts, intent.occurred_at + 1, reason):
        return False
    errand.read(cause=intent.position, why="the result of a call was never recorded")
    return True


def usable_code(code: str | None) -> str:
    """Return a code that WeCom gave, '' where it is none that the log can hold."""
    return code if code and len(code) <= 512 and code.isascii() and code.isprintable() else ""
