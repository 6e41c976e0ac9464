"""Opening databases: what is set on a connection, what a driver's error means, and who survives whom."""

import builtins
import socket
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Column, Connection, Engine, LargeBinary, MetaData, SmallInteger, Table, create_engine

from kfstate.errors import (
    ClosedError,
    ConnectError,
    ConnectionLostError,
    DriverError,
    LockTimeoutError,
    SchemaError,
    TransactionError,
    UndoneError,
)
from kfstate.store import dialect, schema
from kfstate.store.columns import BigKey, Id
from kfstate.store.connecting import open_database
from kfstate.store.database import Database
from kfstate.store.head import lock_head, read_head
from kfstate.store.reader import Reader
from tests.servers import Databases

T = TypeVar("T")
thing = Table(
    "kf_thing",
    MetaData(),
    Column("id", BigKey, primary_key=True, autoincrement=False),
    Column("name", Id(64), nullable=False),
    Column("small", SmallInteger),
    Column("data", LargeBinary),
)
VALUES = [
    "",
    " ",
    "a",
    "A",
    "a ",
    "ä",
    "你好 🎉",
    'a"b',
    "back\\slash",
    "{NULL}",
    "NULL",
    "%s ? 'x'",
    "line\nfeed\ttab",
]


@pytest.fixture
def things(engine: Engine) -> Engine:
    """A database with a table of every type."""
    with dialect.begin(engine, write=True) as conn:
        thing.create(conn)
    return engine


def all_things(engine: Engine) -> list[tuple[Any, ...]]:
    """Return the rows of that table."""
    with dialect.begin(engine, write=False) as conn:
        return dialect.query(conn, "SELECT id, name, small, data FROM kf_thing ORDER BY id")


@pytest.mark.parametrize("count", [1, 3, 4, 2000])
def test_rows_come_back_as_they_were(things: Engine, count: int) -> None:
    """However many at once: text is text, bytes are bytes, NULL is no word, and the last of two upserts stands."""
    rows: list[tuple[Any, ...]] = [
        (n, VALUES[n % len(VALUES)], None if n % 3 else -n, None if n % 2 else bytes([n % 256, 0, 92, 34]))
        for n in range(1, count + 1)
    ]
    with dialect.begin(things, write=True) as conn:
        dialect.bulk_insert(conn, thing, rows)
    assert rows == all_things(things)
    changed = [(n, name + "'", 7, b"") for n, name, *_ in rows]
    new = (count + 1, "new", None, None)
    with dialect.begin(things, write=True) as conn:
        dialect.bulk_upsert(conn, thing, [*rows, *changed, new])
    assert [*changed, new] == all_things(things)


def test_ids_compare_byte_by_byte(things: Engine) -> None:
    """Case counts, and so do accents and trailing blanks, in what is equal and in what comes first."""
    with dialect.begin(things, write=True) as conn:
        dialect.bulk_insert(conn, thing, [(n, value, None, None) for n, value in enumerate(VALUES)])
    with dialect.begin(things, write=False) as conn:
        for n, value in enumerate(VALUES):
            assert [(n,)] == dialect.query(conn, "SELECT id FROM kf_thing WHERE name = ?", (value,))
            assert [(n,)] == list(dialect.query_in(conn, "SELECT id FROM kf_thing WHERE name IN (??)", [value]))
        ordered = [name for (name,) in dialect.query(conn, "SELECT name FROM kf_thing ORDER BY name")]
    assert sorted(VALUES, key=str.encode) == ordered


def test_a_percent_sign_is_no_placeholder(engine: Engine) -> None:
    """Statements are written with question marks, whatever the driver wants."""
    with dialect.begin(engine, write=False) as conn:
        assert [("50%s", 5 % 3)] == dialect.query(conn, "SELECT '50%s', 5 % 3 WHERE 1 = ?", (1,))


def test_reading_sees_one_snapshot(things: Engine) -> None:
    """A view made of several statements is of one moment, and cannot write."""
    with dialect.begin(things, write=False) as conn:
        assert [] == dialect.query(conn, "SELECT 1 FROM kf_thing")
        with dialect.begin(things, write=True) as other:
            dialect.bulk_insert(other, thing, [(1, "a", None, None)])
        assert [] == dialect.query(conn, "SELECT 1 FROM kf_thing")
    assert 1 == len(all_things(things))


@pytest.mark.databases("servers")
def test_reading_writes_nothing(things: Engine) -> None:
    """A transaction that reads is READ ONLY."""
    with pytest.raises(Exception, match=r"(?i)read.only"), dialect.begin(things, write=False) as conn:
        dialect.bulk_insert(conn, thing, [(1, "a", None, None)])


