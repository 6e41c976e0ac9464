"""What stands in the tables, as data to compare."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from kfstate.engine import Engine
from kfstate.projections import builds
from kfstate.projections.tables import TABLES
from kfstate.store.dialect import query
from kfstate.store.tables import metadata

__all__ = ["LOG", "PROJECTIONS", "dump", "everything", "rows"]

PROJECTIONS = tuple(table.name for table in TABLES)
LOG = tuple(sorted(set(metadata.tables) - set(PROJECTIONS)))


def rows(engine: Engine, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return what a statement finds, with sums as whole numbers on every database."""
    with engine._reading() as conn:
        return [tuple(map(_number, row)) for row in query(conn, sql, values)]


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) else value


def dump(engine: Engine, names: Iterable[str] = PROJECTIONS) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of tables, in the order of their keys; of projections, those of the live build."""
    found = {}
    with engine._reading() as conn:
        version = builds.live(conn).version
        for name in names:
            table = metadata.tables[name]
            if table in TABLES:
                table = builds.tables_of([table], version)[name]
            found[name] = [tuple(row) for row in conn.execute(table.select().order_by(*table.primary_key))]
    return found


def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    return dump(engine, metadata.tables)
