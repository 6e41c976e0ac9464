# ruff: noqa: S608 (the SQL is put together from constants)
"""Names that stand in the log twice, and streams: nothing hashes their numbers, and the fold goes by them.

Salts are random, so that no two names have one commitment but by forgery. Whoever copies the row of a name under
another number makes two people of one, and no leaf changes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.store.dialect import query

__all__ = ["NONE", "Twins", "twins"]

_PAGE = 10_000
_NAMING = (
    "SELECT e.position, e.stream, e.servicer_from, e.servicer_to, s.customer, s.servicer FROM kf_entry e"
    " LEFT JOIN kf_stream s ON s.id = e.stream WHERE e.position > ? ORDER BY e.position LIMIT ?"
)


@attrs.frozen
class Twins:
    """Names and streams that no entry may name: id → why."""

    names: Mapping[int, str] = attrs.field(factory=dict)
    streams: Mapping[int, str] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.names or self.streams)


NONE = Twins()


def twins(conn: Connection) -> Twins:
    """Return what stands in the log twice: of several, those that are named after another one.

    Where the entries name only one of several it is that one: the others took its place, or it took theirs.
    """
    names = _groups(conn, "kf_name", "commitment")
    streams = _groups(conn, "kf_stream", "corp_id, kind, open_kfid, customer, servicer")
    if not (names or streams):
        return NONE
    named: dict[int, None] = {}
    met: dict[int, None] = {}
    for stream, *ids in _naming(conn):
        if stream in streams:
            met[stream] = None
        named.update((id_, None) for id_ in ids if id_ in names)
    return Twins(
        {id_: f"name {id_} has the commitment of name {other}" for id_, other in _others(named, names)},
        {id_: f"stream {id_} is stream {other} once more" for id_, other in _others(met, streams)},
    )


def _groups(conn: Connection, table: str, key: str) -> dict[int, tuple[Any, ...]]:
    """Return id → key of the rows that share theirs with another one."""
    shared = set(query(conn, f"SELECT {key} FROM {table} GROUP BY {key} HAVING COUNT(*) > 1"))
    if not shared:
        return {}
    return {id_: tuple(of) for id_, *of in query(conn, f"SELECT id, {key} FROM {table}") if tuple(of) in shared}


def _naming(conn: Connection) -> Iterator[tuple[Any, ...]]:
    """Yield the streams and the names of all entries, in order."""
    after = -(1 << 63)
    while rows := query(conn, _NAMING, (after, _PAGE)):
        yield from (row[1:] for row in rows)
        after = rows[-1][0]


def _others(met: Iterable[int], groups: Mapping[int, tuple[Any, ...]]) -> Iterator[tuple[int, int]]:
    """Yield what may not be named, with the one that it is a twin of, out of what is named, in order."""
    first: dict[tuple[Any, ...], int] = {}
    alone: dict[tuple[Any, ...], int] = {}
    for id_ in met:
        other = first.setdefault(groups[id_], id_)
        if other == id_:
            alone[groups[id_]] = id_
        else:
            alone.pop(groups[id_], None)
            yield id_, other
    for key, id_ in alone.items():
        yield id_, next(other for other, of in groups.items() if of == key and other != id_)
