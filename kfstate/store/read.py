# ruff: noqa: S608 (the SQL is put together from constants)
"""Reading the log back: by position, by stream, with or without what people said.

Everything is read in pages by key, so that no reader holds a database transaction, or the log, for long.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from kfstate.errors import CorruptLogError
from kfstate.machine.entry import Entry
from kfstate.store.backend import Rows
from kfstate.store.dialect import as_text, query, query_in
from kfstate.store.facts import is_id, sought
from kfstate.store.names import CUSTOMER, SERVICER, fold_name
from kfstate.store.rows import ENTRY_COLUMNS, EntryRow, Stream, StreamKey

__all__ = [
    "check_whole",
    "find_name",
    "find_stream",
    "fold_entries",
    "names_by_id",
    "payloads",
    "plain_rows",
    "rows_after",
    "rows_at",
    "stream_entries",
    "streams_by_id",
]

_ALL = ", ".join(ENTRY_COLUMNS)
_FOLD = ", ".join(ENTRY_COLUMNS[:16])


def _rows(found: Iterable[tuple[Any, ...]]) -> list[EntryRow]:
    new = tuple.__new__
    return [new(EntryRow, row) for row in found]


def rows_after(conn: Connection, after: int = 0, *, limit: int = 1000, until: int | None = None) -> list[EntryRow]:
    """Return the entries whose position is above ``after``, in order; at most ``limit``, none above ``until``.

    Raises :class:`~kfstate.errors.CorruptLogError` where one of them is missing.
    """
    found = plain_rows(conn, after, limit=limit, until=until)
    check_whole(after, found)
    return _rows(found)


def plain_rows(conn: Connection, after: int, *, limit: int, until: int | None = None) -> Rows:
    """Return what :func:`rows_after` does as the driver's own tuples, and bear it where one is missing."""
    sql = f"SELECT {_ALL} FROM kf_entry WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
    return query(conn, sql, (after, _upper(until), limit))


def check_whole(after: int, found: Sequence[tuple[Any, ...]]) -> None:
    """Raise :class:`~kfstate.errors.CorruptLogError` where rows, read after a position in order, leave one out.

    Their first column is the position. What may have left for an archive is missing, too.
    """
    if not found or found[-1][0] - after == len(found):
        return
    for position, *_ in found:
        if position > after + 1:
            raise CorruptLogError(after + 1, "the entry is missing")
        after = max(after, position)


def rows_at(conn: Connection, positions: Iterable[int]) -> dict[int, EntryRow]:
    """Return position → entry of those that exist."""
    found = query_in(conn, f"SELECT {_ALL} FROM kf_entry WHERE position IN (??)", sorted(set(positions)))
    return {row.position: row for row in _rows(found)}


def fold_entries(
    conn: Connection, after: int = 0, *, until: int | None = None, batch: int = 10_000
) -> Iterator[list[Entry]]:
    """Yield the log in batches, cut to the columns that the fold reads.

    Raises :class:`~kfstate.errors.CorruptLogError` where an entry is missing.
    """
    sql = f"SELECT {_FOLD} FROM kf_entry WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
    upper = _upper(until)
    new = tuple.__new__
    while found := query(conn, sql, (after, upper, batch)):
        check_whole(after, found)
        yield [new(Entry, row) for row in found]
        after = found[-1][0]


def stream_entries(
    conn: Connection, stream: int, *, since_second: int | None = None, until: int | None = None
) -> list[Entry]:
    """Return what the fold reads of a stream, by second and position, from a second on, up to a position."""
    found = query(conn, _by_stream(_FOLD), (stream, _lower(since_second), _upper(until)))
    return [tuple.__new__(Entry, row) for row in found]


def _by_stream(columns: str) -> str:
    return (
        f"SELECT {columns} FROM kf_entry WHERE stream = ? AND sort_second >= ? AND position <= ?"
        " ORDER BY sort_second, position"
    )


def _upper(position: int | None) -> int:
    return (1 << 63) - 1 if position is None else position


def _lower(second: int | None) -> int:
    return -(1 << 63) if second is None else second


def payloads(conn: Connection, positions: Iterable[int]) -> dict[int, bytes | None]:
    """Return position → exact bytes of the payload; None where it was erased, no key where there is no entry."""
    found = query_in(conn, "SELECT position, body FROM kf_payload WHERE position IN (??)", sorted(set(positions)))
    return {position: _bytes(body) for position, body in found}


def _bytes(body: Any) -> bytes | None:
    """Return a payload; SQLite also keeps text, where somebody writes it past us."""
    return body.encode() if isinstance(body, str) else None if body is None else bytes(body)


def find_name(conn: Connection, corp_id: str, kind: str, value: str) -> int | None:
    """Return the ``kf_name`` id of a customer or servicer that the log knows; what can be no id is unknown."""
    if not is_id(value):
        return None
    sql = "SELECT id FROM kf_name WHERE corp_id = ? AND kind = ? AND folded = ?"
    found = query(conn, sql, (corp_id, kind, fold_name(kind, value)))
    return found[0][0] if found else None


def find_stream(conn: Connection, key: StreamKey) -> Stream | None:
    """Return the stream with that key, or None where the log has no such stream."""
    customer: int | None = 0
    servicer: int | None = 0
    if key.external_userid:
        customer = find_name(conn, key.corp_id, CUSTOMER, key.external_userid)
    if key.servicer_userid:
        servicer = find_name(conn, key.corp_id, SERVICER, key.servicer_userid)
    if customer is None or servicer is None:
        return None
    sql = "SELECT id FROM kf_stream WHERE corp_id = ? AND kind = ? AND open_kfid = ? AND customer = ? AND servicer = ?"
    found = query(conn, sql, (key.corp_id, key.kind, sought(key.open_kfid), customer, servicer))
    return Stream(found[0][0], key.corp_id, key.kind, key.open_kfid, customer, servicer) if found else None


def streams_by_id(conn: Connection, ids: Iterable[int]) -> dict[int, Stream]:
    """Return id → stream."""
    sql = "SELECT id, corp_id, kind, open_kfid, customer, servicer FROM kf_stream WHERE id IN (??)"
    return {row[0]: _stream(row) for row in query_in(conn, sql, sorted(set(ids)))}


def _stream(row: Sequence[Any]) -> Stream:
    id_, corp_id, kind, open_kfid, customer, servicer = row
    return Stream(id_, as_text(corp_id), as_text(kind), as_text(open_kfid), customer, servicer)


def names_by_id(conn: Connection, ids: Iterable[int]) -> dict[int, str | None]:
    """Return ``kf_name`` id → the id as WeCom spells it; None where it was erased."""
    found = query_in(conn, "SELECT id, value FROM kf_name WHERE id IN (??)", sorted(set(ids)))
    return {id_: None if value is None else as_text(value) for id_, value in found}
