"""Conversations now: one by its ids, many by what they are, the queue, the load of servicers."""

from collections.abc import Sequence
from typing import Any, Self

import attrs
from sqlalchemy import Connection

from kfstate.errors import ArgumentError
from kfstate.machine import MACHINE, SessionState, state_at
from kfstate.machine.state import DOUBTS, EVIDENCE, STRONG
from kfstate.projections.builds import LIVE_VERSION
from kfstate.queries.views import ConversationView, LoadView, QueueView, SendWindow, at_second, at_time
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import Read, query
from kfstate.store.facts import sought

__all__ = [
    "PAGE",
    "After",
    "Filter",
    "among",
    "conversation",
    "conversations",
    "counts",
    "doubt_of",
    "folded",
    "load",
    "queue",
    "state_of",
]

_STATE = [field.name for field in attrs.fields(SessionState)]
_STRONG = ", ".join(f"'{row.name}'" for row in MACHINE.spec.rows if row.evidence in STRONG)
_GAP = (
    "(a.gap_until > COALESCE(c.decided, 0) AND NOT EXISTS (SELECT 1 FROM kf_entry e "
    "JOIN kf_step p ON p.position = e.position WHERE e.stream = c.stream AND e.sort_second >= a.gap_until "
    f"AND p.transition IN ({_STRONG}) "
    "AND p.known_from = (SELECT MAX(x.known_from) FROM kf_step x WHERE x.position = e.position)))"
)
"""Whether entries of the account were lost after which no strong evidence of the conversation came."""
_MACHINE = (
    "(SELECT COALESCE(m.version, b.fingerprint) FROM kf_projection b LEFT JOIN kf_machine m "
    "ON m.fingerprint = b.fingerprint WHERE b.name = 'shipped' AND b.status = 'live' ORDER BY b.version DESC LIMIT 1)"
)
"""The version of the machine that folded the rows; its fingerprint, where the log does not know it."""
_COLUMNS = (
    f"c.open_kfid, n.value, sv.value, pv.value, a.sends_recorded, u.synced_until, {_GAP}, "
    f"{', '.join('c.' + name for name in _STATE)}, c.rejected, {_MACHINE}"
)
_JOINS = (
    "JOIN kf_name n ON n.id = c.customer "
    "LEFT JOIN kf_name sv ON sv.id = c.servicer "
    "LEFT JOIN kf_name pv ON pv.id = c.previous_servicer "
    "LEFT JOIN kf_account a ON a.open_kfid = c.open_kfid "
    "LEFT JOIN kf_cursor u ON u.corp_id = n.corp_id AND u.open_kfid = c.open_kfid "
)
_ONE = (
    f"SELECT {_COLUMNS}, {LIVE_VERSION} FROM kf_name n "
    "JOIN kf_stream s ON s.corp_id = n.corp_id AND s.kind = 'conversation' "
    "AND s.open_kfid = ? AND s.customer = n.id AND s.servicer = 0 JOIN kf_conversation c ON c.stream = s.id "
    + _JOINS.partition("c.customer ")[2]
    + "WHERE n.corp_id = ? AND n.kind = 'customer' AND n.folded = ?"
)
_FINISHED, _QUEUE, _MANUAL = 4, 2, 3
WINDOW = 48 * 3600
"""Seconds after a customer's message in which ``send_msg`` may answer."""
PAGE = 1000
"""How many views are read at a time."""
After = tuple[str, str] | int
"""Where a page begins: after ``external_userid`` and ``open_kfid``, or after a stream whose ids are erased."""
_WORDS = {int(state): (state, state.word) for state in KfServiceState}
_UNLIMITED = 1 << 62
_TIMER = "'timer'"


