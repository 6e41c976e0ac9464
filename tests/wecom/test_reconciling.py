"""Sweeps: what WeCom changed without a word is found, repaired and reported; nothing stops them but their budget."""

import threading

import pytest

from kfstate import Engine
from kfstate.queries.rereading import Ages
from kfstate.testing import FrozenClock, OpenFacts
from kfstate.wecom.site import Site
from tests.wecom.watching import Shop, opened

__all__: list[str] = []

DATABASES = pytest.mark.databases("sqlite", "pg18", "mariadb")
SQLITE = pytest.mark.databases("sqlite")
HOUR = 3_600


@DATABASES
def test_own_routing_is_found(shop: Shop) -> None:
    """Where WeCom moved a session without a word, the sweep adopts that and says what was missed."""
    routed, served, quiet = (shop.customer(f"wm{number}") for number in range(3))
    assert 3 == shop.sweep().confirmed
    shop.account.routes(routed, 2)
    shop.account.routes(served, 3, "li")
    assert not shop.agrees(routed)
    shop.after(1_799)
    assert 0 == shop.sweep().read
    shop.after(1)
    done = shop.sweep()
    assert ("complete", 3, 1, 0, ()) == (done.outcome, done.read, done.confirmed, done.left, done.failed)
    assert [("wm0", "untreated", "queue", None), ("wm1", "untreated", "manual", "li")] == [
        (drift.external_userid, drift.before, drift.after, drift.servicer_after) for drift in done.repaired
    ]
    assert {"untreated"} == {drift.why for drift in done.repaired}
    assert all(shop.agrees(one) for one in (routed, served, quiet))
    drift = done.repaired[1]
    assert drift.reason == shop.engine.history(shop.open_kfid, "wm1")[-1].reason
    assert "a change was missed" in drift.reason
    assert {drift.position for drift in done.repaired} == {
        one.position for one in shop.engine.anomalies(kind="repaired")
    }
    entry = shop.entries("state_reading")[-1]
    assert ("kfstate", "sweep: untreated") == (entry.actor, entry.payload["reason"])
    assert 0 == sum(shop.engine.check().tables.values())


@DATABASES
def test_silent_time_out_is_found(url: str, clock: FrozenClock) -> None:
    """A session that WeCom ended because the servicer said nothing is ended here, too."""
    with opened(url, clock, facts=OpenFacts(silent_end_after=1_800)) as shop:
        customer = shop.customer("wm1", to=3, servicer="zhang")
        shop.after(1_900)
        assert (3, "zhang") == shop.state(customer)
        done = shop.sweep()
        assert [("manual", "manual", "finished")] == [(one.why, one.before, one.after) for one in done.repaired]
        assert (4, "") == shop.state(customer)
        assert shop.agrees(customer)


@SQLITE
def test_signs_of_life(shop: Shop) -> None:
    """A servicer who writes needs no reading; a reading holds as long as a message."""
    silent, busy = shop.customer("wm1", to=3, servicer="zhang"), shop.customer("wm2", to=3, servicer="li")
    shop.after(500)
    shop.account.writes(busy, "li")
    shop.after(100)
    assert ["wm1"] == [one for _ in [shop.sweep()] for one in shop.asked()]
    shop.after(499)
    assert 0 == shop.sweep().read
    shop.after(1)
    shop.sweep()
    assert ["wm1", "wm2"] == shop.asked()
    assert shop.agrees(silent)


@SQLITE
@pytest.mark.parametrize("ticking", [False, True])
def test_expired_ones_do_not_hold_up_those_that_run(shop: Shop, *, ticking: bool) -> None:
    """However many sessions have run out: whoever has a servicer who is silent is read first."""
    for number in range(5):
        shop.customer(f"wm-expired{number}", to=1)
    shop.after(49 * 3600)
    shop.customer("wm-running", to=3, servicer="zhang")
    if ticking:
        shop.engine.tick()
    shop.after(3600)
    before = len(shop.asked())
    shop.sweep(readings=2)
    assert "wm-running" == shop.asked()[before]


@SQLITE
def test_order(shop: Shop) -> None:
    """Doubtful ones first, then MANUAL, then the pool, then the rest; in each the longest wait first."""
    ended = shop.customer("wm-ended", to=3, servicer="zhang")
    shop.after(1)
    shop.account.ends(ended)
    shop.after(1)
    for name in ("wm-new1", "wm-new2"):
        shop.customer(name)
        shop.after(1)
    for name in ("wm-pool1", "wm-pool2"):
        shop.customer(name, to=2)
        shop.after(1)
    for name in ("wm-manual1", "wm-manual2"):
        shop.customer(name, to=3, servicer="li")
        shop.after(1)
    assert 2 == shop.sweep().confirmed
    shop.customer("wm-unknown")
    shop.after(1)
    doubtful = shop.customer("wm-doubt", to=1)
    lost = {"kind": "reply_lost", "open_kfid": shop.open_kfid, "external_userid": doubtful.external_userid}
    shop.engine.record({**lost, "actor": "a", "via": "service_state/trans", "service_state": 2})
    lost["external_userid"] = ended.external_userid
    shop.engine.record({**lost, "actor": "a", "via": "service_state/trans", "service_state": 2})
    shop.after(1_800)
    done = shop.sweep(readings=3)
    assert ("complete", 3, 1) == (done.outcome, done.read, done.left)
    assert ["wm-doubt", "wm-unknown", "wm-manual1"] == shop.asked()[2:]
    shop.sweep()
    assert ["wm-manual2", "wm-pool1", "wm-pool2", "wm-new1", "wm-new2", "wm-ended"] == shop.asked()[5:]
    assert 0 == shop.sweep().read


