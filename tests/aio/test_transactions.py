"""Appending inside a transaction of the caller's, and what is refused inside of one."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from kfstate import AsyncEngine, TransactionError
from kfstate.testing import FrozenClock, own_entry
from tests.aio.conftest import embedder
from tests.engine.worlds import NOW

__all__: list[str] = []


def reading(key: str) -> dict[str, object]:
    """An own entry with a key."""
    return own_entry("state_reading", "wkA", "wm1", NOW, actor="t", service_state=1, key=key)


def test_append_joins_the_callers_transaction(url: str, clock: FrozenClock) -> None:
    """What is appended with `connection` is there when the caller commits, and gone when the caller rolls back."""

    async def told() -> None:
        database = embedder(url)
        async with AsyncEngine(url, clock=clock) as engine:
            async with database.begin() as conn:
                await conn.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
            async with database.begin() as conn:
                await engine.record(reading("a"), connection=conn)
                await conn.execute(text("INSERT INTO orders (id) VALUES (1)"))
            async with database.connect() as conn:
                await engine.record(reading("b"), connection=conn)
                await conn.execute(text("INSERT INTO orders (id) VALUES (2)"))
                await conn.rollback()
            async with AsyncSession(database) as session, session.begin():
                await session.execute(text("INSERT INTO orders (id) VALUES (3)"))
                await engine.record(reading("c"), connection=await session.connection())
            async with database.connect() as conn:
                assert [1, 3] == list((await conn.execute(text("SELECT id FROM orders ORDER BY id"))).scalars())
            assert not (await engine.record(reading("b"))).duplicate
            assert (await engine.record(reading("c"))).duplicate
            assert (await engine.verify()).damage is None
        await database.dispose()

    asyncio.run(told())


def test_second_transaction_is_refused(url: str, clock: FrozenClock) -> None:
    """Who has appended in a transaction, and appends outside of it before its end, hears so at once."""

    async def told() -> None:
        database = embedder(url)
        async with AsyncEngine(url, clock=clock) as engine:
            async with database.begin() as conn:
                await engine.record(reading("a"), connection=conn)
                async with asyncio.timeout(2):
                    with pytest.raises(TransactionError):
                        await engine.record(reading("b"))
                    with pytest.raises(TransactionError):
                        await asyncio.create_task(engine.record(reading("b")))
                await engine.record(reading("c"), connection=conn)
            assert not (await engine.record(reading("b"))).duplicate
        await database.dispose()

    asyncio.run(told())


def test_connection_has_to_be_open(url: str, clock: FrozenClock) -> None:
    """A connection that was not started has no transaction to join."""

    async def told() -> None:
        database = embedder(url)
        async with AsyncEngine(url, clock=clock) as engine:
            with pytest.raises(TransactionError):
                await engine.record(reading("a"), connection=database.connect())
        await database.dispose()

    asyncio.run(told())
