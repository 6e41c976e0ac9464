"""Chosen conversations folded again in place, each in a short transaction."""

from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.errors import ProjectionError
from kfstate.machine.compiled import MACHINE
from kfstate.projections import builds
from kfstate.projections.folding import commits_of
from kfstate.projections.projector import Projector
from kfstate.store.dialect import query
from kfstate.store.head import lock_head
from kfstate.store.rows import Stream

__all__ = ["Refolded", "refold"]

_STEPS = "position IN (SELECT position FROM kf_entry WHERE stream = ?)"
_OWNED = {
    "kf_step": _STEPS,
    "kf_conversation": "stream = ?",
    "kf_session": "stream = ?",
    "kf_segment": "stream = ?",
    "kf_anomaly": "stream = ?",
    "kf_message_fate": "stream = ?",
    "kf_code": "stream = ?",
}
"""Table → which rows are of one conversation. Those of servicers and accounts are shared."""
_NEXT_COMMIT = "SELECT position FROM kf_entry WHERE position > ? AND recorded_at > ? ORDER BY position LIMIT 1"
_SERVING = (
    "UPDATE kf_servicer SET open_sessions = (SELECT COUNT(*) FROM kf_conversation c WHERE c.service_state = 3 "
    "AND c.open_kfid = kf_servicer.open_kfid AND c.servicer = kf_servicer.servicer) WHERE open_kfid = ?"
)
_SERVICERS = "SELECT open_kfid, servicer, open_sessions FROM kf_servicer WHERE open_kfid = ?"

Rows = dict[str, set[tuple[Any, ...]]]


@attrs.frozen
class Refolded:
    """One conversation that was folded again; ``tables``: how many of its rows were not what they should be."""

    open_kfid: str
    external_userid: str
    entries: int
    tables: dict[str, int]


def refold(conn: Connection, stream: Stream, external_userid: str) -> Refolded:
    """Fold a conversation again onto the live build, as far as that is, and say what differed.

    Locks the head of the log until the transaction ends. Raises :class:`~kfstate.errors.ProjectionError` where another
    machine folded the live build, or where entries of the conversation are in the archive.
    """
    lock_head(conn)
    build = builds.live(conn)
    if build.status != "live" or build.fingerprint != MACHINE.fingerprint or not build.of_this_log:
        raise ProjectionError(build.name, build.version, "it has to be rebuilt as a whole: it is not of this machine")
    (first,) = query(conn, "SELECT MIN(version) FROM kf_entry WHERE stream = ?", (stream.id,))[0]
    if first != 1:
        raise ProjectionError(build.name, build.version, "entries of this conversation are in the archive")
    with builds.of_build(conn, build.version):
        before = _rows(conn, stream)
        for table, condition in _OWNED.items():
            query(conn, f"DELETE FROM {table} WHERE {condition}", (stream.id,))
        projector, entries = Projector(conn), 0
        for commit in commits_of(conn, stream.id, build.position):
            ends = query(conn, _NEXT_COMMIT, (commit[-1].position, commit[-1].recorded_at))
            known_from = ends[0][0] - 1 if ends else build.position
            projector.commit(commit, {stream.id: stream}, known_from=min(known_from, build.position))
            entries += len(commit)
        projector.flush()
        query(conn, _SERVING, (stream.open_kfid,))
        after = _rows(conn, stream)
    different = {table: len(before[table] ^ after[table]) for table in before}
    return Refolded(
        stream.open_kfid, external_userid, entries, {table: count for table, count in different.items() if count}
    )


def _rows(conn: Connection, stream: Stream) -> Rows:
    found: Rows = {
        table: set(query(conn, f"SELECT * FROM {table} WHERE {condition}", (stream.id,)))
        for table, condition in _OWNED.items()
    }
    found["kf_servicer"] = set(query(conn, _SERVICERS, (stream.open_kfid,)))
    return found
