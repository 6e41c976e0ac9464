# ruff: noqa: S608 (the SQL is put together from constants)
"""SQLite: a file beside the service, or memory. One writer at a time; readers see the last commit and never wait."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from kfstate.errors import TransactionError
from kfstate.store import sqlite_triggers
from kfstate.store.backend import DEFAULT_LOCK_TIMEOUT, LOCK_TIMEOUT, Trouble, ask, columns, execute

__all__ = [
    "ALONE",
    "SNAPSHOT",
    "ask",
    "forget_journal",
    "holder",
    "in_memory",
    "in_one_go",
    "insert",
    "listed",
    "lock",
    "lock_in",
    "migrating",
    "missing_triggers",
    "prepared",
    "set_up",
    "stale",
    "standing",
    "start",
    "trouble",
    "undone",
    "upsert",
]

ALONE: Mapping[str, Any] = {}
"""Nothing: :func:`set_up` leaves the driver in autocommit, and only :func:`start` begins a transaction."""
SNAPSHOT: Mapping[str, Any] = {}
"""Nothing: with a write-ahead log every transaction sees one snapshot."""

_OVERWRITING = "PRAGMA secure_delete = ON"
"""Zeros are written over whatever is moved or deleted, at any time: a page that is split, long before an erasure, would
leave copies where no later statement finds them. FAST leaves out the pages that come free."""
_OVERWRITES = "kfstate_overwrites"
_JOURNAL_PATIENCE = 1_000
"""Milliseconds that emptying the journal waits for readers."""
_BUSY, _BUSY_SNAPSHOT, _LOCKED, _FULL = 5, 5 | (2 << 8), 6, 13
# An UPDATE takes SQLite's write lock even where it changes nothing. A transaction that began with a read and has been
# overtaken fails here at once, before anything is decided on what it saw.
_TAKE = "UPDATE kf_log_head SET created_at = created_at WHERE 0"


def in_memory(url: URL) -> bool:
    """Tell whether a URL names a database in memory, which is gone with its connection."""
    name = url.database or ""
    return name in {"", ":memory:"} or (
        name.startswith("file:") and ("memory" in name or "memory" in url.query.values())
    )


def prepared(url: URL, *, lock_timeout: float, asynchronous: bool) -> tuple[URL, dict[str, Any]]:  # noqa: ARG001
    """Return the URL with our driver, and what else an SQLAlchemy engine is to be made with."""
    url = url.set(drivername="sqlite+aiosqlite" if asynchronous else "sqlite")
    if not in_memory(url):
        return url, {"max_overflow": -1}  # as many connections as there are threads that ask
    # One connection for all: whoever has it has the database, and the others wait.
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0}
    options["poolclass"] = AsyncAdaptedQueuePool if asynchronous else QueuePool
    return url, options | {"connect_args": {"check_same_thread": False}}


def set_up(connection: DBAPIConnection, lock_timeout: float) -> None:
    """Set up a new connection of the driver."""
    # The driver's own transactions begin too late (not before a SELECT), so it is told to leave them to us.
    connection.isolation_level = None
    execute(connection, f"PRAGMA busy_timeout = {int(lock_timeout * 1000)}")
    _write_ahead(connection, time.monotonic() + lock_timeout)
    execute(
        connection,
        "PRAGMA synchronous = FULL",
        "PRAGMA wal_autocheckpoint = 10000",
        "PRAGMA temp_store = MEMORY",
        "PRAGMA cache_size = -65536",
        _OVERWRITING,
    )


def _write_ahead(connection: DBAPIConnection, until: float) -> None:
    """Change a new file to a write-ahead log; where several do at once, SQLite refuses without waiting."""
    while True:
        try:
            execute(connection, "PRAGMA journal_mode = WAL")
        except Exception as error:
            if trouble(error) != "locked" or time.monotonic() > until:
                raise
            time.sleep(0.001)
        else:
            return


def start(conn: Connection, *, write: bool | None) -> None:
    """Begin a transaction; one that will append takes the write lock at once."""
    conn.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def stale(connection: Any) -> bool:  # noqa: ARG001 (as other databases)
    """Return False: nobody but us closes a file."""
    return False


def lock(conn: Connection) -> None:
    """Lock the head of the log in a transaction of our own: BEGIN IMMEDIATE did already."""
    if not standing(conn):
        raise TransactionError(found="AUTOCOMMIT", needed="a transaction")


def lock_in(conn: Connection) -> None:
    """Lock the head of the log in a transaction that somebody else began, or refuse it."""
    waits = conn.exec_driver_sql("PRAGMA busy_timeout").scalar()
    if not waits:
        seconds = conn.get_execution_options().get(LOCK_TIMEOUT, DEFAULT_LOCK_TIMEOUT)
        conn.exec_driver_sql(f"PRAGMA busy_timeout = {int(seconds * 1000)}").close()
    try:
        conn.exec_driver_sql(_TAKE).close()
    except Exception as error:
        told = getattr(error, "orig", None) or error.__cause__  # a host's engine raises SQLAlchemy's error, ours ours
        if getattr(told, "sqlite_errorcode", None) != _BUSY_SNAPSHOT:
            raise
        found = "a transaction that began with a read, and another connection has written since"
        raise TransactionError(
            found=found, needed="one that begins with BEGIN IMMEDIATE, or with the append"
        ) from error
    finally:
        if not waits:
            conn.exec_driver_sql("PRAGMA busy_timeout = 0").close()
    if not conn.info.get(_OVERWRITES):
        conn.exec_driver_sql(_OVERWRITING).close()
        conn.info[_OVERWRITES] = True
    lock(conn)


def trouble(error: BaseException) -> Trouble | None:
    """Tell what an error of the driver means."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in {_BUSY, _LOCKED}:
        return "locked"
    return "full" if code & 0xFF == _FULL else None


