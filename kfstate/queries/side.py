"""What stands beside the states: entries that did not fit, what became of messages, codes for ``send_msg_on_event``."""

from datetime import datetime
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.queries.conversations import PAGE, among
from kfstate.queries.views import at_second
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import query
from kfstate.store.facts import sought

__all__ = ["ANOMALIES", "FATES", "AnomalyView", "CodeView", "FateView", "anomalies", "codes", "fates"]

ANOMALIES = ("repaired", "refused", "unknown", "conflicting_msgid", "history_gap")
"""What an anomaly can be."""
FATES = ("recalled_by_customer", "recalled_by_servicer", "failed")
"""What can become of a message."""
_PLACE = "JOIN kf_stream s ON s.id = t.stream LEFT JOIN kf_name n ON n.id = s.customer "
_ANOMALIES = (
    "SELECT s.open_kfid, n.value, t.position, t.kind, e.kind, t.second FROM kf_anomaly t "
    f"LEFT JOIN kf_entry e ON e.position = t.position {_PLACE}"
)
_FATES = (
    "SELECT s.open_kfid, n.value, t.position, t.ref, t.fate, t.fail_type, t.second, t.target FROM kf_message_fate t "
    f"{_PLACE}"
)
_CODES = (
    "SELECT s.open_kfid, n.value, t.position, t.code, t.scene, t.given, t.valid_until, t.only_state, t.used, "
    "CASE WHEN c.expires_at <= ? THEN 4 ELSE c.service_state END "
    f"FROM kf_code t {_PLACE}LEFT JOIN kf_conversation c ON c.stream = t.stream "
)
_USABLE = (
    " AND t.used IS NULL AND t.valid_until > ? "
    "AND (t.only_state IS NULL OR t.only_state = CASE WHEN c.expires_at <= ? THEN 4 ELSE c.service_state END)"
)


@attrs.frozen
class AnomalyView:
    """An entry that did not fit; ``external_userid`` None: it belongs to no customer, or the customer is erased."""

    open_kfid: str
    external_userid: str | None
    position: int
    kind: str
    """``repaired``, ``refused``, ``unknown``, ``conflicting_msgid`` or ``history_gap``."""
    entry: str | None
    """The kind of the entry."""
    at: datetime | None


@attrs.frozen
class FateView:
    """A message that was taken back or not delivered."""

    open_kfid: str
    external_userid: str | None
    position: int
    """Of the entry that says so."""
    msgid: str
    fate: str
    """``recalled_by_customer``, ``recalled_by_servicer`` or ``failed``."""
    fail_type: int | None
    at: datetime | None
    message: int | None
    """Position of the message itself, where the log has it."""


@attrs.frozen
class CodeView:
    """A code with which one message may be sent on an event, outside of the window of ``send_msg``."""

    open_kfid: str
    external_userid: str | None
    position: int
    code: str
    scene: str
    """What it came with: ``welcome``, ``queued``, ``taken`` or ``ended``."""
    given_at: datetime | None
    valid_until: datetime | None
    only_state: str | None
    """The state outside of which it is void."""
    used: int | None
    """Position of the message that used it, as far as sends are recorded."""
    usable: bool
    """Whether it may be used now."""


def anomalies(
    conn: Connection,
    *,
    corp_id: str,
    kind: str | None = None,
    open_kfid: str | None = None,
    external_userid: str | None = None,
    after: tuple[int, str] | None = None,
    limit: int = PAGE,
) -> tuple[list[AnomalyView], tuple[int, str] | None]:
    """Return anomalies by position and kind, and where the next page begins (None: nowhere)."""
    position, last = after or (0, "")
    condition, values = _where(corp_id, open_kfid, external_userid)
    among("kind", kind, ANOMALIES)
    if kind is not None:
        condition += " AND t.kind = ?"
        values.append(kind)
    sql = (
        f"{_ANOMALIES}WHERE {condition} AND t.position >= ? AND (t.position > ? OR t.kind > ?) "
        "ORDER BY t.position, t.kind LIMIT ?"
    )
    rows = query(conn, sql, (*values, position, position, last, limit))
    views = [_anomaly(row) for row in rows]
    return views, (views[-1].position, views[-1].kind) if len(rows) == limit else None


def fates(
    conn: Connection,
    *,
    corp_id: str,
    fate: str | None = None,
    open_kfid: str | None = None,
    external_userid: str | None = None,
    after: int | None = None,
    limit: int = PAGE,
) -> tuple[list[FateView], int | None]:
    """Return what became of messages, by position, and where the next page begins (None: nowhere)."""
    condition, values = _where(corp_id, open_kfid, external_userid)
    among("fate", fate, FATES)
    if fate is not None:
        condition += " AND t.fate = ?"
        values.append(fate)
    sql = f"{_FATES}WHERE {condition} AND t.position > ? ORDER BY t.position LIMIT ?"
    rows = query(conn, sql, (*values, after or 0, limit))
    return [_fate(row) for row in rows], _next(rows, limit)


def codes(
    conn: Connection,
    *,
    corp_id: str,
    now: int,
    usable: bool = True,
    open_kfid: str | None = None,
    external_userid: str | None = None,
    after: int | None = None,
    limit: int = PAGE,
) -> tuple[list[CodeView], int | None]:
    """Return the codes that may be used at ``now`` (seconds), or all, by position, and where the next page begins."""
    condition, values = _where(corp_id, open_kfid, external_userid)
    if usable:
        condition += _USABLE
        values += [now, now]
    sql = f"{_CODES}WHERE {condition} AND t.position > ? ORDER BY t.position LIMIT ?"
    rows = query(conn, sql, (now, *values, after or 0, limit))
    return [_code(row, now) for row in rows], _next(rows, limit)


def _where(corp_id: str, open_kfid: str | None, external_userid: str | None) -> tuple[str, list[Any]]:
    condition, values = "s.corp_id = ?", [corp_id]
    for column, value in (("s.open_kfid", open_kfid), ("n.folded", external_userid)):
        if value is not None:
            condition += f" AND {column} = ?"
            values.append(sought(value))
    return condition, values


def _next(rows: list[tuple[Any, ...]], limit: int) -> int | None:
    return rows[-1][2] if len(rows) == limit else None


def _anomaly(row: tuple[Any, ...]) -> AnomalyView:
    open_kfid, external_userid, position, kind, entry, second = row
    return AnomalyView(open_kfid, external_userid, position, kind, entry, at_second(second))


def _fate(row: tuple[Any, ...]) -> FateView:
    open_kfid, external_userid, position, msgid, fate, fail_type, second, message = row
    return FateView(open_kfid, external_userid, position, msgid, fate, fail_type, at_second(second), message)


def _code(row: tuple[Any, ...], now: int) -> CodeView:
    open_kfid, external_userid, position, code, scene, given, valid_until, only_state, used, state = row
    word = None if only_state is None else KfServiceState(only_state).word
    usable = used is None and valid_until > now and only_state in {None, state}
    return CodeView(
        open_kfid, external_userid, position, code, scene, at_second(given), at_second(valid_until), word, used, usable
    )
