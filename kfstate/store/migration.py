"""What revisions say once for every database: tables in our form, steps that can be repeated, triggers by database.

MySQL commits with every change of the schema: a revision that was broken off there is begun again, and has to find
what it made already. On the other databases an upgrade is one transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

__all__ = ["add_column", "create_index", "create_table", "create_triggers", "stands"]

_MYSQL = {
    f"{name}_{option}": value
    for name in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"))
}


def create_table(name: str, *parts: Any, **options: Any) -> None:
    """Create a table, as ``op.create_table`` does, unless it is there."""
    op.create_table(name, *parts, if_not_exists=_commits(), **_MYSQL, **options)


def create_index(name: str, table: str, columns: Sequence[str], *, unique: bool = False) -> None:
    """Create an index unless it is there."""
    if not (_commits() and name in {index["name"] for index in _there().get_indexes(table)}):
        op.create_index(name, table, list(columns), unique=unique)


def add_column(table: str, column: "sa.Column[Any]") -> None:
    """Add a column unless it is there."""
    if not (_commits() and column.name in {found["name"] for found in _there().get_columns(table)}):
        op.add_column(table, column)


def create_triggers(statements: Mapping[str, Sequence[str]]) -> None:
    """Run what makes the triggers; ``statements`` are by the name of the database (``mysql`` for MariaDB, too)."""
    name = op.get_context().dialect.name
    for statement in statements["mysql" if name == "mariadb" else name]:
        if op.get_context().as_sql and name in {"mysql", "mariadb"} and statement.startswith("CREATE TRIGGER"):
            # The command line client ends a statement at the first semicolon otherwise.
            op.execute(sa.text(f"DELIMITER $$\n{_escaped(statement)} $$\nDELIMITER "))
        else:
            op.execute(sa.text(_escaped(statement)))


def stands(table: str, *, without: str = "") -> bool:
    """Tell whether a table is there that a broken upgrade may have dropped, or not yet made: without a new column."""
    if not _commits():
        return True
    there = _there()
    return there.has_table(table) and without not in {column["name"] for column in there.get_columns(table)}


def _escaped(statement: str) -> str:
    return statement.replace(":", r"\:")


def _commits() -> bool:
    """Tell whether this database commits with every change of the schema, and can be asked what is there."""
    context = op.get_context()
    return context.dialect.name in {"mysql", "mariadb"} and not context.as_sql


def _there() -> sa.Inspector:
    return sa.inspect(op.get_bind())