def undone(conn: Connection, error: BaseException) -> bool:  # noqa: ARG001 (as other databases)
    """Tell whether the transaction is over: a full disk, and some other errors, roll all of it back."""
    if standing(conn):
        return False
    # Else each statement that follows would be a transaction of its own, and stay.
    execute(conn.connection.dbapi_connection, "BEGIN")  # type: ignore[arg-type]  # it is there
    return True


def standing(conn: Connection) -> bool:
    """Tell whether a transaction is open."""
    return bool(conn.connection.driver_connection.in_transaction)  # type: ignore[union-attr]  # sqlite3's, or aiosqlite's


def holder(conn: Connection) -> str | None:  # noqa: ARG001 (as other databases)
    """Return None: SQLite does not tell who holds a lock."""
    return None


def insert(conn: Connection, table: Table, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows into ``table``, which stands under ``name``."""
    _many(conn, _insert(table, name), rows)


def upsert(conn: Connection, table: Table, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, or replace those with the same primary key."""
    _many(conn, _upsert(table, name), rows)


def _many(conn: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    cursor = conn.connection.cursor()
    cursor.executemany(sql, rows)
    cursor.close()


@lru_cache(maxsize=256)
def _insert(table: Table, name: str) -> str:
    return f"INSERT INTO {name} ({columns(table)}) VALUES ({', '.join('?' * len(table.columns))})"


@lru_cache(maxsize=256)
def _upsert(table: Table, name: str) -> str:
    keys = ", ".join(column.name for column in table.primary_key)
    changes = ", ".join(f"{at.name} = excluded.{at.name}" for at in table.columns if not at.primary_key)
    return f"{_insert(table, name)} ON CONFLICT ({keys}) DO UPDATE SET {changes}"


def listed(sql: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Fill the list ``IN (??)`` of a statement."""
    return sql.replace("(??)", f"({', '.join('?' * len(values))})"), values


def in_one_go(conn: Connection) -> AbstractContextManager[None]:  # noqa: ARG001 (as other databases)
    """Do nothing: the driver waits for every statement."""
    return nullcontext()


def forget_journal(conn: Connection, *, wait: bool) -> bool:
    """Move the write-ahead log into the file, and empty it; tell whether that was done: not where others need it."""
    # Past SQLAlchemy, which would begin a transaction: inside of one there is no checkpoint.
    cursor = conn.connection.cursor()
    try:
        cursor.execute("PRAGMA busy_timeout")
        ((patience,),) = cursor.fetchall()
        cursor.execute(f"PRAGMA busy_timeout = {_JOURNAL_PATIENCE if wait else 0}")
        try:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            ((busy, *_),) = cursor.fetchall()
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {patience}")
    except conn.dialect.loaded_dbapi.Error:  # a disk that is full, or fails: what was committed stays
        return False
    finally:
        cursor.close()
    return not busy


@contextmanager
def migrating(conn: Connection) -> Iterator[None]:  # noqa: ARG001 (as other databases)
    """Do nothing: BEGIN IMMEDIATE keeps others out."""
    yield


missing_triggers = sqlite_triggers.missing
