# ruff: noqa: S608 (the SQL is put together from constants)
"""The log out of a database in pieces, and back into another one: what every form of the archive is made of."""

import json
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import attrs
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from kfstate.clock import SECOND
from kfstate.errors import ArchiveError, CorruptLogError
from kfstate.machine.kinds import FROM_WECOM, OWN_KINDS
from kfstate.store.dialect import ask_in, bulk_insert, query
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

__all__ = ["AT", "Marks", "Piece", "activated", "beside", "identities", "load", "marks_at", "rows", "unload"]

AT = {name: at for at, name in enumerate(ENTRY_COLUMNS)}
"""Column of ``kf_entry`` → where it stands in a row."""

_DAY = 86_400 * SECOND
_CHUNK = 2_000
_PIECE = 2_000
_NAMES = (AT["servicer_from"], AT["servicer_to"])
_PULL = AT["pull"]
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


def rows(conn: Connection, after: int, until: int, *, size: int = _PIECE) -> Iterator[tuple[_Rows, _Rows]]:
    """Yield the entries after a position up to another one, and their payloads, ``size`` at a time.

    Raises :class:`~kfstate.errors.CorruptLogError` where an entry or its payload is missing.
    """
    sql = f"SELECT {_named(kf_entry)} FROM kf_entry WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
    said = "SELECT position, salt, body FROM kf_payload WHERE position > ? AND position <= ? ORDER BY position"
    while after < until:
        entries = query(conn, sql, (after, until, size))
        check_whole(after, entries)
        if not entries:
            raise CorruptLogError(after + 1, "the entry is missing")
        begin, after = after, entries[-1][0]
        payloads = query(conn, said, (begin, after))
        if len(payloads) != len(entries):
            missing = {row[0] for row in entries} - {row[0] for row in payloads}
            raise CorruptLogError(min(missing, default=begin + 1), "the payload's row is missing")
        yield entries, payloads


def unload(conn: Connection, after: int, until: int, marks: Marks, *, size: int = _PIECE) -> Iterator[Piece]:
    """Yield the entries after a position up to another one, in pieces of ``size``.

    Raises :class:`~kfstate.errors.CorruptLogError` where an entry or its payload is missing.
    """
    known = {row[2]: row for row in identities(conn, after, until)}
    for entries, payloads in rows(conn, after, until, size=size):
        now = marks_at(conn, marks, entries[0][0] - 1, entries[-1][0])
        streams, names, pulls = beside(conn, marks, now)
        marks = now
        yield Piece(
            entries=entries,
            payloads=payloads,
            identities=[known[row[0]] for row in entries if row[0] in known],
            streams=streams,
            names=names,
            pulls=pulls,
            machines=activated(conn, entries),
            marks=marks,
        )


def marks_at(conn: Connection, marks: Marks, after: int, until: int) -> Marks:
    """Return the marks that hold at ``until``, from those at ``after``."""
    sql = (
        "SELECT MAX(stream), MAX(servicer_from), MAX(servicer_to), MAX(pull) FROM kf_entry "
        "WHERE position > ? AND position <= ?"
    )
    stream, from_, to, pull = query(conn, sql, (after, until))[0]
    stream = _last(conn, kf_stream, marks.stream, stream or 0)
    sql = "SELECT MAX(customer), MAX(servicer) FROM kf_stream WHERE id > ? AND id <= ?"
    named = (from_, to, *query(conn, sql, (marks.stream, stream))[0])
    name = _last(conn, kf_name, marks.name, max(id_ or 0 for id_ in named))
    return Marks(name, stream, _last(conn, kf_pull, marks.pull, pull or 0))


def beside(conn: Connection, since: Marks, until: Marks) -> tuple[_Rows, _Rows, _Rows]:
    """Return the streams, names and pulls between marks."""
    return (
        _between(conn, kf_stream, since.stream, until.stream),
        _between(conn, kf_name, since.name, until.name),
        _between(conn, kf_pull, since.pull, until.pull),
    )


def activated(conn: Connection, entries: _Rows) -> _Rows:
    """Return all machines that the log knows where one of the entries activates one."""
    if "machine_activated" not in map(itemgetter(AT["kind"]), entries):
        return []
    return query(conn, f"SELECT {_named(kf_machine)} FROM kf_machine ORDER BY created_at, fingerprint")


def _named(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)


def _between(conn: Connection, table: Table, after: int, until: int) -> _Rows:
    if until <= after:
        return []
    sql = f"SELECT {_named(table)} FROM {table.name} WHERE id > ? AND id <= ? ORDER BY id"
    return query(conn, sql, (after, until))


