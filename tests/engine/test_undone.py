"""Transactions that the database undoes, or somebody ends, while code of ours or of users runs in them."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from kfstate import Event
from kfstate.engine import Engine
from kfstate.errors import StorageFullError, StoreError, TransactionError, UndoneError
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.head import read_head
from kfstate.testing import FrozenClock, page
from tests.engine.story import said

__all__: list[str] = []

UNDOES = pytest.mark.databases("sqlite", "mariadb")
"""Those that undo all of a transaction for one statement."""
THINGS = sa.Table(
    "shop_things",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("what", sa.LargeBinary),
)

PROJECTED = sa.Table(
    "shop_projected", THINGS.metadata, sa.Column("id", sa.Integer, primary_key=True, autoincrement=False)
)


@attrs.define
class Things:
    """A projection that notes positions, and then does what a test wants."""

    then: Callable[[Connection], object] = lambda _conn: None
    name: str = "things"
    version: int = 1
    inline: bool = True
    tables: Sequence[sa.Table] = (PROJECTED,)

    def project(self, conn: Connection, events: Sequence[Event], tables: Mapping[str, sa.Table]) -> None:
        """Note."""
        for event in events:
            conn.execute(tables["shop_projected"].insert().values(id=event.position))
        self.then(conn)


@attrs.define
class Undoing:
    """Has the database undo the transaction of a connection: by a full disk, or by a deadlock."""

    url: str
    others: list[threading.Thread] = attrs.Factory(list)

    def __call__(self, conn: Connection) -> None:
        """Raise what the database says."""
        if conn.dialect.name == "sqlite":
            pages = conn.exec_driver_sql("PRAGMA page_count").scalar()
            conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            try:
                conn.execute(THINGS.insert().values(id=99, what=b"x" * 200_000))
            finally:
                conn.exec_driver_sql("PRAGMA max_page_count = 1000000")
        conn.execute(THINGS.update().where(THINGS.c.id == -1).values(what=b"1"))
        ready = threading.Event()
        self.others.append(threading.Thread(target=self._cross, args=(ready,), daemon=True))
        self.others[-1].start()
        assert ready.wait(20)
        conn.execute(THINGS.update().where(THINGS.c.id == -2).values(what=b"1"))

    def _cross(self, ready: threading.Event) -> None:
        """Wait for the first row with the second one in hand, and with so many that this is not the one undone."""
        engine = sa.create_engine(self.url)
        with engine.connect() as conn:
            conn.execute(THINGS.insert(), [{"id": at} for at in range(1_000, 4_000)])
            conn.execute(THINGS.update().where(THINGS.c.id == -2).values(what=b"2"))
            ready.set()
            conn.execute(THINGS.update().where(THINGS.c.id == -1).values(what=b"2"))
        engine.dispose()


@pytest.fixture
def undoing(url: str) -> Iterator[Undoing]:
    """Return what undoes, with the table that it needs."""
    engine = sa.create_engine(Database(url).engine.url)
    THINGS.create(engine)
    with engine.begin() as conn:
        conn.execute(THINGS.insert(), [{"id": -1}, {"id": -2}])
    made = Undoing(engine.url.render_as_string(hide_password=False))
    yield made
    for other in made.others:
        other.join(20)
    engine.dispose()


def noted(engine: Engine, table: sa.Table) -> list[int]:
    """Return the positions that were noted."""
    with engine._reading() as conn:
        ids = table.c.id
        return list(conn.scalars(sa.select(ids).where(ids.between(0, 98)).order_by(ids)))


@UNDOES
@pytest.mark.parametrize("swallowed", [False, True], ids=["raised", "swallowed"])
def test_inline_projection_loses_no_append(url: str, clock: FrozenClock, undoing: Undoing, *, swallowed: bool) -> None:
    """An append whose transaction was undone while it was projected is stored again, or refused: never told stored."""
    armed = [True]

    def then(conn: Connection) -> None:
        if armed and armed.pop():
            with suppress(*([StoreError] if swallowed else [])):
                undoing(conn)

    with Engine(url, clock=clock, projections=[Things()]) as engine:
        before = engine.position()
    with Engine(url, clock=clock, projections=[Things(then)]) as engine:
        try:
            told = engine.ingest(page([said(0)])).position
        except StorageFullError:
            told = before
        assert told == engine.position()
        assert engine.verify().damage is None
        assert told + 1 == engine.ingest(page([said(1)])).position
        assert (told + 1, None) == next((v.position, v.error) for v in engine.projections.list("things"))
        assert engine.verify().damage is None
        assert list(range(1, told + 2)) == noted(engine, PROJECTED)


@pytest.mark.parametrize("swallowed", [False, True], ids=["raised", "swallowed"])
@pytest.mark.parametrize("how", ["commit", "rollback"])
def test_projection_that_ends_the_transaction(url: str, clock: FrozenClock, how: str, *, swallowed: bool) -> None:
    """An append in which a projection commits, or rolls back, is refused, and nothing of it is stored."""
    armed: list[bool] = []

    def then(conn: Connection) -> None:
        if armed:
            with suppress(*([TransactionError] if swallowed else [])):
                getattr(conn, how)()

    with Engine(url, clock=clock, projections=[Things(then)]) as engine:
        engine.ingest(page([said(0)]))
        before = engine.position()
        armed.append(True)
        with pytest.raises(TransactionError, match="commit or rollback"):
            engine.ingest(page([said(1)]))
        armed.clear()
        assert (before, None) == (engine.position(), engine.verify().damage)
        assert before + 1 == engine.ingest(page([said(1)])).position
        assert list(range(1, before + 2)) == noted(engine, PROJECTED)


def test_projection_that_catches_an_error_of_the_database(url: str, clock: FrozenClock) -> None:
    """It is marked as failed where the database goes on with nothing after an error, and the append is stored."""

    def caught(conn: Connection) -> None:
        with suppress(DBAPIError):
            conn.exec_driver_sql("SELECT nothing FROM nowhere")

    with Engine(url, clock=clock, projections=[Things()]) as engine:
        before = engine.position()
    with Engine(url, clock=clock, projections=[Things(then=caught)]) as engine:
        report = engine.ingest(page([said(0)]))
        assert (before + 1, before + 1) == (report.position, engine.position())
        (build,) = engine.projections.list("things")
        assert (build.error is None) == (before + 1 == build.position)
        assert ("went on after an error" in str(build.error)) == url.startswith("postgresql")


@UNDOES
def test_handler_that_catches_what_undid_its_transaction(url: str, clock: FrozenClock, undoing: Undoing) -> None:
    """The checkpoint does not move past effects that the database undid: the handler is called again."""
    armed = [True]

    def handle(event: Event) -> None:
        assert event.connection is not None
        event.connection.execute(THINGS.insert().values(id=event.position))
        if event.position == 2 and armed:
            armed.pop()
            with suppress(StoreError):
                undoing(event.connection)

    with Engine(url, clock=clock) as engine:
        last = engine.ingest(page([said(0), said(1)])).position
        engine.subscribe("a", handle).run(until_idle=True)
        assert (list(range(1, last + 1)), last) == (noted(engine, THINGS), engine.subscriptions()[0].position)
        assert [] == list(engine.dead_letters())


@UNDOES
def test_transaction_that_was_undone_is_not_committed(url: str, undoing: Undoing) -> None:
    """What is written after the error that undid a transaction is undone as well; the error is raised at the end."""
    database = Database(url)

    def go_on() -> None:
        with database.writing() as conn:
            conn.execute(THINGS.insert().values(id=1))
            with suppress(StoreError):
                undoing(conn)
            query(conn, "INSERT INTO shop_things (id) VALUES (2)")

    with pytest.raises((UndoneError, StorageFullError)):
        go_on()
    with database.writing() as conn:
        assert [] == query(conn, "SELECT id FROM shop_things WHERE id IN (1, 2)")
        assert 1 == read_head(conn).position
    database.close()


def test_transaction_that_failed_is_not_committed(url: str) -> None:
    """PostgreSQL answers the COMMIT of a failed transaction with success: it is an error here; others go on."""
    database = Database(url)
    outcome: Any = None
    try:
        with database.writing() as conn:
            query(conn, "UPDATE kf_projection SET error = 'x'")
            with suppress(DBAPIError):
                query(conn, "SELECT no_such_thing FROM kf_log_head")
    except UndoneError as error:
        outcome = error
    assert (outcome is not None) == (database.engine.dialect.name == "postgresql")
    database.close()