@SQLITE
def test_everything(shop: Shop) -> None:
    """Whoever asks for it gets all read, however sure it is; what is over only if that was lately."""
    shop.customer("wm0", to=1)
    shop.customer("wm1", to=2)
    ended = shop.customer("wm2", to=3, servicer="li")
    shop.after(1)
    shop.account.ends(ended)
    shop.after(1)
    assert 0 == shop.sweep().read
    done = shop.sweep(everything=True, actor="ops")
    assert ["wm0", "wm1", "wm2"] == shop.asked()
    assert 3 == done.confirmed
    assert {"ops"} == {entry.actor for entry in shop.entries("state_reading")}
    shop.after(48 * HOUR - 1)
    for name in ("wm0", "wm1"):
        shop.wecom.customer(name).writes(shop.account)
    shop.after(1)
    assert 2 == shop.sweep(everything=True).confirmed
    assert ["wm0", "wm1"] == sorted(shop.asked()[3:])


@SQLITE
def test_ages_and_budget(shop: Shop) -> None:
    """When a quiet session is looked at, and how many at a time, is the service's choice; none at all is one, too."""
    for number in range(3):
        shop.customer(f"wm{number}", to=2)
    sweeper = shop.sweeper(readings=2, ages=Ages(queue=60))
    shop.after(60)
    assert ("complete", 0) == (shop.sweeper(readings=0).sweep().outcome, len(shop.asked()))
    done = sweeper.sweep()
    assert (2, 1) == (done.read, done.left)
    last = sweeper.sweep()
    assert (1, 0) == (last.read, last.left)
    assert ["wm0", "wm1", "wm2"] == shop.asked()


# One at a time


@DATABASES
def test_one_sweeper_at_a_time(shop: Shop, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one process sweeps, another one does not; when it died, the next one need not wait for ever."""
    shop.customer("wm1", to=2)
    shop.after(1_800)
    begun, go_on = threading.Event(), threading.Event()
    asked = shop.client.get_state

    def slow(open_kfid: str, external_userid: str) -> object:
        begun.set()
        assert go_on.wait(30)
        return asked(open_kfid, external_userid)

    monkeypatch.setattr(shop.client, "get_state", slow)
    with Engine(url, clock=shop.clock) as engine:
        other = shop.sweeper()
        other.site = Site.of(engine, shop.client)
        outcomes: list[str] = []
        thread = threading.Thread(target=lambda: outcomes.append(shop.sweep().outcome))
        thread.start()
        assert begun.wait(30)
        assert "held" == other.sweep().outcome
        shop.clock.advance(31)
        go_on.set()
        thread.join()
        assert ["complete"] == outcomes
        assert "complete" == other.sweep().outcome
    assert ["wm1"] == shop.asked()


@DATABASES
def test_taken_over(shop: Shop) -> None:
    """Whoever took so long that another has begun leaves the rest to that one."""
    for number in range(3):
        shop.customer(f"wm{number}", to=2)
    shop.after(1_800)
    first, second = shop.sweeper(), shop.sweeper()
    second.site = Site.of(shop.engine, shop.client)
    asked = shop.client.get_state
    seconds: list[str] = []

    def slow(open_kfid: str, external_userid: str) -> object:
        reply = asked(open_kfid, external_userid)
        if not seconds:
            seconds.append("")
            shop.clock.advance(31)
            seconds[0] = second.sweep().outcome
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop.client, "get_state", slow)
        done = first.sweep()
    assert ["complete"] == seconds
    assert "fenced" == done.outcome
    assert ["wm0", "wm1", "wm2"] == sorted({*shop.asked()})


@DATABASES
def test_one_sweep_an_interval(shop: Shop, url: str) -> None:
    """Several processes together sweep as often as one would."""
    with Engine(url, clock=shop.clock) as engine:
        one, two = shop.sweeper(), shop.sweeper()
        two.site = Site.of(engine, shop.client)
        assert [True, False, False] == [one.due(60), two.due(60), one.due(60)]
        shop.clock.advance(59)
        assert [False, False] == [two.due(60), one.due(60)]
        shop.clock.advance(1)
        assert [True, False] == [two.due(60), one.due(60)]
