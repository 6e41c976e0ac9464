"""What stands in the tables, as data to compare."""

from collections.abc import Iterable
from typing import Any

from kfstate.engine import Engine
from kfstate.projections.tables import TABLES
from kfstate.store.dialect import query
from kfstate.store.tables import metadata

__all__ = ["LOG", "PROJECTIONS", "dump", "everything", "rows"]

PROJECTIONS = tuple(table.name for table in TABLES)
LOG = tuple(sorted(set(metadata.tables) - set(PROJECTIONS)))


def rows(engine: Engine, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return what a statement finds."""
    with engine._reading() as conn:
        return query(conn, sql, values)


def dump(engine: Engine, names: Iterable[str] = PROJECTIONS) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of tables, in the order of their keys."""
    found = {}
    for name in names:
        keys = ", ".join(column.name for column in metadata.tables[name].primary_key)
        found[name] = rows(engine, f"SELECT * FROM {name} ORDER BY {keys}")
    return found


def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    return dump(engine, metadata.tables)
