"""PostgreSQL through psycopg 3, which serves asyncio, too."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection

from kfstate.errors import SchemaError, TransactionError
from kfstate.store import postgresql_bulk, postgresql_pipeline, postgresql_triggers
from kfstate.store.backend import DEFAULT_LOCK_TIMEOUT, LOCK_TIMEOUT, SERVER_POOL, Trouble, execute, has_input

__all__ = [
    "ALONE",
    "SNAPSHOT",
    "ask",
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
SNAPSHOT: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""The driver says both with BEGIN itself: no round trip more."""

_LOCK = "SELECT log_id FROM kf_log_head FOR UPDATE"
_LOCKED = frozenset({"55P03"})
_UNDONE = frozenset({"40001", "40P01"})
_LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})
_FULL = frozenset({"53100"})
_ASK = (
    "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'), "
    "current_setting('lock_timeout')"
)
# Whoever holds a lock on the head that writers take, and waits for nobody; the one that began first.
_HOLDER = (
    "SELECT a.pid, CAST(EXTRACT(EPOCH FROM clock_timestamp() - a.xact_start) AS integer), a.state, a.query "
    "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.relation = CAST('kf_log_head' AS regclass) "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.granted "
    "AND l.mode <> 'AccessShareLock' AND NOT EXISTS (SELECT 1 FROM pg_locks w WHERE w.pid = l.pid AND NOT w.granted) "
    "ORDER BY a.xact_start LIMIT 1"
)
_MIGRATION = 0x6B667374617465
"""Key of the advisory lock of migrations: 'kfstate'."""


def prepared(url: URL, *, lock_timeout: float, asynchronous: bool) -> tuple[URL, dict[str, Any]]:  # noqa: ARG001
    """Return the URL with our driver, and what else an SQLAlchemy engine is to be made with."""
    url = url.set(drivername="postgresql+psycopg")
    arguments = {"client_encoding": "utf8", "fallback_application_name": "kfstate"}
    options = {"isolation_level": "READ COMMITTED", "use_native_hstore": False, "connect_args": arguments}
    return url, {**options, **SERVER_POOL}


def set_up(connection: DBAPIConnection, lock_timeout: float) -> None:
    """Set up a new connection of the driver."""
    # Not in the connection string: a pooler between here and the server would not pass it on.
    execute(
        connection,
        f"SELECT set_config('lock_timeout', '{_ms(lock_timeout)}', false), set_config('TimeZone', 'UTC', false)",
    )
    connection.commit()


def start(conn: Connection, *, write: bool | None) -> None:
    """Do nothing: the driver begins a transaction with the first statement."""


def stale(connection: Any) -> bool:
    """Tell whether the server has said something unasked on an idle connection: that it closes it."""
    return bool(connection.closed) or has_input(connection)


def lock(conn: Connection) -> None:
    """Lock the head of the log in a transaction of our own; in a block of :func:`in_one_go` without waiting for it."""
    ask(conn, _LOCK, ())


def lock_in(conn: Connection) -> None:
    """Lock the head of the log in a transaction that somebody else began, or refuse it."""
    level, read_only, timeout = conn.exec_driver_sql(_ASK).one()
    if level != "read committed":
        raise TransactionError(found=level.upper(), needed="READ COMMITTED")
    if read_only == "on":
        raise TransactionError(found="READ ONLY", needed="READ WRITE")
    if timeout == "0":
        seconds = conn.get_execution_options().get(LOCK_TIMEOUT, DEFAULT_LOCK_TIMEOUT)
        conn.exec_driver_sql(f"SET LOCAL lock_timeout = {_ms(seconds)}").close()
    lock(conn)
    # Whoever locks a row has a transaction number, for as long as the transaction lasts.
    (number,) = conn.exec_driver_sql("SELECT txid_current_if_assigned()").one()
    if number is None:
        raise TransactionError(found="AUTOCOMMIT", needed="a transaction")
    if timeout == "0":
        conn.exec_driver_sql("SET LOCAL lock_timeout = 0").close()


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def trouble(error: BaseException) -> Trouble | None:
    """Tell what an error of the driver means."""
    state = getattr(error, "sqlstate", None)
    if state in _LOCKED:
        return "locked"
    if state in _UNDONE:
        return "undone"
    if state in _FULL:
        return "full"
    return "lost" if state in _LOST else None


def undone(conn: Connection, error: BaseException) -> bool:  # noqa: ARG001 (as other databases)
    """Return False: a transaction that failed takes nothing more, unless it goes back to a savepoint."""
    return False


def standing(conn: Connection) -> bool:
    """Tell whether the transaction has not failed: the server would answer COMMIT by rolling it back."""
    connection: Any = conn.connection.driver_connection
    return bool(connection.info.transaction_status.name != "INERROR")


def holder(conn: Connection) -> str | None:
    """Return who holds the head of the log."""
    found = conn.exec_driver_sql(_HOLDER).first()
    if found is None:
        return None
    pid, age, state, sql = found
    said = " ".join(sql.split())[:200] if sql else "unknown"
    return f"pid {pid}, in a transaction since {age} s, {state}: {said}"


insert = postgresql_bulk.insert
upsert = postgresql_bulk.upsert
ask = postgresql_pipeline.ask
in_one_go = postgresql_pipeline.in_one_go


def listed(sql: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Fill the list ``IN (??)`` of a statement: one array, so that the statement is the same for any number."""
    return sql.replace("IN (??)", "= ANY(?)"), [list(values)]


@contextmanager
def migrating(conn: Connection) -> Iterator[None]:
    """Keep other processes out by an advisory lock, which ends with the transaction.

    Raises :class:`~kfstate.errors.SchemaError` where the database cannot hold every text.
    """
    encoding = conn.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        remedy = "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        raise SchemaError(found=f"a database in {encoding}", needed="one in UTF8", remedy=remedy)
    conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION})").close()
    yield


missing_triggers = postgresql_triggers.missing


def forget_journal(conn: Connection, *, wait: bool) -> bool:  # noqa: ARG001 (as other databases)
    """Do nothing: the server's journals belong to its administrator."""
    return True
