"""Sessions: the episodes of conversations with their waits, servicers and ends."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from kfstate.queries.views import SegmentView, SessionView, at_second
from kfstate.store.dialect import query

__all__ = ["sessions"]

_SESSIONS = (
    "SELECT s.stream, c.open_kfid, n.value, v.value, s.number, s.session_id, s.opened, s.opened_by, s.reopens, "
    "s.first_reply, s.queued, s.queue_seconds, s.abandoned, s.taken, s.ended, s.ended_by, s.transfers, s.messages_in, "
    "s.messages_out, s.sends, s.last_message, s.last_message_by, s.repairs, "
    "CASE WHEN s.ended IS NULL AND c.expires_at <= ? THEN c.expires_at END, c.service_state, c.queued_since "
    "FROM kf_session s JOIN kf_conversation c ON c.stream = s.stream JOIN kf_name n ON n.id = c.customer "
    "LEFT JOIN kf_name v ON v.id = s.servicer WHERE n.corp_id = ?"
)
_SEGMENTS = (
    "SELECT n.value, g.taken_by, g.began, g.ended, g.ended_by, g.first_customer_message, g.first_reply, g.messages_in, "
    "g.messages_out FROM kf_segment g LEFT JOIN kf_name n ON n.id = g.servicer "
    "WHERE g.stream = ? AND g.session = ? ORDER BY g.number"
)
_NEVER = -(1 << 62)
_QUEUE = 2


def sessions(
    conn: Connection,
    *,
    corp_id: str,
    open_kfid: str | None = None,
    external_userid: str | None = None,
    running: bool | None = None,
    after: tuple[str, str, int] | None = None,
    limit: int | None = None,
    now: int | None = None,
) -> Iterator[SessionView]:
    """Yield sessions by ``external_userid``, ``open_kfid`` and number; ``after`` is such a triple to go on from.

    ``now`` in seconds ends sessions whose expiry is due; None: as of each last entry.
    """
    sql, values = _SESSIONS, [_NEVER if now is None else now, corp_id]
    for column, value in (("c.open_kfid", open_kfid), ("n.folded", external_userid)):
        if value is not None:
            sql += f" AND {column} = ?"
            values.append(value)
    if running is not None:
        condition = "s.ended IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?)"
        sql += f" AND {condition}" if running else f" AND NOT ({condition})"
        values.append(_NEVER if now is None else now)
    if after is not None:
        sql += " AND (n.folded IS NULL OR (n.folded, c.open_kfid, s.number) > (?, ?, ?))"
        values += after
    sql += " ORDER BY n.folded IS NULL, n.folded, c.open_kfid, s.number"
    if limit is not None:
        sql += " LIMIT ?"
        values.append(limit)
    for row in query(conn, sql, tuple(values)):
        yield _view(row, query(conn, _SEGMENTS, (row[0], row[4])))


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
