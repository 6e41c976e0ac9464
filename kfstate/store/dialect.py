# ruff: noqa: S608 (the SQL is put together from constants)
"""Everything that differs from one database to the next.

SQLite is complete; the types and the statement helpers already speak PostgreSQL and MySQL/MariaDB. Callers never ask
which database they have.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Engine,
    Integer,
    LargeBinary,
    String,
    Table,
    create_engine,
    event,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import PoolProxiedConnection, StaticPool
from sqlalchemy.types import TypeDecorator, TypeEngine

from kfstate.errors import LockTimeoutError, SchemaError, TransactionError

__all__ = [
    "NAMES",
    "WRITE",
    "BigKey",
    "Body",
    "Digest",
    "Id",
    "Key",
    "Read",
    "Reader",
    "Rename",
    "Salt",
    "as_text",
    "begin",
    "bulk_insert",
    "bulk_upsert",
    "lock",
    "open_database",
    "query",
    "query_in",
]

NAMES = "kfstate_names"
"""Execution option: called with connection and statement, returns it with the tables of a projection's build."""

WRITE = "kfstate_write"
"""Execution option: the transaction will append, so it takes the write lock when it begins."""

_MYSQL = ("mysql", "mariadb")
_CHUNK = 900
_IDLE = 4
"""How many connections a reader keeps open in between."""

