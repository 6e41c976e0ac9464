"""Builds of a projection: which there are, how far each got, and under which names their tables stand.

Build 1 has the plain names; build N has tables of its own with the suffix ``_vN``. Statements are written with the
plain names, and get those of a build in one place (:data:`~kfstate.store.dialect.NAMES`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import attrs
from sqlalchemy import Connection, Constraint, Index, MetaData, Table, inspect
from sqlalchemy.sql.elements import quoted_name

from kfstate.projections.tables import TABLES
from kfstate.store import dialect
from kfstate.store.dialect import NAMES, Read, Rename, as_text, bulk_upsert, query
from kfstate.store.tables import kf_projection

__all__ = [
    "LIVE_VERSION",
    "NAME",
    "Build",
    "LiveReader",
    "ask",
    "builds",
    "create_tables",
    "delete",
    "drop_tables",
    "empty_tables",
    "full_name",
    "has_table",
    "live",
    "live_names",
    "lock",
    "mine",
    "names",
    "of_build",
    "store",
    "tables_of",
]

NAME = "shipped"
"""The name of the projections that come with kfstate: they are built, compared and switched as one."""

_COLUMNS = tuple(column.name for column in kf_projection.columns)
_BUILDS = (
    f"SELECT {', '.join('p.' + name for name in _COLUMNS)}, e.chain FROM kf_projection p "
    "LEFT JOIN kf_entry e ON e.position = p.position WHERE p.name = ? ORDER BY p.version"
)
_LIVE = "SELECT MAX(version) FROM kf_projection WHERE name = ? AND status = 'live'"
LIVE_VERSION = f"(SELECT version FROM kf_projection WHERE name = '{NAME}' AND status = 'live' LIMIT 1)"
"""The number of the live build of the shipped projections, as an SQL expression."""
_ROW = "SELECT version FROM kf_projection WHERE name = ? AND version = ?"
_PLAIN = re.compile(rf"\b(?:{'|'.join(table.name for table in TABLES)})\b")
_BEYOND = (1 << 63) - 1
"""Where a build stands whose row, on SQLite, holds no number: further than any log, so that nothing goes on there."""
_INLINE = frozenset({"ready", "kept"})


@attrs.frozen
class Build:
    """One build of a projection: a row of ``kf_projection``, and the chain that the log has at its position."""

    name: str
    version: int
    position: int
    chain: bytes | None
    fingerprint: str
    """Of the code that projects: the machine's, or the version that a user's projection gives itself."""
    status: str
    """``building``, ``ready``, ``live``, ``kept``, ``failed``, ``cancelled``, ``dropping``.

    ``unknown``: its row is gone.
    """
    error: str | None = None
    began_at: int | None = None
    began_from: int | None = None
    updated_at: int | None = None
    log_chain: bytes | None = None

    @property
    def of_this_log(self) -> bool:
        """Whether the log has what was projected; not so where a restored log lost its tail and went on otherwise."""
        return self.chain is None or self.log_chain is None or self.chain == self.log_chain


def builds(conn: Connection, name: str) -> list[Build]:
    """Return the builds of a projection, oldest first."""
    return ask(conn, name)()


def ask(conn: Connection, name: str = NAME) -> Callable[[], list[Build]]:
    """Ask for the builds of a projection, and return what waits for them."""
    answer = dialect.ask(conn, _BUILDS, (name,))
    return lambda: [_build(row) for row in answer()]


def _build(row: Sequence[Any]) -> Build:
    name, version, position, chain, fingerprint, status, error, began_at, began_from, updated_at, log_chain = row
    if type(position) is not int:
        position = _BEYOND
    return Build(
        as_text(name), version, position, _chain(chain), as_text(fingerprint), as_text(status),
        error and as_text(error), began_at, began_from, updated_at, _chain(log_chain),
    )  # fmt: skip


def _chain(value: Any) -> bytes | None:
    """Return a chain; what can be none is that of no log."""
    return None if value is None else bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""


def live(conn: Connection, name: str = NAME, *, tables: Iterable[Table] = TABLES) -> Build:
    """Return the build that questions are answered from.

    Before the first it is an empty one. Where its row is gone and its tables are not empty, nobody can say how far it
    got: its status is ``unknown``.
    """
    return _live(conn, name, builds(conn, name), tables)


def _live(conn: Connection, name: str, found: Sequence[Build], tables: Iterable[Table]) -> Build:
    for build in reversed(found):
        if build.status == "live":
            return build
    with of_build(conn, 1):
        filled = any(query(conn, f"SELECT 1 FROM {full_name(conn, table)} LIMIT 1") for table in tables)
    return Build(name, 1, 0, None, "", "unknown" if filled else "live")


def mine(
    conn: Connection,
    fingerprint: str,
    name: str = NAME,
    *,
    tables: Iterable[Table] = TABLES,
    found: Sequence[Build] | None = None,
) -> Build | None:
    """Return the build that code with this fingerprint keeps at the head of the log; None where there is none.

    That is the live one, else the newest that is ready or kept: releases beside each other keep one each, and rows of
    two machines never mix.
    """
    found = builds(conn, name) if found is None else found
    now = _live(conn, name, found, tables)
    if now.status == "live" and now.fingerprint in {fingerprint, ""}:
        return now
    others = (build for build in reversed(found) if build.status in _INLINE and build.fingerprint == fingerprint)
    return next(others, None)


def store(conn: Connection, build: Build) -> None:
    """Write the row of a build."""
    bulk_upsert(conn, kf_projection, [tuple(getattr(build, name) for name in _COLUMNS)])


def lock(conn: Connection, name: str, version: int) -> Build | None:
    """Lock the row of a build until the transaction ends, then return it; None where there is none."""
    suffix = "" if conn.dialect.name == "sqlite" else " FOR UPDATE"  # SQLite: the transaction is the lock
    query(conn, _ROW + suffix, (name, version))
    return next((build for build in builds(conn, name) if build.version == version), None)


def delete(conn: Connection, build: Build) -> None:
    """Delete the row of a build."""
    query(conn, "DELETE FROM kf_projection WHERE name = ? AND version = ?", (build.name, build.version))


@lru_cache(maxsize=4096)
def _renamed(sql: str, version: int) -> str:
    return _PLAIN.sub(rf"\g<0>_v{version}", sql)


@lru_cache(maxsize=64)
def names(version: int) -> Rename | None:
    """Return what gives statements the names of a build's tables; None: they are the plain ones."""
    return None if version == 1 else lambda _conn, sql: _renamed(sql, version)