@pytest.mark.databases("pg15", "pg18")
def test_settings_of_postgresql(engine: Engine) -> None:
    """Isolation, time zone and lock timeout are set on purpose."""
    names = "transaction_isolation", "transaction_read_only", "TimeZone", "lock_timeout", "application_name"
    sql = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    with dialect.begin(engine, write=True) as conn:
        assert [("read committed", "off", "UTC", "200ms", "kfstate")] == dialect.query(conn, sql)
    with dialect.begin(engine, write=False) as conn:
        assert [("repeatable read", "on", "UTC", "200ms", "kfstate")] == dialect.query(conn, sql)


@pytest.mark.databases("mariadb")
def test_settings_of_mysql(engine: Engine) -> None:
    """Strict, UTC, READ COMMITTED, no autocommit, utf8mb4; lock timeouts are whole seconds."""
    sql = (
        "SELECT @@tx_isolation, @@time_zone, @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@autocommit, "
        "@@character_set_client, @@sql_mode LIKE '%STRICT_ALL%'"
    )
    with dialect.begin(engine, write=True) as conn:
        assert [("READ-COMMITTED", "+00:00", 1, 1, 0, "utf8mb4", 1)] == dialect.query(conn, sql)


@pytest.mark.databases("servers")
def test_readers_connections_are_idle(engine: Engine) -> None:
    """Between questions a reader holds no transaction open: no vacuum and no purge waits for it."""
    reader = Reader(engine)
    assert 1 == len(reader("SELECT log_id FROM kf_log_head", ()))
    (held,) = reader._idle
    if engine.dialect.name == "postgresql":
        driver: Any = held.connection.driver_connection
        assert "IDLE" == driver.info.transaction_status.name
    else:
        assert [(0,)] == dialect.query(held, "SELECT @@in_transaction")
    reader.close()


def number_of(conn: Connection) -> int:
    """Return the server's number of a connection."""
    sql = "SELECT pg_backend_pid()" if conn.dialect.name == "postgresql" else "SELECT CONNECTION_ID()"
    return int(dialect.query(conn, sql)[0][0])


def kill(engine: Engine, number: int) -> None:
    """Let the server close a connection, and wait until it has."""
    end, there = f"KILL {number}", "information_schema.processlist WHERE id"
    if engine.dialect.name == "postgresql":
        end, there = f"SELECT pg_terminate_backend({number})", "pg_stat_activity WHERE pid"
    killer = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with killer.connect() as other:
        other.exec_driver_sql(end).close()
        while other.exec_driver_sql(f"SELECT COUNT(*) FROM {there} = {number}").scalar():
            pass
    killer.dispose()


@pytest.mark.databases("servers")
def test_a_connection_that_the_server_closed(engine: Engine) -> None:
    """In a transaction it is an error of ours; a reader asks again, and the pool gives out another connection."""
    reader = Reader(engine)
    assert 1 == len(reader("SELECT log_id FROM kf_log_head", ()))
    kill(engine, number_of(reader._idle[0]))
    assert 1 == len(reader("SELECT log_id FROM kf_log_head", ()))
    reader.close()

    def go_on() -> None:
        with dialect.begin(engine, write=True) as conn:
            kill(engine, number_of(conn))
            with suppress(ConnectionLostError):
                read_head(conn)

    with pytest.raises(ConnectionLostError):
        go_on()
    with dialect.begin(engine, write=True) as conn:
        assert 0 == read_head(conn).position


@pytest.mark.databases("servers")
def test_an_idle_connection_that_the_server_closed(engine: Engine) -> None:
    """A connection that was closed while it lay in the pool is not given out."""
    with dialect.begin(engine, write=False) as conn:
        number = number_of(conn)
    kill(engine, number)
    for _ in range(3):
        with dialect.begin(engine, write=True) as conn:
            assert 0 == read_head(conn).position


@pytest.mark.databases("servers")
def test_a_deadlock_is_an_error_of_ours(url: str) -> None:
    """The server undoes one of two transactions that wait for each other, and says which."""
    engine = open_database(url, lock_timeout=30)
    with dialect.begin(engine, write=True) as conn:
        thing.create(conn)
        dialect.bulk_insert(conn, thing, [(1, "", None, None), (2, "", None, None)])
    meeting = threading.Barrier(2)

    def cross(first: int, second: int) -> str:
        try:
            with dialect.begin(engine, write=True) as conn:
                dialect.query(conn, "UPDATE kf_thing SET small = 1 WHERE id = ?", (first,))
                meeting.wait(20)
                dialect.query(conn, "UPDATE kf_thing SET small = 1 WHERE id = ?", (second,))
        except UndoneError as error:
            return error.reason
        return ""

    with ThreadPoolExecutor(2) as pool:
        done, undone = sorted(pool.map(cross, (1, 2), (2, 1)))
    assert "" == done
    assert "eadlock" in undone
    engine.dispose()