BigKey = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit primary key; SQLite makes it the rowid only under the name INTEGER."""
Digest = LargeBinary(32).with_variant(mysql.BINARY(32), *_MYSQL)
Key = LargeBinary(16).with_variant(mysql.BINARY(16), *_MYSQL)
"""The first 16 bytes of a SHA-256: enough to know an entry again, and half the pages that a commit dirties."""
Salt = LargeBinary(16).with_variant(mysql.BINARY(16), *_MYSQL)
Body = LargeBinary().with_variant(mysql.LONGBLOB(), *_MYSQL)


class Id(TypeDecorator[str]):
    """Text that compares byte by byte: 'a' is not 'A', and a trailing blank counts."""

    impl = String
    cache_ok = True

    def __init__(self, length: int = 128) -> None:
        """Take the longest length in bytes."""
        super().__init__(length)
        self.size = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return VARBINARY on MySQL, collation "C" on PostgreSQL, and SQLite's VARCHAR, which is binary by default."""
        if dialect.name in _MYSQL:
            return dialect.type_descriptor(mysql.VARBINARY(self.size))
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(String(self.size, collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        """Give MySQL bytes."""
        return value.encode() if value is not None and dialect.name in _MYSQL else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Give Python text."""
        return None if value is None else as_text(value)


def as_text(value: str | bytes) -> str:
    """Return an :class:`Id` column as text, as whatever driver handed it out."""
    return value if isinstance(value, str) else bytes(value).decode()


def open_database(url: str | URL, *, lock_timeout: float = 10.0) -> Engine:
    """Return an engine whose connections are set up for the log.

    ``lock_timeout`` is how many seconds a writer waits for another one. Transactions come from :func:`begin`.
    """
    url = make_url(url)
    if url.get_backend_name() != "sqlite":
        raise SchemaError(found=url.get_backend_name(), needed="sqlite", remedy="use a sqlite:/// URL")
    if url.database in (None, "", ":memory:"):
        engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = create_engine(url, max_overflow=-1)  # as many connections as there are threads that ask
    engine = engine.execution_options(kfstate_lock_timeout=lock_timeout)

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own transactions begin too late (not before a SELECT), so it is told to leave them to us.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {int(lock_timeout * 1000)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "wal_autocheckpoint = 10000",
            "temp_store = MEMORY",
            "cache_size = -65536",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    def start(connection: Connection) -> None:
        write = connection.get_execution_options().get(WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", start)
    return engine


@contextmanager
def begin(engine: Engine, *, write: bool, names: "Rename | None" = None) -> Iterator[Connection]:
    """Open a connection in a transaction that commits at the end of the block.

    ``names`` gives the tables that statements name the names under which they stand, see :data:`NAMES`.

    Raises :class:`~kfstate.errors.LockTimeoutError` where another writer holds the log longer than ``lock_timeout``.
    """
    with engine.execution_options(**{WRITE: write, NAMES: names}).connect() as connection:
        started = time.monotonic()
        try:
            transaction = connection.begin()
        except OperationalError as error:
            raise _locked(error, time.monotonic() - started) from error
        with transaction:
            yield connection


def _locked(error: OperationalError, waited: float) -> Exception:
    if isinstance(error.orig, sqlite3.OperationalError) and "locked" in str(error.orig):
        return LockTimeoutError(waited=round(waited, 3), blocker="another connection that writes to this SQLite file")
    return error


def lock(conn: Connection) -> None:
    """Lock the head of the log until the transaction ends, in a statement of its own.

    Raises :class:`~kfstate.errors.TransactionError` where the connection commits every statement by itself.
    """
    if conn.dialect.name != "sqlite":
        if (level := conn.get_isolation_level()) != "READ COMMITTED":
            raise TransactionError(found=level, needed="READ COMMITTED")
        conn.exec_driver_sql("SELECT log_id FROM kf_log_head FOR UPDATE").fetchall()
        return
    # An UPDATE takes SQLite's write lock even where it changes nothing. A transaction that began with a read and has
    # been overtaken fails here at once, before anything is decided on what it saw.
    started = time.monotonic()
    try:
        conn.exec_driver_sql("UPDATE kf_log_head SET created_at = created_at WHERE 0").close()
    except OperationalError as error:
        raise _locked(error, time.monotonic() - started) from error
    driver = conn.connection.dbapi_connection
    if isinstance(driver, sqlite3.Connection) and not driver.in_transaction:
        raise TransactionError(found="AUTOCOMMIT", needed="a transaction")


def bulk_insert(conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows whose values stand in the order of the table's columns.

    Goes to the driver directly: processing rows one by one would cost more than inserting them.
    """
    if rows:
        _execute_many(conn, _named(conn, _insert(table, _mark(conn))), rows)


@lru_cache(maxsize=64)
def _insert(table: Table, mark: str) -> str:
    names = ", ".join(column.name for column in table.columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join([mark] * len(table.columns))})"


def _execute_many(conn: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    with closing(conn.connection.cursor()) as cursor:
        cursor.executemany(sql, rows)


def bulk_upsert(conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, or replace those with the same primary key; values stand in the order of the table's columns."""
    if rows:
        _execute_many(conn, _named(conn, _upsert(table, _mark(conn), conn.dialect.name)), rows)


@lru_cache(maxsize=64)
def _upsert(table: Table, mark: str, dialect: str) -> str:
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if not column.primary_key]
    if dialect in _MYSQL:
        changes = ", ".join(f"{name} = VALUES({name})" for name in others)
        return f"{_insert(table, mark)} ON DUPLICATE KEY UPDATE {changes}"
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return f"{_insert(table, mark)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"


def _mark(conn: Connection) -> str:
    return "?" if conn.dialect.paramstyle == "qmark" else "%s"


def query(conn: Connection, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Run a statement written with ``?`` in the transaction of ``conn``, and return the driver's own tuples.

    Past SQLAlchemy's result objects: describing the columns anew would cost more than most of our statements.
    """
    mark = _mark(conn)
    sql = _named(conn, sql)
    with closing(conn.connection.cursor()) as cursor:
        cursor.execute(sql if mark == "?" else sql.replace("?", mark), values)
        return cursor.fetchall() if cursor.description else []  # type: ignore[return-value]  # rows are tuples here


Rename = Callable[[Connection, str], str]
"""Returns a statement with the names under which the tables of a projection's build stand."""


def _named(conn: Connection, sql: str) -> str:
    rename: Rename | None = conn.get_execution_options().get(NAMES)
    return sql if rename is None else rename(conn, sql)


Read = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]
"""Runs one statement, written with ``?``, and returns the driver's tuples: ``partial(query, conn)``, or a reader."""


class Reader:
    """Single questions to a database file, each a snapshot of its own, on connections that stay open in between.

    For the question that is asked most: to begin and end a transaction costs several times what the answer does.
    Share one between threads.
    """

    def __init__(self, engine: Engine) -> None:
        """Take connections from ``engine`` as they are needed."""
        self._engine = engine
        self._idle: deque[PoolProxiedConnection] = deque()

    def __call__(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run a statement written with ``?`` and return the driver's tuples."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._engine.raw_connection()
        cursor = connection.cursor()
        cursor.execute(sql, values)
        rows = cursor.fetchall()
        cursor.close()
        if len(self._idle) < _IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return rows  # type: ignore[return-value]  # as in query()

    def close(self) -> None:
        """Give the connections back."""
        while self._idle:
            self._idle.pop().close()


def query_in(conn: Connection, sql: str, values: Iterable[Any], *fixed: Any) -> Iterator[tuple[Any, ...]]:
    """Run a statement once per chunk of ``values``; ``(??)`` in it becomes the list, ``fixed`` fills what is before."""
    pending = list(values)
    for start in range(0, len(pending), _CHUNK):
        chunk = pending[start : start + _CHUNK]
        listed = sql.replace("(??)", f"({', '.join('?' * len(chunk))})")
        yield from query(conn, listed, (*fixed, *chunk))
