"""Sessions: the episodes of conversations with their waits, servicers and ends."""

from typing import Any

from sqlalchemy import Connection

from kfstate.queries.conversations import PAGE
from kfstate.queries.views import SegmentView, SessionView, at_second
from kfstate.store.dialect import query, query_in
from kfstate.store.facts import sought

__all__ = ["After", "sessions"]

_SESSIONS = (
    "SELECT s.stream, c.open_kfid, n.value, v.value, s.number, s.session_id, s.opened, s.opened_by, s.reopens, "
    "s.first_reply, s.queued, s.queue_seconds, s.abandoned, s.taken, s.ended, s.ended_by, s.transfers, s.messages_in, "
    "s.messages_out, s.sends, s.last_message, s.last_message_by, s.repairs, "
    "CASE WHEN s.ended IS NULL AND c.expires_at <= ? THEN c.expires_at END, c.service_state, c.queued_since "
    "FROM kf_session s JOIN kf_conversation c ON c.stream = s.stream JOIN kf_name n ON n.id = c.customer "
    "LEFT JOIN kf_name v ON v.id = s.servicer WHERE n.corp_id = ?"
)
_SEGMENTS = (
    "SELECT g.stream, g.session, n.value, g.taken_by, g.began, g.ended, g.ended_by, g.first_customer_message, "
    "g.first_reply, g.messages_in, g.messages_out FROM kf_segment g LEFT JOIN kf_name n ON n.id = g.servicer "
    "WHERE g.session BETWEEN ? AND ? AND g.stream IN (??) ORDER BY g.stream, g.session, g.number"
)
After = tuple[str, str, int] | tuple[int, int]
"""Where a page begins: after ``external_userid``, ``open_kfid`` and number, or after stream and number (erased)."""
_NEVER = -(1 << 62)
_QUEUE = 2


def sessions(
    conn: Connection,
    *,
    corp_id: str,
    open_kfid: str | None = None,
    external_userid: str | None = None,
    running: bool | None = None,
    after: After | None = None,
    limit: int = PAGE,
    now: int | None = None,
) -> tuple[list[SessionView], After | None]:
    """Return sessions by ``external_userid``, ``open_kfid`` and number, and where the next page begins (None: nowhere).

    ``now`` in seconds ends sessions whose expiry is due; None: as of each last entry. Those of erased customers come
    last.
    """
    seen = _NEVER if now is None else now
    sql, values = _SESSIONS, [seen, corp_id]
    for column, value in (("c.open_kfid", open_kfid), ("n.folded", external_userid)):
        if value is not None:
            sql += f" AND {column} = ?"
            values.append(sought(value))
    if running is not None:
        condition = "s.ended IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?)"
        sql += f" AND {condition}" if running else f" AND NOT ({condition})"
        values.append(seen)
    after = after or ("", "", 0)
    if len(after) == 3:
        sql += " AND (n.folded, c.open_kfid, s.number) > (?, ?, ?) ORDER BY n.folded, c.open_kfid, s.number LIMIT ?"
    else:
        sql += " AND n.folded IS NULL AND (s.stream, s.number) > (?, ?) ORDER BY s.stream, s.number LIMIT ?"
    rows = query(conn, sql, (*values, *after, limit))
    segments = _segments(conn, rows)
    views = [_view(row, segments.get((row[0], row[4]), [])) for row in rows]
    if len(after) == 3:
        return views, (rows[-1][2], rows[-1][1], rows[-1][4]) if len(rows) == limit else (0, 0)
    return views, (rows[-1][0], rows[-1][4]) if len(rows) == limit else None


def _segments(conn: Connection, rows: list[tuple[Any, ...]]) -> dict[tuple[int, int], list[tuple[Any, ...]]]:
    """Return stream and session → segments."""
    found: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
    if rows:
        numbers = [row[4] for row in rows]
        for row in query_in(conn, _SEGMENTS, sorted({row[0] for row in rows}), min(numbers), max(numbers)):
            found.setdefault((row[0], row[1]), []).append(row[2:])
    return found


def _view(row: tuple[Any, ...], segments: list[tuple[Any, ...]]) -> SessionView:
    expired, state, queued_since = row[23:]
    waited, abandoned = row[11], bool(row[12])
    if expired is not None and state == _QUEUE and queued_since is not None:
        waited, abandoned = waited + expired - queued_since, True
    return SessionView(
        open_kfid=row[1],
        external_userid=row[2],
        servicer_userid=row[3],
        session=row[4],
        session_id=row[5],
        opened_at=at_second(row[6]),
        opened_by=row[7],
        reopens=row[8],
        first_reply_at=at_second(row[9]),
        queued_at=at_second(row[10]),
        queue_seconds=waited,
        abandoned=abandoned,
        taken_at=at_second(row[13]),
        ended_at=at_second(row[14] if expired is None else expired),
        ended_by=row[15] if expired is None else "expiry",
        transfers=row[16],
        messages_in=row[17],
        messages_out=row[18],
        sends=row[19],
        last_message_at=at_second(row[20]),
        last_message_by=row[21],
        repairs=row[22],
        servicers=tuple(_segment(segment, expired) for segment in segments),
    )


def _segment(row: tuple[Any, ...], expired: int | None) -> SegmentView:
    ended = row[3] if row[3] is not None else expired
    return SegmentView(
        servicer_userid=row[0],
        taken_by=row[1],
        began_at=at_second(row[2]),
        ended_at=at_second(ended),
        ended_by=row[4] if row[3] is not None or expired is None else "expiry",
        first_customer_message_at=at_second(row[5]),
        first_reply_at=at_second(row[6]),
        messages_in=row[7],
        messages_out=row[8],
    )