def at_once(count: int, url: str, act: Callable[[Database], T]) -> list[T]:
    """Return what so many threads find that open a database at once."""
    begin = threading.Barrier(count)

    def run(_: int) -> T:
        with closing(Database(url, lock_timeout=30)) as opened:
            begin.wait(20)
            return act(opened)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_many_open_an_empty_database_at_once(database: Databases) -> None:
    """Whoever comes second finds the schema of the first: one log, with one beginning."""

    def migrate(opened: Database) -> bytes:
        with opened.writing() as conn:
            schema.upgrade(conn, now=1)
        with opened.reading() as conn:
            schema.check(conn)
            return read_head(conn).log_id

    assert 1 == len(set(at_once(4, database.new(), migrate)))


@pytest.mark.databases("sqlite")
def test_many_make_a_new_file_at_once(tmp_path: Path) -> None:
    """All get it with a write-ahead log, though SQLite waits for nobody while that begins."""

    def connect(opened: Database) -> str:
        with opened.reading() as conn:
            return str(conn.exec_driver_sql("PRAGMA journal_mode").scalar())

    for number in range(20):
        assert ["wal"] * 6 == at_once(6, f"sqlite:///{tmp_path}/{number}.db", connect)


@pytest.mark.databases("mariadb")
def test_a_broken_upgrade_is_finished(database: Databases) -> None:
    """MySQL commits with every change of the schema: what was broken off is begun again, from wherever it stands."""
    url = database.new()
    statements = 0
    while True:
        engine = open_database(url)
        left = statements

        def crash(*_: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

        cursors = Statements(engine, crash)
        try:
            with cursors, dialect.begin(engine, write=True) as conn:
                schema.upgrade(conn, now=1)
        except KeyboardInterrupt:
            statements += 7
        else:
            break
        finally:
            engine.dispose()
    assert statements > 50
    with dialect.begin(open_database(url), write=False) as conn:
        schema.check(conn)
        assert 0 == read_head(conn).position


def test_who_cannot_connect_leaves_no_socket(tmp_path: Path) -> None:
    """PyMySQL keeps the socket of a server that is not there; it is closed."""
    engine = open_database(f"mysql://root@/kf?unix_socket={tmp_path}/s.sock")
    left: list[Any] = []
    with pytest.raises(ConnectError) as caught:
        engine.connect()
    error: Any = caught.value.__cause__
    trace = error.original_exception.__traceback__
    while trace is not None:
        left += [value for value in trace.tb_frame.f_locals.values() if isinstance(value, socket.socket)]
        trace = trace.tb_next
    assert [-1] == [sock.fileno() for sock in left]
    engine.dispose()


class Statements:
    """Calls a function before each statement that SQLAlchemy runs."""

    def __init__(self, engine: Engine, call: Any) -> None:
        """On this engine."""
        self._at = (engine, "before_cursor_execute", call)

    def __enter__(self) -> None:
        """Begin."""
        from sqlalchemy import event

        event.listen(*self._at)

    def __exit__(self, *_: object) -> None:
        """End."""
        from sqlalchemy import event

        event.remove(*self._at)


def test_memory_is_shared_by_threads() -> None:
    """A database in memory has one connection: transactions of several threads follow each other."""
    memory = Database("sqlite://", lock_timeout=30)
    with memory.writing() as conn:
        schema.upgrade(conn, now=1)
        thing.create(conn)

    def add(number: int) -> int:
        for n in range(20):
            with memory.writing() as conn:
                dialect.bulk_insert(conn, thing, [(number * 100 + n, "", None, None)])
            with memory.reading() as conn:
                dialect.query(conn, "SELECT COUNT(*) FROM kf_thing")
        return len(memory.read("SELECT id FROM kf_thing WHERE id BETWEEN ? AND ?", (number * 100, number * 100 + 99)))

    with ThreadPoolExecutor(8) as pool:
        assert [20] * 8 == list(pool.map(add, range(8)))
    memory.close()


def test_memory_in_a_transaction_is_waited_for() -> None:
    """Who asks while another one is in a transaction waits, for no longer than a lock, and never for itself."""
    memory = Database("sqlite://", lock_timeout=0.1)
    with memory.writing() as conn:
        schema.upgrade(conn, now=1)
        with pytest.raises(LockTimeoutError):
            memory.read("SELECT 1", ())
        with pytest.raises(TransactionError), memory.reading():
            pass
    memory.close()


@pytest.mark.databases("sqlite", "pg15", "pg18")
def test_a_callers_lock_is_waited_for_in_bounds(engine: Engine) -> None:
    """Where the caller's connection would wait for ever, a timeout is set for the lock, and taken back."""
    postgres = engine.dialect.name == "postgresql"
    ask = "SHOW lock_timeout" if postgres else "PRAGMA busy_timeout"
    hosts = create_engine(engine.url, **({} if postgres else {"connect_args": {"timeout": 0}}))
    bounded = hosts.execution_options(kfstate_lock_timeout=0.3)
    with bounded.connect() as conn:
        lock_head(conn)
        assert conn.exec_driver_sql(ask).scalar() in {"0", 0}
    with dialect.begin(engine, write=True) as holding, bounded.connect() as conn:
        lock_head(holding)
        with pytest.raises(LockTimeoutError) as caught:
            lock_head(conn)
        conn.rollback()
        assert conn.exec_driver_sql(ask).scalar() in {"0", 0}
    assert 0.2 < caught.value.waited < 5
    hosts.dispose()


@pytest.mark.databases("pg15", "pg18")
def test_a_database_that_cannot_hold_every_text(engine: Engine) -> None:
    """Where the database is not in UTF8, it is refused before anything is made in it."""
    name = f"{engine.url.database}_latin"
    admin = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.exec_driver_sql(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    latin = open_database(engine.url.set(database=name))
    with pytest.raises(SchemaError, match="LATIN1"), dialect.begin(latin, write=True) as conn:
        schema.upgrade(conn, now=1)
    latin.dispose()
    with admin.connect() as conn:
        conn.exec_driver_sql(f"DROP DATABASE {name}")
    admin.dispose()


@pytest.mark.databases("sqlite")
def test_a_file_that_another_program_locks(url: str, path: Path) -> None:
    """An exclusive lock of somebody else is a lock timeout, when a transaction begins and when it ends."""
    foreign = sqlite3.connect(path, isolation_level=None)
    foreign.execute("PRAGMA locking_mode = EXCLUSIVE").close()
    foreign.execute("BEGIN EXCLUSIVE").close()
    engine = open_database(url, lock_timeout=0.1)
    for write in (True, False):
        with pytest.raises(LockTimeoutError), dialect.begin(engine, write=write) as conn:
            read_head(conn)
    foreign.close()
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("postgresql://h/d", "psycopg", "postgres"),
        ("postgres://h/d", "psycopg", "postgres"),
        ("mysql://h/d", "pymysql", "mysql"),
    ],
)
def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, url: str, module: str, extra: str) -> None:
    """The error says what to install."""
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DriverError, match=rf"pip install 'kfstate\[{extra}\]'"):
        open_database(url)


