"""Cancelled calls: nothing half done, no connection lost, and the engine goes on."""

import asyncio
import random
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, TypeVar, cast

import psycopg
import pytest
from sqlalchemy.util import concurrency

from kfstate import AsyncEngine, Engine
from kfstate.aio.greenlets import inside
from kfstate.store.dialect import query
from kfstate.testing import FrozenClock, customer_message, own_entry, page, session_status_change
from tests.engine.worlds import NOW

__all__: list[str] = []

KF = "wkA"
T = TypeVar("T")


class Waits:
    """Counts how often the engine waits, and cancels a task in the wait that was chosen, and in all after it."""

    def __init__(self) -> None:
        self.seen = 0
        self.chosen = 0
        self.again = False
        self.everything = False
        self.victim: asyncio.Task[Any] | None = None

    def next(self) -> None:
        """Count one more."""
        self.seen += 1
        if self.victim is not None and (self.seen == self.chosen or (self.again and self.seen > self.chosen > 0)):
            for task in asyncio.all_tasks() if self.everything else [self.victim]:
                task.cancel()

    async def cancel(self, chosen: int, work: Coroutine[Any, Any, Any], *, everything: bool = False) -> bool:
        """Cancel ``work`` in its n-th wait, or every task of the loop; tell whether there were so many."""
        self.victim, self.seen, self.chosen, self.everything = asyncio.create_task(work), 0, chosen, everything
        with suppress(asyncio.CancelledError):
            await self.victim
        reached, self.victim = self.seen >= chosen, None
        return reached

    @types.coroutine
    def counted(self, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Await ``work``, and count."""
        steps = work.__await__()
        error: BaseException | None = None
        while True:
            try:
                wait = next(steps) if error is None else steps.throw(error)
            except StopIteration as over:
                return cast("T", over.value)
            self.next()
            try:
                error = None
                yield wait
            except BaseException as thrown:  # noqa: BLE001 (it is handed on)
                error = thrown


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Whatever the engine waits for, of any driver: all of it goes through here."""
    found = Waits()
    spawn = concurrency.greenlet_spawn

    async def counted(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await found.counted(spawn(function, *args, **kwargs))

    monkeypatch.setattr(concurrency, "greenlet_spawn", counted)
    return found


async def settled(engine: AsyncEngine) -> None:
    """Wait until every connection is back in the pool, but for those that are kept for questions."""
    database = engine._opened()._database
    pool: Any = database.engine.pool
    async with asyncio.timeout(20):
        while pool.checkedout() > len(database.read._idle):  # noqa: ASYNC110 (the pool tells nobody)
            await asyncio.sleep(0.001)


def whole(url: str, clock: FrozenClock) -> int:
    """Check everything that must hold of a log, with an engine that waits for nobody; return its last position."""
    with Engine(url, clock=clock) as engine:
        with engine._reading() as conn:
            positions = [position for (position,) in query(conn, "SELECT position FROM kf_entry ORDER BY position")]
        assert list(range(1, len(positions) + 1)) == positions
        assert engine.verify().damage is None
        assert 0 == engine.check().different
        return len(positions)


def story(user: str) -> dict[str, Any]:
    """A page with a few entries."""
    return page([
        customer_message(KF, user, NOW),
        session_status_change(1, KF, user, NOW + 5, new="a"),
        customer_message(KF, user, NOW + 9),
    ])  # fmt: skip


CALLS: dict[str, Callable[[AsyncEngine, int], Coroutine[Any, Any, Any]]] = {
    "ingest": lambda engine, n: engine.ingest(story(f"wm{n}")),
    "record": lambda engine, n: engine.record(
        own_entry("state_reading", KF, f"wm{n}", NOW, actor="t", service_state=1, key=f"k{n}")
    ),
    "state": lambda engine, _: engine.state(KF, "wm"),
    "history": lambda engine, _: engine.history(KF, "wm"),
    "check": lambda engine, _: engine.check(),
    "rebuild": lambda engine, _: engine.rebuild(),
    "tick": lambda engine, _: engine.tick(),
}


STEPS = {"rebuild": 61, "check": 61}
"""What waits often is cancelled in some of its waits."""
TIMES = [*((name, "once") for name in CALLS), *((name, "again and again") for name in ("ingest", "state", "tick"))]


@pytest.mark.parametrize(("name", "again"), TIMES)
def test_cancelled_in_every_wait(name: str, again: str, url: str, clock: FrozenClock, waits: Waits) -> None:
    """Whatever a cancelled call waits for: all of it is there or nothing, no connection lost, the next works."""
    waits.again = again == "again and again"

    async def told() -> int:
        cancelled = 0
        async with AsyncEngine(url, clock=clock) as engine:
            await engine.ingest(story("wm"))
            clock.advance(3 * 86400 if name == "tick" else 0)
            for chosen in range(1, 2000, STEPS.get(name, 1)):
                before = await engine.position()
                if not await waits.cancel(chosen, CALLS[name](engine, chosen)):
                    break
                cancelled += 1
                await settled(engine)
                assert await engine.position() - before in {0, 3 if name == "ingest" else 1}
            assert 3 == (await engine.ingest(story("last"))).appended
        return cancelled

    assert asyncio.run(told()) > 0
    whole(url, clock)


@pytest.mark.parametrize("seed", range(3))
def test_cancelled_at_random(seed: int, url: str, clock: FrozenClock) -> None:
    """Of many calls at once, some are cancelled, at any time: what was told to be stored is stored, once."""
    chance = random.Random(seed)
    stored: list[int] = []

    async def one(engine: AsyncEngine, number: int) -> None:
        kind = chance.choice(["record", "ingest", "state"])
        result = await CALLS[kind](engine, number)
        if kind == "record":
            stored.append(result.position)

    async def cancelled(engine: AsyncEngine, number: int) -> None:
        task = asyncio.create_task(one(engine, number))
        await asyncio.sleep(chance.random() * 0.05)
        if chance.random() < 0.5:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def told() -> None:
        async with AsyncEngine(url, clock=clock) as engine:
            await engine.ingest(story("wm"))
            await asyncio.gather(*(cancelled(engine, number) for number in range(60)))
            await settled(engine)
            await engine.ingest(story("last"))

    asyncio.run(told())
    assert whole(url, clock) >= len(stored) + 7
    assert len(set(stored)) == len(stored)


@pytest.mark.parametrize("name", ["ingest", "state"])
def test_memory_outlives_cancelling(name: str, clock: FrozenClock, waits: Waits) -> None:
    """A database in memory is still there after a call on its one connection was cancelled, wherever."""

    async def told() -> None:
        async with AsyncEngine("sqlite://", clock=clock) as engine:
            await engine.ingest(story("wm"))
            for chosen in range(1, 1000):
                before = await engine.position()
                if not await waits.cancel(chosen, CALLS[name](engine, chosen)):
                    break
                await settled(engine)
                assert await engine.position() - before in {0, 3}
            assert (await engine.verify()).damage is None

    asyncio.run(told())


def test_closing_comes_to_its_end(url: str, clock: FrozenClock) -> None:
    """An engine that is closed by somebody who is cancelled, again and again, is closed: nothing is left open."""

    async def told() -> None:
        engine = await AsyncEngine(url, clock=clock).open()
        pool: Any = engine._opened()._database.engine.pool
        await engine.ingest(story("wm"))
        await engine.state(KF, "wm")
        closing = asyncio.create_task(engine.close())
        while not closing.done():
            await asyncio.sleep(0)
            closing.cancel()
        assert closing.cancelled()
        assert 0 == pool.checkedout()
        assert {asyncio.current_task()} == asyncio.all_tasks()

    asyncio.run(told())


def test_loop_that_ends_leaves_a_whole_log(url: str, clock: FrozenClock) -> None:
    """Where the event loop ends in the middle of appends, what is stored is whole, and no connection is left."""

    async def told() -> None:
        engine = await AsyncEngine(url, clock=clock).open()
        for number in range(20):
            asyncio.get_running_loop().create_task(engine.ingest(story(f"wm{number}")))
        await asyncio.sleep(0.05)
        engines.append(engine)

    engines: list[AsyncEngine] = []
    with asyncio.Runner() as runner:
        runner.run(told())
        for task in asyncio.all_tasks(runner.get_loop()):
            task.cancel()
        runner.run(engines[0].close())
    assert 1 == whole(url, clock) % 3


def test_loop_that_ends_in_every_wait(url: str, clock: FrozenClock, waits: Waits) -> None:
    """Where whoever ends the loop cancels all its tasks, whatever they wait for, no connection is left."""

    async def told(engine: AsyncEngine) -> None:
        pools.append((await engine.open())._opened()._database.engine.pool)
        await waits.cancel(chosen, engine.ingest(story(f"wm{chosen}")), everything=True)

    pools: list[Any] = []
    for chosen in range(1, 1000):
        engine = AsyncEngine(url, clock=clock)
        with asyncio.Runner() as runner:
            with suppress(asyncio.CancelledError):
                runner.run(told(engine))
            runner.run(asyncio.wait_for(engine.close(), 20))
        assert 0 == pools[-1].checkedout(), chosen
        if waits.seen < chosen:
            break
    assert waits.chosen > 5
    assert 1 == whole(url, clock) % 3


def test_cancelled_while_giving_back(url: str, clock: FrozenClock, waits: Waits) -> None:
    """A question that is cancelled while its connection goes back loses neither the connection nor its place."""

    async def told() -> None:
        async with AsyncEngine(url, clock=clock) as engine:
            await engine.ingest(story("wm"))
            database = engine._opened()._database
            database.read._keep = 0
            chosen = 1
            while await waits.cancel(chosen, engine.state(KF, "wm")):
                await settled(engine)
                chosen += 1

    asyncio.run(told())


@pytest.mark.databases("pg18")
def test_cancelled_while_connecting(url: str, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a connection, while those who were about to make one are cancelled, makes one."""
    connect = psycopg.AsyncConnection.connect
    hanging = False

    async def hang(*args: Any, **kwargs: Any) -> Any:
        if hanging:
            await asyncio.sleep(60)
        return await connect(*args, **kwargs)

    async def told() -> None:
        nonlocal hanging
        async with AsyncEngine(url, clock=clock) as engine:
            await engine.ingest(story("wm"))
            pool: Any = engine._opened()._database.engine.pool
            held = [await inside(pool.connect) for _ in range(pool.checkedin())]
            hanging = True
            room = pool.size() + pool._max_overflow - len(held)
            first = [asyncio.create_task(engine.position()) for _ in range(room)]
            await asyncio.sleep(0.1)
            last = asyncio.create_task(engine.position())
            await asyncio.sleep(0.1)
            hanging = False
            for task in first:
                task.cancel()
            async with asyncio.timeout(5):
                assert 4 == await last
            await asyncio.wait(first)
            for connection in held:
                await inside(connection.close)
            await settled(engine)

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", hang)
    asyncio.run(told())