def _last(conn: Connection, table: Table, after: int, until: int) -> int:
    """Return the last id up to one that is named, ``after`` where nothing later is."""
    if until <= after:
        return after
    (last,) = query(conn, f"SELECT MAX(id) FROM {table.name} WHERE id > ? AND id <= ?", (after, until))[0]
    return last or after


def identities(conn: Connection, after: int, until: int) -> list[tuple[Any, ...]]:
    """Return the identities of the entries after a position up to another one, in no order.

    Their table is sorted by day, so they are sought by the days of the entries. The day of an own entry is 0; one that
    was not believed lies ahead of its arrival.
    """
    inside = "position > ? AND position <= ?"
    sql = f"SELECT DISTINCT occurred_at - occurred_at % {_DAY} FROM kf_entry WHERE {inside} AND occurred_at IS NOT NULL"
    days = {0} | {at // _DAY - early for (at,) in query(conn, sql, (after, until)) for early in (0, at <= 0)}
    sql = f"SELECT {_named(kf_identity)} FROM kf_identity WHERE {inside} AND day IN (??)"
    found = list(ask_in(conn, sql, sorted(days), after, until)())
    sql = f"SELECT MIN(recorded_at) FROM kf_entry WHERE {inside} AND occurred_at IS NULL"
    (unbelieved,) = query(conn, sql, (after, until))[0]
    if unbelieved is not None:
        sql = f"SELECT {_named(kf_identity)} FROM kf_identity WHERE {inside} AND day > ?"
        found += query(conn, sql, (after, until, unbelieved // _DAY))
    return found


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
    _check_identities(piece)
    try:
        _insert_all(conn, piece)
    except (IntegrityError, DataError, OverflowError) as error:
        told = str(error.orig if isinstance(error, DBAPIError) else error).splitlines()[0]
        raise CorruptLogError(
            piece.first, f"the database refuses what stands in {piece.first} to {piece.last}: {told}"
        ) from error
    found = verify(conn, first=piece.first, last=piece.last)
    if found.damage is not None:
        raise CorruptLogError(found.damage.position, found.damage.reason)
    last = piece.entries[-1]
    return head._replace(position=piece.last, chain=found.chain, recorded_at=last[AT["recorded_at"]])


def _check_identities(piece: Piece) -> None:
    """Raise :class:`~kfstate.errors.CorruptLogError` where an entry would be stored once more if it came again.

    No hash covers what stands in an identity: only that there is one, that it is of the day of a time that was
    believed, and that it has no digest of a payload that is gone.
    """
    identities_ = {row[2]: (row[0], row[3]) for row in piece.identities}
    bodies = {row[0]: row[2] for row in piece.payloads}
    for row in piece.entries:
        position, kind, occurred_at = row[0], row[AT["kind"]], row[AT["occurred_at"]]
        day, content = identities_.get(position, (None, None))
        if day is None:
            if kind in FROM_WECOM or (kind in OWN_KINDS and _has_key(bodies.get(position))):
                raise CorruptLogError(position, "the identity is missing")
        elif (kind in OWN_KINDS and day != 0) or (
            kind in FROM_WECOM and occurred_at is not None and day != occurred_at // _DAY
        ):
            raise CorruptLogError(position, f"its identity is of day {day}")
        elif content is not None and bodies.get(position, b"") is None:
            raise CorruptLogError(position, "the payload is gone, and the digest of its content is not")


def _has_key(body: bytes | None) -> bool:
    """Tell whether an own entry says the key under which it was recorded; what is no JSON says none."""
    if body is None or b'"key"' not in body:
        return False
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and bool(told.get("key"))


def _insert_all(conn: Connection, piece: Piece) -> None:
    known = {row[0] for row in query(conn, "SELECT fingerprint FROM kf_machine")}
    machines = {row[0]: row for row in piece.machines if row[0] not in known}
    _insert(conn, kf_machine, list(machines.values()))
    for table, rows in ((kf_name, piece.names), (kf_stream, piece.streams), (kf_pull, piece.pulls)):
        _insert(conn, table, rows)
    _insert(conn, kf_entry, piece.entries)
    _insert(conn, kf_payload, piece.payloads)
    _insert(conn, kf_identity, sorted(piece.identities))


def _insert(conn: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    rows = list(rows)
    for start in range(0, len(rows), _CHUNK):
        bulk_insert(conn, table, rows[start : start + _CHUNK])
