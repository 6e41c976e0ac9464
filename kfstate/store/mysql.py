# ruff: noqa: S608 (the SQL is put together from constants)
"""MySQL 8 and MariaDB, through PyMySQL, or asyncmy for asyncio. The SQL is what both have in common."""

import math
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection

from kfstate.errors import LockTimeoutError, PayloadTooLargeError, TransactionError
from kfstate.store import mysql_triggers
from kfstate.store.backend import (
    DEFAULT_LOCK_TIMEOUT,
    LOCK_TIMEOUT,
    SERVER_POOL,
    Trouble,
    ask,
    columns,
    execute,
    has_input,
)

__all__ = [
    "ALONE",
    "SNAPSHOT",
    "ask",
    "close_unconnected",
    "forget_journal",
    "holder",
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

ALONE: Mapping[str, Any] = {"isolation_level": "AUTOCOMMIT"}
SNAPSHOT: Mapping[str, Any] = {}
"""Nothing: :func:`start` asks for it, in one round trip instead of SQLAlchemy's four."""

_LOCK = "SELECT log_id FROM kf_log_head FOR UPDATE"
_LOCKED = frozenset({1205, 3024, 3572})
_UNDONE = frozenset({1213})
_FULL = frozenset({1021, 1114})
_ALWAYS = 250_000
"""Characters of a row for which nobody asks the server whether it takes them: escaped, they are below 1 MB."""
_AROUND = 4096
"""Bytes of a statement around the texts of a row, at most."""
_LOST = frozenset({1053, 1927, 2006, 2013, 2014, 2055, 3169, 4031})
# Whoever has rows locked and waits for nobody, in this database; the one that began first.
_HOLDER = (
    "SELECT t.trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), COALESCE(t.trx_query, p.info) "
    "FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
    "WHERE t.trx_rows_locked > 0 AND t.trx_state = 'RUNNING' AND p.db = DATABASE() AND p.id <> CONNECTION_ID() "
    "ORDER BY t.trx_started LIMIT 1"
)


def prepared(url: URL, *, lock_timeout: float, asynchronous: bool) -> tuple[URL, dict[str, Any]]:  # noqa: ARG001
    """Return the URL with our driver, and what else an SQLAlchemy engine is to be made with."""
    driver = "asyncmy" if asynchronous else "pymysql"
    url = url.set(drivername=f"{url.get_backend_name()}+{driver}")
    if "charset" not in url.query:
        url = url.update_query_dict({"charset": "utf8mb4"})
    # A socket of the machine needs no TLS; to prepare it takes PyMySQL longer than to connect.
    local = "unix_socket" in url.query and not asynchronous
    options = {"connect_args": {"ssl_disabled": True}} if local else {}
    # asyncmy reads its socket ahead, so that only a ping can tell whether the server is there.
    return url, {"isolation_level": "READ COMMITTED", "pool_pre_ping": asynchronous, **SERVER_POOL, **options}


def set_up(connection: DBAPIConnection, lock_timeout: float) -> None:
    """Set up a new connection of the driver; lock timeouts are whole seconds here."""
    seconds = max(1, math.ceil(lock_timeout))
    execute(
        connection,
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', "
        f"time_zone = '+00:00', innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}, autocommit = 0",
    )


def start(conn: Connection, *, write: bool | None) -> None:
    """Let a transaction that only reads see one snapshot; the driver begins it with the first statement."""
    if write is False:
        conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").close()


def stale(connection: Any) -> bool:
    """Tell whether the server has said something unasked on an idle connection: that it closes it."""
    sock = getattr(connection, "_sock", None)
    return sock is not None and has_input(sock)


def close_unconnected(context: ExceptionContext) -> None:
    """Close the socket that could not connect: PyMySQL leaves it open in the frame of its error."""
    trace = getattr(getattr(context.original_exception, "original_exception", None), "__traceback__", None)
    while trace is not None:
        if isinstance(left := trace.tb_frame.f_locals.get("sock"), socket.socket):
            left.close()
        trace = trace.tb_next


def lock(conn: Connection) -> None:
    """Lock the head of the log in a transaction of our own."""
    conn.exec_driver_sql(_LOCK).fetchall()


def lock_in(conn: Connection) -> None:
    """Lock the head of the log in a transaction that somebody else began, or refuse it."""
    # The variable's name is tx_isolation in MariaDB 10, transaction_isolation in MySQL 8 and MariaDB 11.
    names = "'autocommit', 'tx_isolation', 'transaction_isolation'"
    rows = conn.exec_driver_sql(f"SHOW VARIABLES WHERE Variable_name IN ({names})")
    found: dict[str, str] = {row[0]: row[1] for row in rows}
    if found.pop("autocommit") == "ON":
        raise TransactionError(found="AUTOCOMMIT", needed="a transaction, with autocommit = 0")
    level = next(iter(found.values())).replace("-", " ")
    if level != "READ COMMITTED":
        raise TransactionError(found=level, needed="READ COMMITTED")
    lock(conn)


def trouble(error: BaseException) -> Trouble | None:
    """Tell what an error of the driver means."""
    code = error.args[0] if error.args else 0
    if code in _LOCKED:
        return "locked"
    if code in _UNDONE:
        return "undone"
    if code in _FULL:
        return "full"
    return "lost" if code in _LOST else None


def undone(conn: Connection, error: BaseException) -> bool:  # noqa: ARG001 (as other databases)
    """Tell whether the server undid the transaction; the next statement begins another one, without a word."""
    return trouble(error) == "undone"


def standing(conn: Connection) -> bool:  # noqa: ARG001 (as other databases)
    """Return True: only its errors tell."""
    return True


def holder(conn: Connection) -> str | None:
    """Return who holds the head of the log, as far as the user may see it."""
    try:
        found = conn.exec_driver_sql(_HOLDER).first()
    except Exception:  # noqa: BLE001 (whatever the server says, the lock has timed out)
        return "another transaction (the PROCESS privilege shows which)"
    if found is None:
        return None
    return f"connection {found[0]}, in a transaction since {found[1]} s, running: {found[2] or 'nothing'}"


def insert(conn: Connection, table: Table, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows into ``table``, which stands under ``name``."""
    _many(conn, _insert(table, name), rows)


def upsert(conn: Connection, table: Table, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, or replace those with the same primary key."""
    _many(conn, _upsert(table, name), rows)


def _many(conn: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    # Both drivers make it statements of many rows, of at most a megabyte each; a row alone may be longer.
    longest = max(map(_length, rows))
    if longest > _ALWAYS:
        _refuse_above_limit(conn, rows)
    cursor = conn.connection.cursor()
    cursor.executemany(sql, rows)
    cursor.close()


def _length(row: tuple[Any, ...]) -> int:
    return sum(len(value) for value in row if isinstance(value, bytes | str))


def _refuse_above_limit(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Refuse a row that the server would answer by closing the connection, which tells nobody what was wrong."""
    limit = int(conn.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())
    escape = conn.connection.driver_connection.escape  # type: ignore[union-attr]  # PyMySQL's, or asyncmy's
    for row in rows:
        if _length(row) <= _ALWAYS:
            continue
        size = sum(
            len(escape(value).encode(errors="surrogateescape")) for value in row if isinstance(value, bytes | str)
        )
        if size + _AROUND > limit:
            raise PayloadTooLargeError(size=size, limit=limit)


@lru_cache(maxsize=256)
def _insert(table: Table, name: str) -> str:
    return f"INSERT INTO {name} ({columns(table)}) VALUES ({', '.join(['%s'] * len(table.columns))})"


@lru_cache(maxsize=256)
def _upsert(table: Table, name: str) -> str:
    changes = ", ".join(f"{at.name} = VALUES({at.name})" for at in table.columns if not at.primary_key)
    return f"{_insert(table, name)} ON DUPLICATE KEY UPDATE {changes}"


def listed(sql: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Fill the list ``IN (??)`` of a statement."""
    return sql.replace("(??)", f"({', '.join('?' * len(values))})"), values


def in_one_go(conn: Connection) -> AbstractContextManager[None]:  # noqa: ARG001 (as other databases)
    """Do nothing: the driver waits for every statement."""
    return nullcontext()


@contextmanager
def migrating(conn: Connection) -> Iterator[None]:
    """Keep other processes out by a named lock. DDL commits here, and so does the end of the block."""
    seconds = conn.get_execution_options().get(LOCK_TIMEOUT, DEFAULT_LOCK_TIMEOUT)
    name = "CONCAT('kfstate/', MD5(DATABASE()))"
    if conn.exec_driver_sql(f"SELECT GET_LOCK({name}, {max(1, math.ceil(seconds))})").scalar() != 1:
        raise LockTimeoutError(waited=seconds, blocker="another process that migrates this database")
    try:
        # What others committed while this one waited has to be seen.
        conn.exec_driver_sql("COMMIT").close()
        yield
        conn.exec_driver_sql("COMMIT").close()
    finally:
        if not conn.invalidated:  # else it went with the connection
            conn.exec_driver_sql(f"SELECT RELEASE_LOCK({name})").close()


missing_triggers = mysql_triggers.missing


def forget_journal(conn: Connection, *, wait: bool) -> bool:  # noqa: ARG001 (as other databases)
    """Do nothing: the server's journals belong to its administrator."""
    return True
