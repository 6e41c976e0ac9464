"""AsyncEngine as its users meet it: opened, awaited, iterated, closed."""

import asyncio
import gc
import random
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from kfstate import AsyncEngine, Engine, KfServiceState, StoreError, UnknownConversationError, VersionConflictError
from kfstate.testing import FrozenClock, customer_message, own_entry, page
from tests.engine.worlds import NOW, jsonl, pages_of, seeded

__all__: list[str] = []

KF = "wkA"
ROOT = Path(__file__).parents[2]


def within(url: str, clock: FrozenClock, story: Callable[[AsyncEngine], Awaitable[None]]) -> None:
    """Let a story happen to an open engine."""

    async def told() -> None:
        async with AsyncEngine(url, clock=clock) as engine:
            await story(engine)

    asyncio.run(told())


def said(user: str, at: int = 0) -> dict[str, object]:
    """A customer writes."""
    return customer_message(KF, user, NOW + at)


def test_answers_are_engines(url: str, clock: FrozenClock) -> None:
    """What is ingested and asked asynchronously is what Engine says of it."""
    elements = [element for element in pages_of(seeded(random.Random(3), 120, ["click"])) if element]

    async def story(engine: AsyncEngine) -> None:
        report = await engine.ingest(jsonl(elements))
        await engine.record(own_entry("state_reading", KF, "wm1", NOW, actor="test", service_state=1))
        clock.advance(60)
        assert await engine.tick() == 0
        with Engine(url, clock=clock) as other:
            assert report.position + 1 == other.position() == await engine.position()
            assert other.queue() == await engine.queue()
            assert other.load() == await engine.load()
            assert other.counts() == await engine.counts()
            assert other.verify() == await engine.verify()
            assert other.check() == await engine.check()
            assert other.behind() == await engine.behind() == 0
            assert other.history(KF, "wm1") == await engine.history(KF, "wm1")
            assert other.explain(KF, "wm1") == await engine.explain(KF, "wm1")
            assert other.state(KF, "wm1") == await engine.state(KF, "wm1")
            verdict = await engine.may(KF, "wm1", KfServiceState.MANUAL, servicer="a")
            assert other.may(KF, "wm1", KfServiceState.MANUAL, servicer="a") == verdict
            assert list(other.conversations(account=KF)) == [one async for one in engine.conversations(account=KF)]
            assert list(other.sessions(limit=7)) == [one async for one in engine.sessions(limit=7)]
            assert list(other.read_all(limit=50)) == [one async for one in engine.read_all(limit=50)]
        assert await engine.rebuild() == await engine.position()

    within(url, clock, story)


def test_errors_are_engines(url: str, clock: FrozenClock) -> None:
    """An error comes out as it is."""

    async def story(engine: AsyncEngine) -> None:
        with pytest.raises(UnknownConversationError):
            await engine.state(KF, "nobody")
        with pytest.raises(VersionConflictError):
            await engine.record(own_entry("state_reading", KF, "wm1", NOW, actor="t", service_state=1), expected=3)
        assert await engine.position() == 1

    within(url, clock, story)


def test_progress_is_told(url: str, clock: FrozenClock) -> None:
    """A callback is called as Engine calls it."""
    told: list[int] = []

    async def story(engine: AsyncEngine) -> None:
        await engine.ingest([page([said("wm1")]), page([said("wm2")])], progress=told.append)

    within(url, clock, story)
    assert 2 == sum(told)


def test_tasks_share_one_engine(url: str, clock: FrozenClock) -> None:
    """Many tasks append and ask at once; every entry has its position, and the log its order."""

    async def story(engine: AsyncEngine) -> None:
        async with asyncio.TaskGroup() as group:
            for user in range(40):
                group.create_task(engine.ingest(page([said(f"wm{user}", user)])))
                group.create_task(engine.position())
        assert 41 == await engine.position()
        assert 40 == len([one async for one in engine.conversations()])
        assert (await engine.verify()).damage is None

    within(url, clock, story)


def test_loop_goes_on_meanwhile(url: str, clock: FrozenClock) -> None:
    """While the engine waits for the database, other tasks run."""
    beats = 0

    async def heart() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    async def story(engine: AsyncEngine) -> None:
        beating = asyncio.create_task(heart())
        await engine.ingest([page([said(f"wm{user}")]) for user in range(5)])
        beating.cancel()

    within(url, clock, story)
    assert beats > 5


def test_pages_are_read_as_they_are_needed(url: str, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """An iterator reads the next page when somebody wants it, and ends where the consumer stops."""
    monkeypatch.setattr("kfstate.queries.face.PAGE", 2)
    monkeypatch.setattr("kfstate.aio.questions.PAGE", 2)
    reads: list[None] = []

    async def story(engine: AsyncEngine) -> None:
        await engine.ingest(page([said(f"wm{user}") for user in range(7)]))
        database = engine._opened()._database
        reading = database.reading

        def counted() -> Any:
            reads.append(None)
            return reading()

        monkeypatch.setattr(database, "reading", counted)
        async with aclosing(engine.conversations()) as found:
            seen = [await anext(found) for _ in range(3)]
        assert [] == [one async for one in found]
        assert 3 == len({one.external_userid for one in seen})
        assert 2 == len(reads)
        assert 7 == len([one async for one in engine.conversations()])

    within(url, clock, story)


def test_closed_engine_says_so(url: str) -> None:
    """Before it is opened and after it is closed, an engine says what to do; then it can be opened again."""
    engine = AsyncEngine(url)

    async def once() -> int:
        with pytest.raises(RuntimeError, match="async with"):
            await engine.position()
        async with engine:
            async with engine:
                assert 1 == await engine.position()
            with pytest.raises(RuntimeError, match="open"):
                await anext(engine.conversations())
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(engine.open())
        found = await engine.position()
        await engine.close()
        await engine.close()
        return found

    assert (1, 1) == (asyncio.run(once()), asyncio.run(once()))


def test_other_loop_is_refused(url: str) -> None:
    """An engine belongs to the event loop that opened it; on another one it says so."""
    engine = AsyncEngine(url)
    with asyncio.Runner() as runner:
        runner.run(engine.open())
        with asyncio.Runner() as other, pytest.raises(RuntimeError, match="another event loop"):
            other.run(engine.position())
        assert 1 == runner.run(engine.position())
        runner.run(engine.close())


def test_refused_opening_leaves_nothing_open(tmp_path: Path) -> None:
    """Where the database cannot be used, opening says why, and holds nothing."""
    path = tmp_path / "other.db"
    path.write_bytes(b"no database" * 500)

    async def told() -> None:
        engine = AsyncEngine(f"sqlite:///{path}")
        with pytest.raises(StoreError):
            await engine.open()
        with pytest.raises(RuntimeError):
            await engine.position()

    asyncio.run(told())
    gc.collect()


@pytest.mark.parametrize("lacking", ["greenlet", "aiosqlite"])
def test_what_is_missing_is_named(lacking: str) -> None:
    """Without the extra, AsyncEngine can be imported, and says what to install when it is used."""
    program = (
        f"import sys; sys.modules[{lacking!r}] = None\n"
        "import asyncio, kfstate\n"
        "from kfstate import AsyncEngine\n"
        "try:\n    asyncio.run(AsyncEngine('sqlite://').open())\n"
        "except kfstate.KfstateError as error:\n    print(type(error).__name__, error.found, error.remedy)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert re.fullmatch(rf"DriverError no .*{lacking}.* pip install 'kfstate\[async\]'\n", done.stdout)
