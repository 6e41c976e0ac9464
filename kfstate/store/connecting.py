"""Opening a database by its URL, which module speaks for it, and what its driver's errors mean."""

import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from kfstate.errors import (
    ConnectError,
    ConnectionLostError,
    DriverError,
    LockTimeoutError,
    StorageFullError,
    StoreError,
    TransactionError,
    UndoneError,
)
from kfstate.store import mysql, postgresql, sqlite
from kfstate.store.backend import DEFAULT_LOCK_TIMEOUT, LOCK_TIMEOUT, STANDING, WRITE, Backend, Standing

__all__ = ["backend_of", "connect", "failed", "gone", "known_url", "open_database"]

_BACKENDS: dict[str, Backend] = {"sqlite": sqlite, "postgresql": postgresql, "mysql": mysql, "mariadb": mysql}
_ALIASES = {"postgres": "postgresql"}
_DRIVERS = {
    "sqlite": ({"pysqlite", "aiosqlite"}, ""),
    "postgresql": ({"psycopg", "psycopg_async"}, "postgres"),
    "mysql": ({"pymysql", "asyncmy"}, "mysql"),
    "mariadb": ({"pymysql", "asyncmy"}, "mysql"),
}
_IDLE = 30.0
"""Seconds: a connection that was idle for longer is asked whether it is still there."""
_USED = "kfstate_used"
_NOT_THE_HEAD = "another transaction (not one that holds the head of the log)"
_LOOK = 0.25
"""Seconds that the pool waits for a connection at a time."""


def connect(engine: Engine) -> Connection:
    """Take a connection from the pool.

    Raises :class:`~kfstate.errors.LockTimeoutError` where all are in use for too long: in memory there is only one.
    """
    patience = engine.get_execution_options().get(LOCK_TIMEOUT, DEFAULT_LOCK_TIMEOUT)
    started = time.monotonic()
    while True:
        try:
            return engine.connect()
        except PoolTimeoutError as error:
            # The pool wakes nobody when a connection fails, or is cancelled, while it is made: so look again.
            waited = round(time.monotonic() - started, 3)
            if waited >= patience:
                raise LockTimeoutError(waited=waited, blocker="others have all connections of the pool") from error


def backend_of(conn: Connection) -> Backend:
    """Return what the database behind a connection does in its own way."""
    return _BACKENDS[conn.dialect.name]


def open_database(url: str | URL, *, lock_timeout: float = DEFAULT_LOCK_TIMEOUT, asynchronous: bool = False) -> Engine:
    """Return an engine whose connections are set up for the log.

    ``lock_timeout`` is how many seconds a transaction waits for another one. ``asynchronous``: through asyncio's
    drivers, for code that runs inside SQLAlchemy's greenlets. Transactions come from
    :func:`kfstate.store.dialect.begin`. Raises :class:`~kfstate.errors.DriverError`.
    """
    url = known_url(url)
    name = url.get_backend_name()
    backend = _BACKENDS[name]
    url, options = backend.prepared(url, lock_timeout=lock_timeout, asynchronous=asynchronous)
    try:
        engine = _made(url, options, lock_timeout=lock_timeout, asynchronous=asynchronous)
    except ImportError as error:
        extra = "async" if asynchronous and name == "sqlite" else _DRIVERS[name][1] or "async"
        raise DriverError(
            found=f"no driver ({error})", needed=url.drivername, remedy=f"pip install 'kfstate[{extra}]'"
        ) from error
    _listen(engine, backend, lock_timeout)
    return engine.execution_options(**{LOCK_TIMEOUT: lock_timeout})


def known_url(url: str | URL) -> URL:
    """Return a URL as SQLAlchemy spells it, without its driver.

    Raises :class:`~kfstate.errors.DriverError` where the database, or a driver that is named, is none of ours.
    """
    url = make_url(url)
    name, _, driver = url.drivername.partition("+")
    name = _ALIASES.get(name, name)
    known = _DRIVERS.get(name)
    if known is None or (driver and driver not in known[0]):
        needed = "sqlite, postgresql or mysql (mariadb), without a driver or with one of ours"
        remedy = "use a URL like sqlite:///kfstate.db, postgresql://user@host/db or mysql://user@host/db"
        raise DriverError(found=url.drivername, needed=needed, remedy=remedy)
    return url.set(drivername=name)


def _made(url: URL, options: dict[str, Any], *, lock_timeout: float, asynchronous: bool) -> Engine:
    # Errors must not carry what customers said.
    options = {"hide_parameters": True, "pool_timeout": min(lock_timeout, _LOOK), **options}
    if not asynchronous:
        return create_engine(url, **options)
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 (needs an extra)

    return create_async_engine(url, **options).sync_engine


