"""Own entries: those of the callers, and those that the engine itself makes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.errors import KfstateError
from kfstate.intake.appends import Appends, append_and_project
from kfstate.machine import MACHINE
from kfstate.store.dialect import bulk_insert, query
from kfstate.store.envelope import OwnEntry, draft_own, from_json
from kfstate.store.head import read_head
from kfstate.store.plan import Part, check_expected
from kfstate.store.read import find_stream
from kfstate.store.rows import Expected, Result, StreamKey
from kfstate.store.tables import kf_machine

__all__ = ["ACTOR", "activate", "active_machine", "expire_due", "record", "record_one"]

ACTOR = "kfstate"
"""Who made the entries that the engine records by itself."""

_AT_ONCE = 1000


def record_one(
    appends: Appends,
    entry: OwnEntry | Mapping[str, Any],
    *,
    corp_id: str,
    expected: Expected,
    connection: Connection | None,
) -> Result:
    """Append an own entry; see :meth:`kfstate.engine.Engine.record`."""
    check_expected(expected)
    own = entry if isinstance(entry, OwnEntry) else from_json(entry)
    draft = draft_own(own, now=appends.clock.now(), corp_id=corp_id)
    part = Part(drafts=[draft], expected={} if expected == "any" else {draft.stream: expected})
    stored = appends.store(part) if connection is None else appends.store_in(connection, part)
    return stored.appended.results[0]


def record(
    conn: Connection, entries: Sequence[OwnEntry], *, now: int, corp_id: str, receipt: bool = False
) -> list[Result]:
    """Append own entries in this transaction, all or none, and say what became of each."""
    part = Part(drafts=[draft_own(entry, now=now, corp_id=corp_id, receipt=receipt) for entry in entries])
    (done,) = append_and_project(conn, [part], now=now)[0].parts
    if isinstance(done, KfstateError):
        raise done
    return done.results


def expire_due(conn: Connection, second: int, *, now: int, corp_id: str) -> int:
    """Record ``session_expired`` for at most 1,000 sessions that are due by ``second``; return how many.

    Of an account that is pulled, only those that were due when its last complete pull began: a message that has not
    come in yet may have kept a session open.
    """
    due = query(
        conn,
        "SELECT c.open_kfid, n.value, c.session_id, c.expires_at FROM kf_conversation c "
        "JOIN kf_name n ON n.id = c.customer "
        "LEFT JOIN kf_cursor u ON u.corp_id = n.corp_id AND u.open_kfid = c.open_kfid "
        "WHERE c.expires_at <= ? AND n.corp_id = ? AND n.value IS NOT NULL "
        "AND (u.open_kfid IS NULL OR c.expires_at <= u.synced_until / 1000000) "
        "ORDER BY c.expires_at, c.stream LIMIT ?",
        (second, corp_id, _AT_ONCE),
    )
    entries = [
        OwnEntry(
            kind="session_expired",
            actor=ACTOR,
            open_kfid=open_kfid,
            external_userid=external_userid,
            occurred_at=expires_at * SECOND,
            target=session_id,
            key=f"session_expired/{session_id}/{expires_at}",
        )
        for open_kfid, external_userid, session_id, expires_at in due
    ]
    return sum(not result.duplicate for result in record(conn, entries, now=now, corp_id=corp_id)) if entries else 0


def active_machine(conn: Connection, corp_id: str) -> str | None:
    """Return the fingerprint of the machine that the log says is live; None before the first."""
    stream = find_stream(conn, StreamKey(corp_id, "log"))
    if stream is None:
        return None
    found = query(conn, "SELECT ref FROM kf_entry WHERE stream = ? ORDER BY version DESC LIMIT 1", (stream.id,))
    return str(found[0][0]) if found else None


def activate(conn: Connection, definition: dict[str, Any], *, now: int, corp_id: str) -> None:
    """Record that the machine of this release is live from here on, and keep its definition."""
    if active_machine(conn, corp_id) == MACHINE.fingerprint:
        return
    if not query(conn, "SELECT 1 FROM kf_machine WHERE fingerprint = ?", (MACHINE.fingerprint,)):
        text = json.dumps(definition, sort_keys=True)
        bulk_insert(conn, kf_machine, [(MACHINE.fingerprint, MACHINE.spec.version, text, now)])
    entry = OwnEntry(
        kind="machine_activated",
        actor=ACTOR,
        fingerprint=MACHINE.fingerprint,
        key=f"machine_activated/{read_head(conn).position}",
    )
    record(conn, [entry], now=now, corp_id=corp_id)
