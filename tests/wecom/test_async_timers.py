"""Timers on an event loop: limits are told and drift is found by tasks, and a handler that is awaited hears of it."""

import asyncio

import pytest

from kfstate import AsyncEngine
from kfstate.aio import AsyncEvent
from kfstate.testing import FakeWecom, FrozenClock
from kfstate.wecom import AsyncLive, Settings, WaitingLimit, reached
from kfstate.wecom.settings import ReconcileSettings, TimerSettings
from tests.wecom.watching import START

__all__: list[str] = []


@pytest.mark.databases("sqlite", "pg18")
def test_timers(url: str) -> None:
    """Started, the live side ticks and sweeps; stopped, no task is left."""

    async def story() -> None:
        clock = FrozenClock.at(START)
        heard: list[tuple[str | None, bool]] = []
        with FakeWecom(clock=clock) as wecom:
            account = wecom.account(open_kfid="wk1")
            account.servicer("zhang")
            settings = Settings(
                corp_id=wecom.corp_id, secret=wecom.secret, api_url=wecom.url,
                reconcile=ReconcileSettings(interval=1.0), timers=TimerSettings(interval=0.1),
            )  # fmt: skip
            async with (
                AsyncEngine(url, clock=clock) as engine,
                AsyncLive(engine, settings, limits=[WaitingLimit.queued(600)]) as live,
            ):

                async def alarm(event: AsyncEvent) -> None:
                    limit = reached(event)
                    if limit is not None:
                        heard.append((limit.external_userid, await live.still_waits(limit)))

                for name in ("wm1", "wm2"):
                    wecom.customer(name).writes(account)
                await live.sync()
                assert 2 == (await live.reconcile()).confirmed
                await live.change_state("wk1", "wm1", to=2)
                account.routes(wecom.customer("wm2"), 3, "zhang")
                clock.advance(1_800)
                await live.sync()
                async with await engine.subscribe("alarms", alarm, transactional=False):
                    await live.start()
                    async with asyncio.timeout(20):
                        # There is nothing to be told by.
                        while not heard or (await engine.state("wk1", "wm2")).service_state != 3:  # noqa: ASYNC110
                            await asyncio.sleep(0.02)
                    await live.stop()
            assert asyncio.all_tasks() == {asyncio.current_task()}
        assert [("wm1", True)] == heard

    asyncio.run(story())