@pytest.mark.parametrize(
    ("url", "asynchronous", "driver"),
    [
        ("postgresql://h/d", False, "postgresql+psycopg"),
        ("postgres://h/d", True, "postgresql+psycopg"),
        ("postgresql+psycopg://h/d", False, "postgresql+psycopg"),
        ("mysql://h/d", False, "mysql+pymysql"),
        ("mysql+pymysql://h/d", True, "mysql+asyncmy"),
        ("mariadb://h/d", False, "mariadb+pymysql"),
        ("sqlite:///x.db", True, "sqlite+aiosqlite"),
    ],
)
def test_urls_as_people_write_them(url: str, asynchronous: bool, driver: str) -> None:  # noqa: FBT001 (a parameter)
    """One URL for threads and for asyncio, with the driver of ours, and utf8mb4 on MySQL."""
    engine = open_database(url, asynchronous=asynchronous)
    assert driver == engine.url.drivername
    assert "mysql" not in driver or "utf8mb4" == engine.url.query["charset"]


def test_closed_is_closed(url: str) -> None:
    """Who uses a database after its end is told so."""
    closed = Database(url)
    closed.close()
    with pytest.raises(ClosedError), closed.reading():
        pass
    with pytest.raises(ClosedError), closed.writing():
        pass
    with pytest.raises(ClosedError):
        closed.read("SELECT 1", ())
