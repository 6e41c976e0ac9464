"""The timers of a service: they run beside it, tell what is due, sweep in turn, and get over errors."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from kfstate.errors import LockTimeoutError
from kfstate.wecom import Due, Live, Settings, Sweep, WaitingLimit
from kfstate.wecom.reconciling import Sweeper
from kfstate.wecom.settings import ReconcileSettings, TimerSettings
from kfstate.wecom.timers import Timers
from tests.wecom.watching import Shop

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")
DAY2 = 48 * 3_600


def eventually(holds: Callable[[], object]) -> bool:
    """Wait until something holds; tell whether it does."""
    until = time.monotonic() + 20
    while time.monotonic() < until and not holds():
        time.sleep(0.01)
    return bool(holds())


def test_what_is_due(shop: Shop) -> None:
    """A tick records expiries and limits; another one has nothing to do."""
    timers = Timers(shop.site, limits=[WaitingLimit.queued(600)])
    shop.customer("wm1")
    shop.after(DAY2 - 600)
    shop.customer("wm2", to=2)
    shop.after(600)
    assert Due(expired=1, limits=1) == timers.tick()
    assert Due(expired=0, limits=0) == timers.tick()


def test_running(shop: Shop) -> None:
    """Started, they tell limits and find drift by themselves; stopped, they do nothing more."""
    waiting, routed = shop.customer("wm1", to=2), shop.customer("wm2", to=1)
    shop.account.routes(routed, 3, "li")
    shop.after(3_600)
    timers = Timers(shop.site, limits=[WaitingLimit.queued(600)], interval=0.02, sweep_interval=0.2)
    timers.start()
    timers.start()
    try:
        assert eventually(lambda: shop.entries("limit_reached"))
        assert eventually(lambda: shop.agrees(routed))
        assert eventually(lambda: timers.swept is not None)
    finally:
        timers.stop()
    assert timers.swept is not None
    assert ["wm2"] == [drift.external_userid for drift in timers.swept.repaired]
    assert (2, "") == shop.state(waiting)
    assert [(None, 0), (None, 0)] == [(beat.error, beat.failures) for beat in timers.beats]
    before = shop.engine.position()
    shop.after(DAY2)
    time.sleep(0.1)
    assert before == shop.engine.position()


@pytest.mark.parametrize("error", [LockTimeoutError(waited=1.0, blocker="a test"), ZeroDivisionError()])
def test_errors(shop: Shop, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong is logged and seen, and tried again."""
    timers = Timers(shop.site, interval=0.01, readings=0)
    beat = timers.beats[0]
    seen: list[tuple[Any, int]] = []

    def fails() -> None:
        seen.append((beat.error, beat.failures))
        if len(seen) <= 2:
            raise error

    beat.act = fails
    timers.start()
    try:
        assert eventually(lambda: len(seen) > 3)
    finally:
        timers.stop()
    assert [(None, 0), (error, 1), (error, 2), (None, 0)] == seen[:4]
    assert {"timers"} == {record.action for record in caplog.records}  # type: ignore[attr-defined]


def test_settled_at_the_start_and_before_sweeps(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls whose result was never recorded are settled soon after the start, whoever sweeps, and before a sweep."""
    acts: list[str] = []
    sweep = Sweeper.sweep

    def noting(self: Sweeper, **given: Any) -> Sweep:
        acts.append("swept")
        return sweep(self, **given)

    monkeypatch.setattr(Sweeper, "sweep", noting)
    timers = Timers(shop.site, sweep_interval=0.04, settle=lambda: acts.append("settled"))
    assert shop.sweeper().due(60)
    timers.start()
    try:
        assert eventually(lambda: acts == ["settled"])
        assert not acts[1:]
        shop.clock.advance(60)
        assert eventually(lambda: len(acts) >= 3)
    finally:
        timers.stop()
    assert ["settled", "settled", "swept"] == acts[:3]


def test_slow_sweep_holds_up_no_limit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a reading waits for WeCom, limits are told all the same."""
    shop.customer("wm1", to=2)
    shop.after(1_800)
    begun, go_on = threading.Event(), threading.Event()
    asked = shop.client.get_state

    def slow(open_kfid: str, external_userid: str) -> object:
        begun.set()
        assert go_on.wait(20)
        return asked(open_kfid, external_userid)

    monkeypatch.setattr(shop.client, "get_state", slow)
    timers = Timers(shop.site, limits=[WaitingLimit.queued(1_900)], interval=0.02, sweep_interval=0.05)
    timers.start()
    try:
        assert begun.wait(20)
        shop.after(100)
        assert eventually(lambda: shop.entries("limit_reached"))
    finally:
        go_on.set()
        timers.stop()


def test_live(shop: Shop) -> None:
    """The live side starts and stops them, by its settings."""
    settings = Settings(
        timers=TimerSettings(interval=0.1), reconcile=ReconcileSettings(interval=1.0, readings=10),
        accounts=(shop.open_kfid,),
    )  # fmt: skip
    routed = shop.customer("wm1", to=1)
    with Live(shop.engine, settings, client=shop.client, limits=[WaitingLimit.unanswered(60)]) as live:
        shop.account.routes(routed, 3, "zhang")
        assert 1 == len(live.reconcile(everything=True).repaired)
        shop.clock.advance(1)
        routed.writes(shop.account)
        shop.after(60)
        assert Due(expired=0, limits=1) == live.tick()
        shop.account.writes(routed, "zhang")
        shop.clock.advance(1)
        routed.writes(shop.account)
        shop.after(60)
        live.start()
        assert eventually(lambda: 2 == len(shop.entries("limit_reached")))