@attrs.frozen(kw_only=True)
class Filter:
    """Which conversations: every field that is set must hold. ``now`` in seconds; None: as of each last entry."""

    state: KfServiceState | None = None
    account: str | None = None
    servicer: str | None = None
    doubt: str | None = None
    """One of the doubts, or ``any``."""
    evidence: str | None = None
    since: int | None = None
    """The second since when it has been in its state, at the latest."""
    now: int | None = None

    @classmethod
    def of(
        cls,
        *,
        state: KfServiceState | int | str | None,
        older_than: int | None,
        now: int,
        as_of_log: bool,
        **wanted: str | None,
    ) -> Self:
        """Return what callers mean: a state by its member, number or word, an age in seconds until ``now``.

        Raises :class:`~kfstate.errors.ArgumentError` where there is no such state, doubt, evidence or age.
        """
        among("doubt", wanted.get("doubt"), ("any", *DOUBTS))
        among("evidence", wanted.get("evidence"), EVIDENCE)
        if older_than is not None and not 0 <= older_than <= now:
            raise ArgumentError(name="older_than", value=repr(older_than), allowed=f"seconds, from 0 to {now}")
        since = None if older_than is None else now - older_than
        return cls(state=state_of(state), since=since, now=None if as_of_log else now, **wanted)

    def where(self) -> tuple[str, list[Any]]:
        """Return the condition in SQL, and its values."""
        parts: list[str] = []
        values: list[Any] = []

        def hold(part: str, *found: Any) -> None:
            parts.append(f"({part})")
            values.extend(found)

        expired = () if self.now is None else (self.now,)
        running = "1 = 1" if self.now is None else "c.expires_at IS NULL OR c.expires_at > ?"
        if self.state == _FINISHED:
            hold(f"c.service_state = {_FINISHED} OR NOT ({running})", *expired)
        elif self.state is not None:
            hold(f"c.service_state = ? AND ({running})", int(self.state), *expired)
        if self.account is not None:
            hold("c.open_kfid = ?", sought(self.account))
        if self.servicer is not None:
            servicer = sought(self.servicer).casefold()
            hold(f"c.service_state = {_MANUAL} AND sv.folded = ? AND ({running})", servicer, *expired)
        if self.doubt is not None:
            sign = "<>" if self.doubt == "any" else "="
            doubted = "none" if self.doubt == "any" else self.doubt
            case, times = doubt_of(self.now)
            hold(f"{case} {sign} ?", *times, doubted)
        if self.evidence is not None:
            hold(f"{_as_of('evidence', _TIMER, expired)} = ?", *expired, self.evidence)
        if self.since is not None:
            hold(f"{_as_of('since', 'c.expires_at', expired)} <= ?", *expired, self.since)
        return " AND ".join(["1 = 1", *parts]), values


def state_of(state: KfServiceState | int | str | None) -> KfServiceState | None:
    """Return what callers mean: a state by its member, number or word.

    Raises :class:`~kfstate.errors.ArgumentError` where there is no such state.
    """
    if state is None or isinstance(state, KfServiceState):
        return state
    try:
        return KfServiceState[state.upper()] if isinstance(state, str) else KfServiceState(state)
    except (KeyError, ValueError):
        allowed = ", ".join(f"{int(each)} {each.word}" for each in KfServiceState)
        raise ArgumentError(name="state", value=repr(state), allowed=allowed) from None


def among(name: str, value: str | None, words: Sequence[str]) -> None:
    """Raise :class:`~kfstate.errors.ArgumentError` unless an argument has one of these values, or none."""
    if value is not None and value not in words:
        raise ArgumentError(name=name, value=repr(value), allowed=", ".join(words))


def _as_of(column: str, expiry: str, expired: tuple[int, ...]) -> str:
    """Return a column, and what takes its place where an expiry is due."""
    return f"CASE WHEN c.expires_at <= ? THEN {expiry} ELSE c.{column} END" if expired else f"c.{column}"


def doubt_of(now: int | None) -> tuple[str, tuple[int, ...]]:
    """Return the doubt as of ``now`` as an SQL expression over ``c`` and ``a``, and its values."""
    if now is None:
        return f"CASE WHEN c.doubt <> 'none' THEN c.doubt WHEN {_GAP} THEN 'history_gap' ELSE 'none' END", ()
    case = (
        "CASE WHEN c.expires_at <= ? THEN 'expiry_presumed' WHEN c.doubt <> 'none' THEN c.doubt "
        f"WHEN c.doubtful_from <= ? THEN 'over_48h' WHEN {_GAP} THEN 'history_gap' ELSE 'none' END"
    )
    return case, (now, now)


def conversation(
    read: Read, open_kfid: str, external_userid: str, *, corp_id: str, now: int | None
) -> ConversationView | None:
    """Return one conversation as of ``now`` (seconds), or as of its last entry; None where the log has none."""
    rows = read(_ONE, (sought(open_kfid), corp_id, sought(external_userid)))
    return _view(rows[0], now) if rows else None


def folded(conn: Connection, open_kfid: str, external_userid: str, *, corp_id: str) -> SessionState | None:
    """Return the folded state of a conversation, with the servicer's id in lower case; None where the log has none."""
    rows = query(conn, _ONE, (sought(open_kfid), corp_id, sought(external_userid)))
    if not rows:
        return None
    servicer = rows[0][2]
    return attrs.evolve(SessionState(*rows[0][7 : 7 + len(_STATE)]), servicer=servicer and servicer.casefold())


def conversations(
    conn: Connection, wanted: Filter, *, corp_id: str, after: After | None = None, limit: int = PAGE
) -> tuple[list[ConversationView], After | None]:
    """Return conversations by ``external_userid`` and ``open_kfid``, erased ones last, and where the next page begins.

    ``after`` is such a pair, or what an earlier call returned; None is returned where there are no more.
    """
    condition, values = wanted.where()
    select = f"SELECT {_COLUMNS}, c.stream FROM kf_conversation c {_JOINS}WHERE n.corp_id = ? AND {condition} AND "
    if not isinstance(after, int):
        sql = f"{select} (n.folded, c.open_kfid) > (?, ?) ORDER BY n.folded, c.open_kfid LIMIT ?"
        rows = query(conn, sql, (corp_id, *values, *(after or ("", "")), limit))
        views = [_view(row, wanted.now) for row in rows]
        return views, (rows[-1][1], rows[-1][0]) if len(rows) == limit else 0
    sql = f"{select} n.folded IS NULL AND c.stream > ? ORDER BY c.stream LIMIT ?"
    rows = query(conn, sql, (corp_id, *values, after, limit))
    return [_view(row, wanted.now) for row in rows], rows[-1][-1] if len(rows) == limit else None