def _listen(engine: Engine, backend: Backend, lock_timeout: float) -> None:
    def connected(connection: DBAPIConnection, _record: object) -> None:
        try:
            backend.set_up(connection, lock_timeout)
        except BaseException:
            connection.close()  # SQLAlchemy has no record of it yet
            raise

    def given_back(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_USED] = time.monotonic()

    def taken(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
        # Asking the server each time would cost a round trip for every transaction.
        if _USED not in record.info:
            return
        silent = time.monotonic() - record.info[_USED] > _IDLE
        if backend.stale(record.driver_connection) or (silent and not _answers(engine, connection)):
            raise DisconnectionError("the server closed the connection")

    def began(conn: Connection) -> None:
        backend.start(conn, write=conn.get_execution_options().get(WRITE))

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", began)
    event.listen(engine, "commit", _ends)
    event.listen(engine, "rollback", _ends)
    event.listen(engine, "handle_error", _meant, retval=True)
    if engine.dialect.driver == "pymysql":
        event.listen(engine, "handle_error", mysql.close_unconnected)
    if engine.dialect.name != "sqlite":
        event.listen(engine, "checkin", given_back)
        event.listen(engine, "checkout", taken)


def _ends(conn: Connection) -> None:
    """Refuse to end a transaction from inside of the block that it belongs to."""
    standing: Standing | None = conn.get_execution_options().get(STANDING)
    if standing is not None and standing.inside:
        found = "a commit or rollback in a transaction of the engine"
        standing.gone = standing.gone or TransactionError(found=found, needed="neither: begin_nested() undoes a part")
        raise standing.gone


def gone(conn: Connection) -> StoreError | None:
    """Return why the engine's own transaction on a connection is not there any more; None where it is."""
    standing: Standing | None = conn.get_execution_options().get(STANDING)
    return None if standing is None else standing.gone


def _answers(engine: Engine, connection: DBAPIConnection) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except Exception:  # noqa: BLE001 (whatever it says, it is not there)
        return False


def _meant(context: ExceptionContext) -> BaseException | None:
    """Turn what SQLAlchemy met into our errors."""
    conn, error = context.connection, context.original_exception
    if not isinstance(error, Exception):
        return None
    if conn is not None:
        return _ours(conn, error, lost=context.is_disconnect)
    # None could be made.
    if _BACKENDS[context.dialect.name].trouble(error) == "locked":
        return LockTimeoutError(waited=0.0, blocker="another program, which has the database for itself")
    unopened = isinstance(error, context.dialect.loaded_dbapi.DatabaseError)
    return ConnectError(reason=_said(error)) if unopened else None


def failed(conn: Connection, error: BaseException, *, waited: float | None = None) -> BaseException:
    """Return what to raise for an error of the driver, met past SQLAlchemy; a lost connection is given up."""
    dbapi = conn.dialect.loaded_dbapi
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, StoreError):
        return error
    if not isinstance(original, Exception):
        _give_up(conn, error)
        return error
    if not isinstance(original, dbapi.Error):
        return error
    lost = not conn.invalidated and conn.dialect.is_disconnect(original, conn.connection.dbapi_connection, None)
    ours = _ours(conn, original, lost=lost, waited=waited)
    if isinstance(ours, ConnectionLostError):
        _give_up(conn, error)
    if ours is not None:
        return ours
    if isinstance(error, DBAPIError):
        return error
    return DBAPIError.instance(None, None, original, dbapi.Error, hide_parameters=True, dialect=conn.dialect)


def _ours(conn: Connection, error: BaseException, *, lost: bool, waited: float | None = None) -> StoreError | None:
    ours = _named(conn, error, lost=lost, waited=waited)
    standing: Standing | None = conn.get_execution_options().get(STANDING)
    if standing is not None and standing.inside and standing.gone is None:
        # Whoever catches the error must not have a transaction committed of which a part is undone.
        if isinstance(ours, ConnectionLostError):
            standing.gone = ours
        elif not conn.invalidated and backend_of(conn).undone(conn, error):
            standing.gone = ours or UndoneError(reason=_said(error))
    return ours


def _named(conn: Connection, error: BaseException, *, lost: bool, waited: float | None) -> StoreError | None:
    backend = backend_of(conn)
    meaning = backend.trouble(error)
    if lost or meaning == "lost":
        return ConnectionLostError(reason=_said(error))
    if meaning == "undone":
        return UndoneError(reason=_said(error))
    if meaning == "full":
        return StorageFullError(reason=_said(error))
    if meaning == "locked":
        seconds = conn.get_execution_options().get(LOCK_TIMEOUT, DEFAULT_LOCK_TIMEOUT)
        return LockTimeoutError(waited=seconds if waited is None else waited, blocker=_blocker(conn, backend))
    return None


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _blocker(conn: Connection, backend: Backend) -> str:
    """Ask who blocks, on a connection of its own: this one's transaction is aborted."""
    if conn.dialect.name == "sqlite":
        return "another connection that writes to this SQLite database"
    pool = conn.engine.pool.recreate()
    try:
        with Engine(pool, conn.engine.dialect, conn.engine.url).connect() as other:
            return backend.holder(other) or _NOT_THE_HEAD
    except Exception as error:  # noqa: BLE001 (the lock has timed out, whatever else fails)
        return f"another transaction ({_said(error)})"
    finally:
        pool.dispose()


def _give_up(conn: Connection, error: BaseException) -> None:
    """Close a connection whose state nobody knows; SQLite's is known, and memory would be gone with it."""
    if conn.dialect.name != "sqlite" and not conn.invalidated:
        conn.invalidate(error)