_about_projections = lru_cache(maxsize=4096)(_PLAIN.search)


def live_names(conn: Connection, sql: str) -> str:
    """Give a statement the names of the live build, which is looked up once in a transaction: it never sees two."""
    if _about_projections(sql) is None:
        return sql
    rename = names(query(conn, _LIVE, (NAME,))[0][0] or 1)
    conn.execution_options(**{NAMES: rename})
    return sql if rename is None else rename(conn, sql)


class LiveReader:
    """Single questions to the live build, whichever that is when they are asked.

    A statement has to end its columns with :data:`LIVE_VERSION`. It is asked of the build that was live last time, and
    asked again where the answer says that another one is.
    """

    def __init__(self, read: Read) -> None:
        """Ask through ``read``."""
        self._read = read
        self._version = 1

    def __call__(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run a statement written with ``?`` and the plain names, and return the driver's tuples."""
        while True:
            version = self._version
            try:
                rows = self._read(sql if version == 1 else _renamed(sql, version), values)
            except Exception:
                if self._look() == version:
                    raise
                continue
            if version == ((rows[0][-1] or 1) if rows else self._look()):
                return rows
            self._look()

    def _look(self) -> int:
        self._version = self._read(_LIVE, (NAME,))[0][0] or 1
        return self._version


@contextmanager
def of_build(conn: Connection, version: int) -> Iterator[None]:
    """Let statements mean the tables of one build of the shipped projections."""
    before, wanted = conn.get_execution_options().get(NAMES), names(version)
    if before is not wanted:
        conn.execution_options(**{NAMES: wanted})
    try:
        yield
    finally:
        if before is not wanted:
            conn.execution_options(**{NAMES: before})


@lru_cache(maxsize=256)
def _copied(table: Table, version: int) -> Table:
    suffix = f"_v{version}"
    made = table.to_metadata(MetaData(), name=f"{table.name}{suffix}")
    parts: list[Index | Constraint] = [*made.indexes, *made.constraints]
    for part in parts:
        if part.name is not None:
            part.name = quoted_name(f"{part.name}{suffix}", quote=None)
    return made


def tables_of(tables: Iterable[Table], version: int) -> dict[str, Table]:
    """Return plain name → table of a build."""
    return {table.name: table if version == 1 else _copied(table, version) for table in tables}


def create_tables(conn: Connection, tables: Iterable[Table], version: int) -> None:
    """Create those tables of a build that are not there. MySQL commits at once: call it in a transaction of its own."""
    for table in tables_of(tables, version).values():
        table.create(conn, checkfirst=True)


def full_name(conn: Connection, table: Table) -> str:
    """Return a table's name as statements have it: with its schema, and quoted where it has to be."""
    return conn.dialect.identifier_preparer.format_table(table)


def has_table(conn: Connection, table: Table) -> bool:
    """Tell whether a table is there."""
    return inspect(conn).has_table(table.name, schema=table.schema)


def empty_tables(conn: Connection, tables: Iterable[Table], version: int) -> None:
    """Delete every row of a build."""
    for table in tables_of(tables, version).values():
        conn.execute(table.delete())


def drop_tables(conn: Connection, tables: Iterable[Table], version: int) -> None:
    """Drop the tables of a build; those of build 1 are part of the schema, and only emptied.

    Dropped and made anew they would be empty for older snapshots, too, which still read them.
    """
    for table in tables_of(tables, version).values():
        if version != 1:
            table.drop(conn, checkfirst=True)
        elif has_table(conn, table):
            conn.execute(table.delete())