def counts(conn: Connection, wanted: Filter, *, corp_id: str) -> dict[KfServiceState, int]:
    """Return how many conversations there are in each state."""
    condition, values = wanted.where()
    state, times = "c.service_state", list[int]()
    if wanted.now is not None:
        state, times = f"CASE WHEN c.expires_at <= ? THEN {_FINISHED} ELSE c.service_state END", [wanted.now]
    sql = (
        f"SELECT {state} AS state, COUNT(*) FROM kf_conversation c {_JOINS}WHERE n.corp_id = ? AND {condition} "
        "GROUP BY 1"
    )
    found = {int(number): int(total) for number, total in query(conn, sql, (*times, corp_id, *values))}
    return {state: found.get(state, 0) for state in KfServiceState}


def queue(conn: Connection, *, account: str | None, corp_id: str, now: int) -> list[QueueView]:
    """Return who waits in the pool, longest first."""
    wanted = Filter(state=KfServiceState.QUEUE, account=account, now=now)
    waiting: list[ConversationView] = []
    after: After | None = ("", "")
    while after is not None:
        found, after = conversations(conn, wanted, corp_id=corp_id, after=after)
        waiting += found
    views = [
        QueueView(
            open_kfid=view.open_kfid,
            external_userid=view.external_userid,
            session=view.session,
            queued_since=view.queued_since,
            waiting_seconds=now - int(view.queued_since.timestamp()) if view.queued_since else 0,
            last_customer_message_at=view.last_customer_message_at,
            doubt=view.doubt,
        )
        for view in waiting
    ]
    return sorted(views, key=lambda view: -view.waiting_seconds)


def load(conn: Connection, *, account: str | None, corp_id: str, now: int) -> list[LoadView]:
    """Return every servicer that an account has shown, with the sessions that run now."""
    where, values = ("", ()) if account is None else ("AND v.open_kfid = ? ", (sought(account),))
    rows = query(
        conn,
        "SELECT v.open_kfid, n.value, v.receiving, v.stop_type, (SELECT COUNT(*) FROM kf_conversation c "
        "WHERE c.open_kfid = v.open_kfid AND c.servicer = v.servicer AND c.service_state = 3 "
        "AND (c.expires_at IS NULL OR c.expires_at > ?)) FROM kf_servicer v JOIN kf_name n ON n.id = v.servicer "
        f"WHERE n.corp_id = ? {where}ORDER BY v.open_kfid, n.folded",
        (now, corp_id, *values),
    )
    return [
        LoadView(open_kfid, name, None if receiving is None else bool(receiving), stop_type, sessions)
        for open_kfid, name, receiving, stop_type, sessions in rows
    ]


def _view(row: tuple[Any, ...], now: int | None) -> ConversationView:
    open_kfid, external_userid, servicer, previous, sends_recorded, synced_until, gap = row[:7]
    state = folded = SessionState(*row[7 : 7 + len(_STATE)])
    rejected, machine = row[7 + len(_STATE) : 9 + len(_STATE)]
    if now is not None and folded.doubtful_from is not None:
        state = state_at(folded, now)
    if state.servicer is None and folded.servicer is not None:
        previous = servicer
    doubt = state.doubt
    if doubt == "none" and gap:
        doubt = "history_gap"
    service_state, word = _WORDS[state.service_state]
    return ConversationView(
        open_kfid=open_kfid,
        external_userid=external_userid,
        service_state=service_state,
        state=word,
        servicer_userid=servicer if service_state == _MANUAL else None,
        previous_servicer_userid=previous,
        session=state.session,
        session_id=state.session_id,
        opened_by=state.opened_by,
        since=at_second(state.since),
        queued_since=at_second(state.queued_since),
        evidence=state.evidence,
        doubt=doubt,
        position=state.position,
        last_customer_message_at=at_second(state.last_customer_message),
        expires_at=at_second(state.expires_at),
        synced_until=at_time(synced_until),
        machine=machine,
        rejected=None if rejected is None else bool(rejected),
        send_window=_window(state, now, recorded=bool(sends_recorded)),
    )


def _window(state: SessionState, now: int | None, *, recorded: bool) -> SendWindow:
    limit = MACHINE.clockwork.send_limit
    until = None if state.last_customer_message is None else state.last_customer_message + WINDOW
    closed = until is None or (now is not None and now >= until)
    left = None if not recorded else 0 if closed else max(0, limit - state.sends)
    return SendWindow(state.sends, left, at_second(until))
