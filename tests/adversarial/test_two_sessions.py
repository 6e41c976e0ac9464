"""Two sessions, step by step: whatever the order of their statements, the log has the order of their commits."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, create_engine

from kfstate.engine import Engine
from kfstate.errors import LockTimeoutError
from kfstate.testing import page
from tests.adversarial.processes import until
from tests.adversarial.writers import KF, message
from tests.engine.tables import rows
from tests.servers import Databases, plain

__all__: list[str] = []


@contextmanager
def session(url: str) -> Iterator[Connection]:
    """Open a connection of somebody else's, READ COMMITTED where there are levels, in a transaction."""
    made = create_engine(plain(url), connect_args={} if not url.startswith("sqlite") else {"isolation_level": None})
    try:
        with made.connect() as conn:
            if url.startswith("sqlite"):
                conn.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                conn.execution_options(isolation_level="READ COMMITTED")
            yield conn
            conn.rollback()
    finally:
        made.dispose()


def seen(engine: Engine) -> list[tuple[int, str]]:
    """Return position and payload's msgid of every entry but the machine's."""
    return [
        (entry.position, str((entry.payload or {}).get("msgid"))) for entry in engine.read_all() if entry.position > 1
    ]


def test_an_earlier_lock_that_commits_later(url: str) -> None:
    """While one who took a position has not committed, nobody can see a higher one, nor commit one."""
    with Engine(url) as engine, Engine(url, lock_timeout=0.3) as hasty, session(url) as conn:
        engine.ingest(page([message("first")]), account=KF, connection=conn)
        with pytest.raises(LockTimeoutError):
            hasty.ingest(page([message("hasty")]), account=KF)
        assert [] == seen(hasty)
        done: list[int] = []
        other = Engine(url)
        later = threading.Thread(
            target=lambda: done.append(other.ingest(page([message("later")]), account=KF).position), daemon=True
        )
        later.start()
        with pytest.raises(TimeoutError):
            until(lambda: bool(done or seen(hasty)), patience=0.3)
        conn.commit()
        later.join(10)
        other.close()
        assert [3] == done
        assert [(2, "first"), (3, "later")] == seen(engine)


def test_a_rollback_in_the_middle(url: str) -> None:
    """Positions that were rolled back are given to the next: no hole stays, and nothing of what was undone."""
    with Engine(url) as engine:
        engine.ingest(page([message("first")]), account=KF)
        with session(url) as conn:
            engine.ingest(
                page([message(f"undone{number}", number) for number in range(5)]), account=KF, connection=conn
            )
            conn.rollback()
        engine.ingest(page([message("second", 9)]), account=KF)
        assert [(2, "first"), (3, "second")] == seen(engine)
        assert (None, 0, 0) == (engine.verify().damage, engine.behind(), engine.check().different)
        assert [(2,)] == rows(engine, "SELECT COUNT(*) FROM kf_identity WHERE day > 0")


@pytest.mark.databases("servers")
def test_opened_early_and_appended_late(url: str) -> None:
    """A transaction that is older than another's append comes after it on the same stream, if it appends after it."""
    number = "SELECT txid_current()" if url.startswith("postgresql") else "SELECT COUNT(*) FROM kf_entry"
    with Engine(url) as engine, session(url) as conn:
        conn.exec_driver_sql(number)
        engine.ingest(page([message("young")]), account=KF)
        engine.ingest(page([message("old")]), account=KF, connection=conn)
        conn.commit()
        assert [(2, "young"), (3, "old")] == seen(engine)
        assert [(2, 1), (3, 2)] == rows(engine, "SELECT position, version FROM kf_entry WHERE position > 1 ORDER BY 1")
        assert (None, 0) == (engine.verify().damage, engine.check().different)


@pytest.mark.databases("servers")
def test_a_foreign_transaction_for_ever(url: str, database: Databases) -> None:
    """Transactions that others leave open, here and in another database of the server, hold nothing up."""
    with session(url) as here, session(database.new()) as there, Engine(url, lock_timeout=2) as engine:
        for conn in (here, there):
            conn.exec_driver_sql("CREATE TABLE other (id INTEGER)")
            conn.commit()
            conn.exec_driver_sql("INSERT INTO other VALUES (1)")
        here.exec_driver_sql("SELECT COUNT(*) FROM kf_entry")
        handled: list[int] = []
        with engine.subscribe("s", lambda event: handled.append(event.position), poll=0.2, transactional=False):
            for number in range(20):
                engine.ingest(page([message(f"m{number}")]), account=KF)
            until(lambda: len(handled) == 21, patience=10)
        assert list(range(1, 22)) == handled == [entry.position for entry in engine.read_all()]


@pytest.mark.databases("sqlite")
def test_a_foreign_reader_for_ever(url: str) -> None:
    """A reader that never ends keeps its own snapshot, and holds nobody up."""
    with session(url) as conn, Engine(url, lock_timeout=2) as engine:
        conn.rollback()
        conn.exec_driver_sql("BEGIN")
        count = "SELECT COUNT(*) FROM kf_entry"
        assert 1 == conn.exec_driver_sql(count).scalar()
        for number in range(20):
            engine.ingest(page([message(f"m{number}")]), account=KF)
        assert list(range(1, 22)) == [entry.position for entry in engine.read_all()]
        assert 1 == conn.exec_driver_sql(count).scalar()
