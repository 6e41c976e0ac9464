"""Subscriptions whose handlers are coroutine functions."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from kfstate import AsyncEngine, AsyncEvent, TransactionError
from kfstate.testing import FrozenClock, own_entry
from tests.aio.conftest import embedder
from tests.engine.worlds import NOW

__all__: list[str] = []


def reading(key: str) -> dict[str, object]:
    """An own entry with a key."""
    return own_entry("state_reading", "wkA", "wm1", NOW, actor="t", service_state=1, key=key)


def within(url: str, clock: FrozenClock, story: Callable[[AsyncEngine], Awaitable[None]]) -> None:
    """Let a story happen to an open engine with a few entries."""

    async def told() -> None:
        async with AsyncEngine(url, clock=clock) as engine, asyncio.timeout(60):
            for key in "abc":
                await engine.record(reading(key))
            await story(engine)

    asyncio.run(told())


def test_handler_writes_in_its_transaction(url: str, clock: FrozenClock) -> None:
    """What a handler writes on the event's connection is there once, however often the handler failed before."""
    tried: list[int] = []

    async def handle(event: AsyncEvent) -> None:
        assert event.connection is not None
        await event.connection.execute(text("INSERT INTO seen (position) VALUES (:at)"), {"at": event.position})
        tried.append(event.position)
        if len(tried) == 2:
            message = "try again"
            raise ValueError(message)

    async def story(engine: AsyncEngine) -> None:
        database = embedder(url)
        async with database.begin() as conn:
            await conn.execute(text("CREATE TABLE seen (position BIGINT)"))
        subscription = await engine.subscribe("billing", handle, backoff=0.0)
        await subscription.run(until_idle=True)
        async with database.connect() as conn:
            found = (await conn.execute(text("SELECT position FROM seen ORDER BY position"))).scalars().all()
        assert [1, 2, 3, 4] == list(found)
        assert 4 < len(tried)
        assert [(4, 0, None)] == [(one.position, one.lag, one.owner) for one in await engine.subscriptions()]
        await database.dispose()

    within(url, clock, story)


def test_runs_beside(url: str, clock: FrozenClock) -> None:
    """Between start and stop, entries come as they are committed."""
    seen: list[int] = []
    woken = asyncio.Event()

    async def handle(event: AsyncEvent) -> None:
        seen.append(event.position)
        await asyncio.sleep(0)
        woken.set()

    async def story(engine: AsyncEngine) -> None:
        async with await engine.subscribe("beside", handle, start="now", transactional=False) as subscription:
            for key in "xyz":
                woken.clear()
                await engine.record(reading(key))
                await woken.wait()
            with pytest.raises(RuntimeError, match="already"):
                await subscription.run()
        await engine.record(reading("late"))
        assert [5, 6, 7] == seen

    within(url, clock, story)


def test_cancelled_run_gives_the_subscription_back(url: str, clock: FrozenClock) -> None:
    """Who cancels a run has ended it: nothing of the entry in hand is done, and the next runner need not wait."""
    seen: list[int] = []
    reached = asyncio.Event()

    async def handle(event: AsyncEvent) -> None:
        reached.set()
        if event.position == 3 and 3 not in seen:
            seen.append(3)
            await asyncio.sleep(60)
        seen.append(event.position)

    async def story(engine: AsyncEngine) -> None:
        subscription = await engine.subscribe("hurried", handle, batch=1)
        run = asyncio.create_task(subscription.run())
        while 3 not in seen:  # noqa: ASYNC110 (it is a list)
            await asyncio.sleep(0.01)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert [(2, None)] == [(one.position, one.owner) for one in await engine.subscriptions()]
        await subscription.run(until_idle=True)
        assert [1, 2, 3, 3, 4] == seen

    within(url, clock, story)


def test_dead_letters_are_handled_again(url: str, clock: FrozenClock) -> None:
    """An entry that fails too often is put aside; requeued, it is handled again."""
    broken = True

    async def handle(event: AsyncEvent) -> None:
        if broken and event.position == 2:
            await asyncio.sleep(0)
            message = "no"
            raise ValueError(message)

    async def story(engine: AsyncEngine) -> None:
        nonlocal broken
        subscription = await engine.subscribe("careful", handle, attempts=2, backoff=0.0)
        await subscription.run(until_idle=True)
        (letter,) = [one async for one in engine.dead_letters("careful")]
        assert (2, 2) == (letter.position, letter.attempts)
        broken = False
        await engine.requeue(letter.id)
        await subscription.run(until_idle=True)
        assert [] == [one async for one in engine.dead_letters()]
        await engine.unsubscribe("careful")
        assert [] == await engine.subscriptions()

    within(url, clock, story)


def test_handler_appends_in_its_transaction(url: str, clock: FrozenClock) -> None:
    """A handler appends with the event's connection; without it, it hears at once that it would wait for itself."""
    refused: list[BaseException] = []

    async def handle(event: AsyncEvent) -> None:
        if event.entry.kind == "state_reading" and event.position < 5:
            with pytest.raises(TransactionError) as caught:
                await engine_of[0].record(reading(f"no {event.position}"))
            refused.append(caught.value)
            with pytest.raises(TransactionError):
                await asyncio.create_task(engine_of[0].record(reading(f"no {event.position}")))
            await engine_of[0].record(reading(f"of {event.position}"), connection=event.connection)

    engine_of: list[AsyncEngine] = []

    async def story(engine: AsyncEngine) -> None:
        engine_of.append(engine)
        subscription = await engine.subscribe("echo", handle)
        await subscription.run(until_idle=True)
        assert 3 == len(refused)
        assert 7 == await engine.position()
        assert not (await engine.record(reading("no 2"))).duplicate

    within(url, clock, story)


def test_cancelled_inside_of_a_handler_is_a_failure(url: str, clock: FrozenClock) -> None:
    """A handler that awaits what somebody cancelled has failed, like any other; the subscription goes on."""

    async def handle(event: AsyncEvent) -> None:
        if event.position == 3:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

    async def story(engine: AsyncEngine) -> None:
        subscription = await engine.subscribe("robust", handle, attempts=1)
        await subscription.run(until_idle=True)
        assert [3] == [one.position async for one in engine.dead_letters()]

    within(url, clock, story)


def test_handler_stops_its_subscription(url: str, clock: FrozenClock) -> None:
    """A handler may stop the subscription that calls it; what ended one that ran beside is raised by stop."""
    seen: list[int] = []

    async def story(engine: AsyncEngine) -> None:
        async def handle(event: AsyncEvent) -> None:
            seen.append(event.position)
            await subscription.stop()

        subscription = await engine.subscribe("short", handle, batch=1)
        await subscription.run()
        assert [1] == seen

        async def fail(_event: AsyncEvent) -> None:
            message = "broken"
            raise ValueError(message)

        failing = await engine.subscribe("failing", fail, attempts=1, on_error="stop")
        await failing.start()
        while failing.error is None:  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)
        with pytest.raises(ValueError, match="broken"):
            await failing.stop()

    within(url, clock, story)


def test_closing_ends_what_runs(url: str, clock: FrozenClock) -> None:
    """Closing the engine ends its subscriptions, and no task is left."""

    async def handle(_event: AsyncEvent) -> None:
        await asyncio.sleep(0)

    async def told() -> None:
        async with AsyncEngine(url, clock=clock) as engine:
            for name in ("one", "two"):
                await (await engine.subscribe(name, handle)).start()
            await engine.record(reading("a"))
        assert {asyncio.current_task()} == asyncio.all_tasks()

    asyncio.run(told())
