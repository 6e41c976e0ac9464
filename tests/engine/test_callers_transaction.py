"""Appending inside a transaction that the embedder owns: all of it is there with their commit, or nothing is."""

from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy import Engine as Host
from sqlalchemy.orm import Session

from kfstate.engine import Engine, Recorded
from kfstate.errors import CursorConflictError, EnvelopeError, TransactionError, VersionConflictError
from kfstate.intake import CursorMove, ingesting
from kfstate.testing import FrozenClock, customer_message, page, session_status_change
from tests.engine.tables import rows
from tests.engine.test_gather import act, said, sound
from tests.engine.together import Call, wait_for
from tests.engine.worlds import NOW
from tests.servers import Databases, plain

__all__: list[str] = []

HELLO = page([customer_message("wkA", "wm1", NOW), session_status_change(1, "wkA", "wm1", NOW + 5, new="li")])


@pytest.fixture
def host(url: str, engine: Engine) -> Iterator[Host]:  # noqa: ARG001 (the engine sets the log up)
    """The embedder's own SQLAlchemy engine on the same database, with a table of its own."""
    made = create_engine(plain(url), **({} if url.startswith("sqlite") else {"isolation_level": "READ COMMITTED"}))
    with made.begin() as conn:
        conn.execute(text("CREATE TABLE tickets (name VARCHAR(20) PRIMARY KEY)"))
    yield made
    made.dispose()


def ticket(conn: Connection, name: str) -> None:
    """Write a row of the embedder's."""
    conn.execute(text("INSERT INTO tickets (name) VALUES (:name)"), {"name": name})


def tickets(engine: Engine) -> list[str]:
    """Return the embedder's rows."""
    return [name for (name,) in rows(engine, "SELECT name FROM tickets ORDER BY name")]


def test_together_with_the_callers_rows(engine: Engine, host: Host) -> None:
    """Entries, projections and the caller's rows come with one commit."""
    with host.connect() as conn:
        report = engine.ingest(HELLO, connection=conn)
        ticket(conn, "t1")
        recorded = engine.record(act(1), connection=conn, expected=2)
        assert (1, []) == (engine.position(), tickets(engine))
        conn.commit()
    assert (2, 3, Recorded(4, duplicate=False)) == (report.appended, report.position, recorded)
    assert (4, ["t1"]) == (engine.position(), tickets(engine))
    assert ("manual", "li") == ((view := engine.state("wkA", "wm1")).state, view.servicer_userid)
    sound(engine)


def test_rolled_back_together(engine: Engine, host: Host) -> None:
    """After a rollback nothing is there, and the next entry takes the same position."""
    with host.connect() as conn:
        ticket(conn, "t1")
        assert 2 == engine.record(act(1), connection=conn).position
        conn.rollback()
        assert 2 == engine.record(act(2), connection=conn).position
        conn.commit()
    assert (["act2"], []) == (said(engine), tickets(engine))
    sound(engine)


def test_the_transaction_stays_the_callers(engine: Engine, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is begun, committed or rolled back on the connection, and no thread is used."""
    done: list[str] = []
    for name in ("commit", "rollback", "savepoint", "rollback_savepoint", "release_savepoint"):
        event.listen(host, name, partial(lambda name, *_: done.append(name), name))
    monkeypatch.setattr(ingesting, "ThreadPoolExecutor", None)
    many = [page([customer_message("wkA", f"wm{n}", NOW + n)]) for n in range(1_200)]
    with host.connect() as conn:
        transaction = conn.begin()
        engine.ingest(many, connection=conn)
        engine.record(act(1), connection=conn)
        with pytest.raises(VersionConflictError):
            engine.record(act(2), connection=conn, expected="new")
        assert (transaction, True, []) == (conn.get_transaction(), transaction.is_active, done)
        transaction.commit()
    assert ["commit"] == done
    assert 1_202 == engine.position()


def test_refusals_spoil_nothing(engine: Engine, host: Host) -> None:
    """What is wrong is found before anything is written, so that the transaction goes on."""
    epoch = engine.claim("wkA").epoch
    with host.connect() as conn:
        ticket(conn, "t1")
        with pytest.raises(EnvelopeError):
            engine.record(act(1, cause=77), connection=conn)
        with pytest.raises(CursorConflictError):
            engine.ingest(HELLO, account="wkA", cursor=CursorMove(expected="x", epoch=epoch), connection=conn)
        report = engine.ingest([act(2, cause=77), HELLO, act(3)], connection=conn)
        moved = {**HELLO, "next_cursor": "c1"}
        engine.ingest(moved, account="wkA", cursor=CursorMove(expected="", epoch=epoch), connection=conn)
        ticket(conn, "t2")
        conn.commit()
    assert (3, 1) == (report.appended, report.rejected)
    assert (["act3"], ["t1", "t2"]) == (said(engine), tickets(engine))
    assert [(1, "c1")] == rows(engine, "SELECT COUNT(*), MAX(next_cursor) FROM kf_cursor")
    sound(engine)


def test_a_session_and_a_savepoint(engine: Engine, host: Host) -> None:
    """The connection of an ORM session will do, inside a savepoint as well."""
    with Session(host) as session:
        session.execute(text("INSERT INTO tickets (name) VALUES ('t1')"))
        with session.begin_nested() as inner:
            engine.record(act(1), connection=session.connection())
            inner.rollback()
        engine.record(act(2), connection=session.connection())
        session.commit()
    assert (["act2"], ["t1"]) == (said(engine), tickets(engine))
    sound(engine)


def test_others_wait_until_the_caller_commits(engine: Engine, host: Host) -> None:
    """The head stays locked until then; whoever waits in the same thread would wait for itself, and is refused."""
    with host.connect() as conn:
        engine.record(act(1), connection=conn)
        with pytest.raises(TransactionError, match="in the same thread"):
            engine.record(act(2))
        other = Call(partial(engine.record, act(3)))
        other.thread.start()
        wait_for(lambda: bool(engine._appends._gathering._queue))
        other.thread.join(0.1)
        assert other.thread.is_alive()
        engine.record(act(4), connection=conn)
        conn.commit()
        other.thread.join(20)
        assert 5 == engine.record(act(5)).position
    assert ["act1", "act4", "act3", "act5"] == said(engine)


def test_another_log_is_refused(engine: Engine, database: Databases, clock: FrozenClock) -> None:
    """A connection to another log, or to no log at all, is refused before anything is written, and stays usable."""
    elsewhere = database.new()
    strangers = [create_engine(plain(elsewhere)), create_engine(plain(database.new()))]
    isolation = {} if database.name == "sqlite" else {"isolation_level": "READ COMMITTED"}
    with Engine(elsewhere, clock=clock) as other, strangers[0].connect().execution_options(**isolation) as conn:
        with pytest.raises(TransactionError, match="log "):
            engine.record(act(1), connection=conn)
        assert 2 == other.record(act(1), connection=conn).position
    with strangers[1].connect() as conn:
        with pytest.raises(TransactionError, match="the engine's own log"):
            engine.record(act(1), connection=conn)
        assert 1 == conn.execute(text("SELECT 1")).scalar_one()
    for stranger in strangers:
        stranger.dispose()
    assert 1 == engine.position()


@pytest.mark.databases("servers")
def test_another_kind_of_database_is_refused(engine: Engine) -> None:
    """A connection to another kind of database cannot lead to this log."""
    stranger = create_engine("sqlite://")
    with stranger.connect() as conn, pytest.raises(TransactionError, match="the engine's own log"):
        engine.record(act(1), connection=conn)
    stranger.dispose()
