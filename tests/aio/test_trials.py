"""History told again, awaited: the gate, comparisons and branches, beside whatever else the loop does."""

import asyncio
from pathlib import Path

import pytest

from kfstate import AsyncEngine, Engine, Spreading
from kfstate.testing import FrozenClock, message_sent, page
from tests.audit.candidates import planted
from tests.engine.story import KF, USER, change, said
from tests.engine.worlds import NOW

__all__: list[str] = []


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_trials(url: str, clock: FrozenClock, tmp_path: Path) -> None:
    """What the engine finds, the awaited one finds; while processes work, the loop goes on."""
    other = f"sqlite:///{tmp_path / 'other.db'}"
    with Engine(other, clock=clock) as engine:
        engine.ingest(page([said(0)]))
        engine.record(message_sent(KF, USER, NOW + 5, msgid="m", via="send_msg", actor="test"))

    async def told() -> None:
        async with AsyncEngine(url, clock=clock) as engine:
            await engine.ingest(page([said(0)]))
            await engine.record(message_sent(KF, USER, NOW + 5, msgid="m", via="send_msg", actor="test"))
            beats = 0

            async def beat() -> None:
                nonlocal beats
                while True:
                    beats += 1
                    await asyncio.sleep(0.02)

            heart = asyncio.create_task(beat())
            found = await engine.audit.gate(planted(), how=Spreading(processes=1 + url.startswith("sqlite")))
            heart.cancel()
            assert found is not None
            assert (False, 1) == (found.passed, len(found.changed))
            assert beats > 10 or not url.startswith("sqlite")
            compared = await engine.audit.compare_machines(planted())
            assert compared is not None
            assert 1 == len(compared.apart)
            for same in (await engine.audit.drift(), await engine.audit.compare_databases(other)):
                assert same is not None
                assert same.equal
            branch = await engine.audit.what_if(inject=[change(9, 4, old="a", new="a")])
            assert branch is not None
            assert 1 == branch.after.taken

    asyncio.run(told())
