"""The limit: what the bare ``sqlite3`` driver needs for the very same rows, under the same settings."""

import random
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.data import LOG, LOOKUPS, PROJECTED, picks
from tests.benchmarks.subject import Stopwatch, settle

__all__ = ["ingest", "read", "rebuild", "state"]

FOLD_COLUMNS = (
    "position, stream, kind, sort_second, tie, change_type, service_state, servicer_from, servicer_to, errcode, "
    "menu_click, via, counts, again, target, as_kind"
)
PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 10000",
    "temp_store = MEMORY",
    "cache_size = -65536",
)
"""Those of ``kfstate.store.dialect``."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a database with kfstate's settings, and leave transactions to the caller."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def copy_tables(source: sqlite3.Connection, target: sqlite3.Connection, tables: tuple[str, ...]) -> None:
    """Create tables and indexes as they are in the source, without its triggers."""
    for table in tables:
        sql = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type IN ('table', 'index') AND sql NOT NULL"
        for (statement,) in source.execute(f"{sql} ORDER BY type DESC", (table,)).fetchall():
            target.execute(statement)


def insert(table: str, connection: sqlite3.Connection) -> str:
    """Return the statement that inserts a whole row."""
    columns = len(connection.execute(f"PRAGMA table_info({table})").fetchall())
    return f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"


def commits(source: sqlite3.Connection) -> Iterator[list[tuple[object, ...]]]:
    """Yield the rows of ``kf_entry`` commit by commit: the entries of one ``recorded_at`` each."""
    names = [row[1] for row in source.execute("PRAGMA table_info(kf_entry)")]
    at = names.index("recorded_at")
    rows = source.execute("SELECT * FROM kf_entry ORDER BY position")
    for _, group in groupby(rows, key=lambda row: row[at]):
        yield list(group)


def ingest(folder: Path, watch: Stopwatch) -> int:
    """Insert the rows of ``kf_entry`` and ``kf_payload``, one transaction for each that kfstate made."""
    source = connect(folder / LOG)
    with TemporaryDirectory(dir=folder) as scratch:
        target = connect(Path(scratch) / "raw.db")
        copy_tables(source, target, ("kf_entry", "kf_payload"))
        entry, payload = insert("kf_entry", target), insert("kf_payload", target)
        bodies = "SELECT * FROM kf_payload WHERE position BETWEEN ? AND ? ORDER BY position"
        settle()
        for rows in commits(source):
            said = source.execute(bodies, (rows[0][0], rows[-1][0])).fetchall()
            with watch.running():
                target.execute("BEGIN IMMEDIATE")
                target.executemany(entry, rows)
                target.executemany(payload, said)
                target.execute("COMMIT")
        target.close()
    (elements,) = source.execute("SELECT SUM(elements) FROM kf_pull").fetchone()
    source.close()
    return int(elements)


def read(folder: Path, watch: Stopwatch) -> int:
    """Read the columns that the fold reads."""
    connection = connect(folder / LOG)
    settle()
    done = 0
    with watch.running():
        cursor = connection.execute(f"SELECT {FOLD_COLUMNS} FROM kf_entry ORDER BY position")
        while rows := cursor.fetchmany(10_000):
            done += len(rows)
    connection.close()
    return done


def rebuild(folder: Path, watch: Stopwatch) -> int:
    """Insert all rows of all projections in one transaction."""
    source = connect(folder / LOG)
    with TemporaryDirectory(dir=folder) as scratch:
        target = connect(Path(scratch) / "raw.db")
        copy_tables(source, target, PROJECTED)
        settle()
        target.execute("BEGIN IMMEDIATE")
        for table in PROJECTED:
            rows = source.execute(f"SELECT * FROM {table}").fetchall()
            statement = insert(table, target)
            with watch.running():
                target.executemany(statement, rows)
        with watch.running():
            target.execute("COMMIT")
        target.close()
    (entries,) = source.execute("SELECT COUNT(*) FROM kf_entry").fetchone()
    source.close()
    return int(entries)


def state(folder: Path, watch: Stopwatch) -> int:
    """Select one conversation by its primary key, again and again."""
    chosen = random.Random(1).choices(picks(folder), k=LOOKUPS + 200)
    connection = connect(folder / LOG)
    sql = "SELECT * FROM kf_conversation WHERE stream = ?"
    for _, _, stream in chosen[:200]:
        connection.execute(sql, (stream,)).fetchone()
    settle()
    with watch.running():
        for _, _, stream in chosen[200:]:
            connection.execute(sql, (stream,)).fetchone()
    connection.close()
    return LOOKUPS
