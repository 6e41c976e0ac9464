"""Who has waited for how long: in the pool, for a servicer's answer, or with a send window that is about to close."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.errors import ArgumentError
from kfstate.queries.conversations import PAGE
from kfstate.store.dialect import query, query_in

__all__ = ["WAITS", "Wait", "WaitKind", "told_until", "waits"]

WaitKind = Literal["queued", "unanswered", "window"]
"""``queued``: in the pool; ``unanswered``: in MANUAL, and the customer's message is without an answer; ``window``:
since the customer's last message, of a session that runs."""
WAITS: tuple[WaitKind, ...] = get_args(WaitKind)

_ANSWERED = (
    "(SELECT MAX(a.sort_second) FROM kf_entry a WHERE a.stream = c.stream AND a.sort_second >= s.opened "
    "AND a.kind = 'servicer_message')"
)
# Within the second of the answer only the fold knows which came first: then it is the last message.
_ASKED = (
    "COALESCE((SELECT MIN(q.sort_second) FROM kf_entry q WHERE q.stream = c.stream "
    f"AND q.sort_second > COALESCE({_ANSWERED}, s.opened - 1) AND q.kind = 'customer_message'), s.last_message)"
)
_SINCE = {"queued": "c.queued_since", "unanswered": _ASKED, "window": "c.last_customer_message"}
_WHERE = {
    "queued": "c.service_state = 2",
    "unanswered": "c.service_state = 3 AND s.last_message_by = 'customer'",
    "window": "c.service_state IN (0, 1, 2, 3)",
}
_SELECT = (
    "SELECT c.stream, c.open_kfid, n.value, {since}, c.since, c.session_id, sv.value, u.open_kfid, u.synced_until "
    "FROM kf_conversation c JOIN kf_name n ON n.id = c.customer LEFT JOIN kf_name sv ON sv.id = c.servicer "
    "JOIN kf_session s ON s.stream = c.stream AND s.number = c.session "
    "LEFT JOIN kf_cursor u ON u.corp_id = n.corp_id AND u.open_kfid = c.open_kfid "
    "WHERE n.corp_id = ? AND n.value IS NOT NULL AND {where} AND {first} <= ? "
    "AND (c.expires_at IS NULL OR c.expires_at > ?) AND "
)
_FIRST = {"queued": "c.queued_since", "unanswered": "c.since", "window": "c.last_customer_message"}
"""What has to be long ago before the wait can be; asked first, because it needs no look at the entries."""


@attrs.frozen
class Wait:
    """A conversation that waits, since a second. ``heard_until`` is the second until which its account is known."""

    stream: int
    open_kfid: str
    external_userid: str
    since: int
    session_id: int | None
    servicer_userid: str | None
    heard_until: int


def waits(
    conn: Connection, kind: WaitKind, since: int, *, now: int, corp_id: str, streams: Iterable[int] | None = None
) -> list[Wait]:
    """Return the conversations that wait since this second or longer, as of ``now`` (seconds); no erased ones.

    ``streams``: only those. Raises :class:`~kfstate.errors.ArgumentError` where there is no such kind.
    """
    if kind not in WAITS:
        raise ArgumentError(name="kind", value=repr(kind), allowed=", ".join(WAITS))
    select = _SELECT.format(since=_SINCE[kind], where=_WHERE[kind], first=_FIRST[kind])
    fixed = (corp_id, since, now)
    if streams is not None:
        rows = list(query_in(conn, f"{select}c.stream IN (??)", sorted(streams), *fixed))
    else:
        rows = []
        page: Sequence[tuple[Any, ...]] = [(0,)]
        while page:
            last = page[-1][0]
            page = query(conn, f"{select}c.stream > ? ORDER BY c.stream LIMIT ?", (*fixed, last, PAGE))
            rows += page
    found = (_wait(kind, row, now) for row in rows)
    return [wait for wait in found if wait is not None and wait.since <= since]


def told_until(conn: Connection, name: str, streams: Iterable[int]) -> dict[int, int]:
    """Return stream → the latest second since which a ``limit_reached`` of this name says that somebody waits."""
    sql = (
        "SELECT stream, MAX(from_at) FROM kf_entry WHERE kind = 'limit_reached' AND via = ? AND stream IN (??) "
        "GROUP BY stream"
    )
    return {stream: from_at // SECOND for stream, from_at in query_in(conn, sql, sorted(streams), name)}


def _wait(kind: WaitKind, row: tuple[Any, ...], now: int) -> Wait | None:
    stream, open_kfid, customer, since, state_since, session_id, servicer, pulled, synced_until = row
    if since is None:
        return None
    if kind == "unanswered":  # nobody could answer before a servicer had the customer
        since = max(since, state_since)
    # An account without a cursor is not pulled here: whoever brings its entries brings them as they come.
    heard = now if pulled is None else min(now, (synced_until or 0) // SECOND)
    return Wait(stream, open_kfid, customer, since, session_id, servicer, heard)
