"""The projections' face, awaited."""

import asyncio
from collections.abc import Mapping, Sequence

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, select

from kfstate import AsyncEngine, Event
from kfstate.testing import FrozenClock, customer_message, page
from tests.aio.conftest import embedder
from tests.engine.worlds import NOW

__all__: list[str] = []

seen = Table("seen_by_us", MetaData(), Column("position", BigInteger, primary_key=True, autoincrement=False))


class Seen:
    """Keeps the position of every entry."""

    name = "seen"
    version = 1
    inline = True
    tables = (seen,)

    def project(self, conn: Connection, events: Sequence[Event], tables: Mapping[str, Table]) -> None:
        """Add the positions."""
        conn.execute(tables["seen_by_us"].insert(), [{"position": event.position} for event in events])


def test_own_projection_is_built_and_followed(url: str, clock: FrozenClock) -> None:
    """A user's projection, written for Engine, is kept by AsyncEngine, built anew beside, compared, dropped."""

    async def told() -> None:
        async with AsyncEngine(url, clock=clock, projections=[Seen()]) as engine:
            for number in range(3):
                await engine.ingest(page([customer_message("wkA", f"wm{number}", NOW + number)]))
            built = await engine.projections.build("seen")
            difference = await engine.projections.diff("seen", built.version)
            assert 0 == difference.different
            await engine.projections.drop("seen", built.version)
            assert not (await engine.projections.rebuild()).switched
            assert {"seen", "shipped"} == {one.name for one in await engine.projections.list()}
            database = embedder(url)
            async with database.connect() as conn:
                found = (await conn.execute(select(seen.c.position).order_by(seen.c.position))).scalars().all()
            await database.dispose()
            assert [1, 2, 3, 4] == list(found)

    asyncio.run(told())


def test_following_is_cancelled(url: str, clock: FrozenClock) -> None:
    """Following a projection ends when its task is cancelled; the engine goes on."""

    class Later(Seen):
        inline = False

    async def told() -> None:
        async with AsyncEngine(url, clock=clock, projections=[Later()]) as engine:
            following = asyncio.create_task(engine.projections.run("seen", follow=True))
            await engine.ingest(page([customer_message("wkA", "wm1", NOW)]))
            async with asyncio.timeout(30):
                while (await engine.projections.list("seen"))[0].position < 2:  # noqa: ASYNC110 (nothing tells)
                    await asyncio.sleep(0.01)
            following.cancel()
            await asyncio.wait([following])
            assert following.cancelled()
            assert 3 == (await engine.ingest(page([customer_message("wkA", "wm2", NOW)]))).position

    asyncio.run(told())
