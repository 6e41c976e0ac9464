"""Two builds of a projection compared row by row, inside the database."""

from collections.abc import Iterable
from typing import Any

import attrs
from sqlalchemy import Connection, Table

from kfstate.projections import builds
from kfstate.store.dialect import query

__all__ = ["BuildDifference", "TableDifference", "compare"]

_KEYS = 10

Key = tuple[Any, ...]


@attrs.frozen
class TableDifference:
    """How one table differs from one build to the other: how many rows, and the first keys of each sort."""

    only_old: int
    only_new: int
    differing: int
    """How many rows have a key that both have, and other values."""
    keys_only_old: tuple[Key, ...] = ()
    keys_only_new: tuple[Key, ...] = ()
    keys_differing: tuple[Key, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows differ in any way."""
        return self.only_old + self.only_new + self.differing


@attrs.frozen
class BuildDifference:
    """What a comparison found; ``tables`` holds those that differ, by plain name.

    Where ``old_position`` and ``new_position`` are not the same, the builds could not be brought to one position
    (another machine's cannot be folded on here), and what came in between is among the differences.
    """

    name: str
    old_version: int
    new_version: int
    old_position: int
    new_position: int
    tables: dict[str, TableDifference]

    @property
    def different(self) -> int:
        """How many rows differ."""
        return sum(table.rows for table in self.tables.values())


def compare(conn: Connection, tables: Iterable[Table], old: int, new: int) -> dict[str, TableDifference]:
    """Return plain name → difference of those tables that differ from one build to another."""
    was, now = builds.tables_of(tables, old), builds.tables_of(tables, new)
    found = {}
    with builds.of_build(conn, 1):  # the names are the tables' own
        for name, table in was.items():
            difference = _compare(conn, table, now[name])
            if difference.rows:
                found[name] = difference
    return found


def _compare(conn: Connection, table: Table, other: Table) -> TableDifference:
    quote = conn.dialect.identifier_preparer.quote
    was, now = builds.full_name(conn, table), builds.full_name(conn, other)
    names = [quote(column.name) for column in table.primary_key]
    keys = ", ".join(f"a.{name}" for name in names)
    same = " AND ".join(f"a.{name} = b.{name}" for name in names)
    changed = " OR ".join(
        f"CASE WHEN a.{name} = b.{name} OR (a.{name} IS NULL AND b.{name} IS NULL) THEN 0 ELSE 1 END = 1"
        for name in (quote(column.name) for column in table.columns if not column.primary_key)
    )
    conditions = (
        f"FROM {was} a WHERE NOT EXISTS (SELECT 1 FROM {now} b WHERE {same})",
        f"FROM {now} a WHERE NOT EXISTS (SELECT 1 FROM {was} b WHERE {same})",
        f"FROM {was} a JOIN {now} b ON {same} WHERE {changed or '1 = 0'}",
    )
    counts = [int(query(conn, f"SELECT COUNT(*) {condition}")[0][0]) for condition in conditions]
    firsts = [
        tuple(query(conn, f"SELECT {keys} {condition} ORDER BY {keys} LIMIT {_KEYS}")) if count else ()
        for condition, count in zip(conditions, counts, strict=True)
    ]
    return TableDifference(counts[0], counts[1], counts[2], *firsts)
