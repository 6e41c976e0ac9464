# ruff: noqa: S608 (the SQL is put together from constants)
"""The log out of a database in pieces, and back into another one: what every form of the archive is made of."""

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, Table

from kfstate.clock import SECOND
from kfstate.errors import ArchiveError, CorruptLogError
from kfstate.machine.kinds import OWN_KINDS
from kfstate.store.dialect import bulk_insert, query, query_in
from kfstate.store.head import lock_head
from kfstate.store.read import check_whole
from kfstate.store.rows import ENTRY_COLUMNS, Head
from kfstate.store.tables import (
    kf_entry,
    kf_identity,
    kf_machine,
    kf_name,
    kf_payload,
    kf_pull,
    kf_stream,
)
from kfstate.store.verify import verify

__all__ = ["AT", "Marks", "Piece", "load", "unload"]

AT = {name: at for at, name in enumerate(ENTRY_COLUMNS)}
"""Column of ``kf_entry`` → where it stands in a row."""

_DAY = 86_400 * SECOND
_CHUNK = 2_000
_Rows = Sequence[tuple[Any, ...]]


@attrs.frozen
class Marks:
    """The greatest ids that earlier pieces held: numbers are given under the lock, so they grow with positions."""

    name: int = 0
    stream: int = 0
    pull: int = 0


@attrs.frozen
class Piece:
    """Entries that follow each other, and what they are the first to speak of; rows in the order of their columns.

    ``machines`` are all that the log knows, in a piece with an entry that activates one.
    """

    entries: _Rows
    payloads: _Rows
    identities: _Rows
    streams: _Rows
    names: _Rows
    pulls: _Rows
    machines: _Rows
    marks: Marks
    """For the next piece."""

    @property
    def first(self) -> int:
        """Position of the first entry."""
        return int(self.entries[0][0])

    @property
    def last(self) -> int:
        """Position of the last entry."""
        return int(self.entries[-1][0])

    @property
    def chain(self) -> bytes:
        """Link of the last entry."""
        return bytes(self.entries[-1][AT["chain"]])


def unload(conn: Connection, after: int, limit: int, marks: Marks, *, until: int | None = None) -> Piece | None:
    """Return the next ``limit`` entries after a position, none above ``until``; None where there are none.

    Raises :class:`~kfstate.errors.CorruptLogError` where an entry is missing.
    """
    upper = (1 << 63) - 1 if until is None else until
    sql = f"SELECT {_named(kf_entry)} FROM kf_entry WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
    entries = query(conn, sql, (after, upper, limit))
    check_whole(conn, after, entries)
    if not entries:
        return None
    first, last = entries[0][0], entries[-1][0]
    streams = _next(conn, kf_stream, marks.stream, max(row[AT["stream"]] for row in entries))
    named = [row[at] or 0 for at in (AT["servicer_from"], AT["servicer_to"]) for row in entries]
    named += [row[at] for at in (4, 5) for row in streams]
    names = _next(conn, kf_name, marks.name, max(named))
    pulls = _next(conn, kf_pull, marks.pull, max(row[AT["pull"]] or 0 for row in entries))
    sql = "SELECT position, salt, body FROM kf_payload WHERE position >= ? AND position <= ? ORDER BY position"
    return Piece(
        entries=entries,
        payloads=query(conn, sql, (first, last)),
        identities=_identities(conn, entries, first, last),
        streams=streams,
        names=names,
        pulls=pulls,
        machines=_machines(conn, entries),
        marks=Marks(_last(names, marks.name), _last(streams, marks.stream), _last(pulls, marks.pull)),
    )


def _named(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)


def _next(conn: Connection, table: Table, after: int, until: int) -> _Rows:
    if until <= after:
        return []
    sql = f"SELECT {_named(table)} FROM {table.name} WHERE id > ? AND id <= ? ORDER BY id"
    return query(conn, sql, (after, until))


def _last(rows: _Rows, before: int) -> int:
    return int(rows[-1][0]) if rows else before


def _machines(conn: Connection, entries: _Rows) -> _Rows:
    if not any(row[2] == "machine_activated" for row in entries):
        return []
    return query(conn, f"SELECT {_named(kf_machine)} FROM kf_machine ORDER BY created_at, fingerprint")


def _identities(conn: Connection, entries: _Rows, first: int, last: int) -> _Rows:
    """Return the identities of entries: by day, because that is how their table is sorted; own ones have day 0."""
    occurred, recorded = AT["occurred_at"], AT["recorded_at"]
    days = {row[occurred] // _DAY for row in entries if row[occurred] is not None} | {0}
    wanted = "position >= ? AND position <= ?"
    sql = f"SELECT {_named(kf_identity)} FROM kf_identity WHERE {wanted} AND day IN (??)"
    found = list(query_in(conn, sql, sorted(days), first, last))
    unbelieved = [row[recorded] for row in entries if row[occurred] is None and row[2] not in OWN_KINDS]
    if unbelieved:  # their day lies ahead of when they came
        sql = f"SELECT {_named(kf_identity)} FROM kf_identity WHERE {wanted} AND day > ?"
        ahead = query(conn, sql, (first, last, min(unbelieved) // _DAY))
        found += [row for row in ahead if row[0] not in days]
    return sorted(found, key=lambda row: row[2])


def load(conn: Connection, piece: Piece, *, log: Head) -> Head:
    """Insert a piece where the log ends, verify it, and return the new head; in a transaction that can be undone.

    ``log`` is where the piece is from: its ``log_id`` and ``created_at``. Raises
    :class:`~kfstate.errors.ArchiveError` where the database holds another log, or does not end before the piece;
    :class:`~kfstate.errors.CorruptLogError` at the first entry that does not verify.
    """
    head, where = lock_head(conn), conn.engine.url.render_as_string()
    if (head.log_id, head.created_at) != (log.log_id, log.created_at):
        raise ArchiveError(where, f"it holds another log ({head.log_id.hex()})")
    if piece.first != head.position + 1:
        raise ArchiveError(
            conn.engine.url.render_as_string(), f"it ends at {head.position}, the piece begins at {piece.first}"
        )
    known = {row[0] for row in query(conn, "SELECT fingerprint FROM kf_machine")}
    machines = {row[0]: row for row in piece.machines if row[0] not in known}
    _insert(conn, kf_machine, list(machines.values()))
    for table, rows in ((kf_name, piece.names), (kf_stream, piece.streams), (kf_pull, piece.pulls)):
        _insert(conn, table, rows)
    _insert(conn, kf_entry, piece.entries)
    _insert(conn, kf_payload, piece.payloads)
    _insert(conn, kf_identity, sorted(piece.identities))
    found = verify(conn, first=piece.first, last=piece.last)
    if found.damage is not None:
        raise CorruptLogError(found.damage.position, found.damage.reason)
    last = piece.entries[-1]
    return head._replace(position=piece.last, chain=found.chain, recorded_at=last[AT["recorded_at"]])


def _insert(conn: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    rows = list(rows)
    for start in range(0, len(rows), _CHUNK):
        bulk_insert(conn, table, rows[start : start + _CHUNK])
