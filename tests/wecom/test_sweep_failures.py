"""Sweeps that meet refusals, silence and limits; readings that entries overtake."""

import pytest

from kfstate.errors import ConcurrentChangeError, UnreachableError
from kfstate.testing import FrozenClock, customer_message, page
from kfstate.wecom import Live
from kfstate.wecom.reading import read_state
from tests.wecom.watching import START, Shop

__all__: list[str] = []

SQLITE = pytest.mark.databases("sqlite")


# What goes wrong


@SQLITE
def test_refused_reading_stops_nothing(shop: Shop) -> None:
    """A reading that WeCom refuses is reported and put off; the others are made."""
    for number in range(3):
        shop.customer(f"wm{number}", to=2)
    shop.after(1_800)
    sweeper = shop.sweeper()
    shop.wecom.fail_next("service_state/get", errcode=40096)
    done = sweeper.sweep()
    assert ("complete", 2, 0) == (done.outcome, done.read, done.left)
    (failure,) = done.failed
    assert ("wm0", "queue", 40096) == (failure.external_userid, failure.why, failure.errcode)
    assert "no customer of this enterprise" in failure.error
    shop.after(299)
    assert 0 == sweeper.sweep().read
    shop.after(1)
    shop.wecom.fail_next("service_state/get", errcode=40096)
    assert 1 == len(sweeper.sweep().failed)
    shop.after(599)
    done = sweeper.sweep()
    assert (0, ()) == (done.read, done.failed)
    shop.after(1)
    assert 1 == sweeper.sweep().read
    assert ["wm1", "wm2", "wm0"] == shop.asked()


@SQLITE
def test_by_hand_nothing_is_put_off(shop: Shop) -> None:
    """Who asks for a sweep has mended something, and wants to see it: what failed before is read at once."""
    shop.customer("wm0", to=2)
    shop.after(1_800)
    with Live(shop.engine, client=shop.client) as live:
        shop.wecom.fail_next("service_state/get", errcode=40096)
        assert 1 == len(live.timers.sweeper.sweep().failed)
        assert (0, ()) == (live.timers.sweeper.sweep().read, live.timers.sweeper.sweep().failed)
        assert 1 == live.reconcile().read


@SQLITE
def test_those_that_fail_leave_room_for_the_others(shop: Shop) -> None:
    """Conversations that cannot be read do not use up every budget."""
    for number in range(5):
        shop.customer(f"wm{number}", to=2)
    shop.after(1_800)
    sweeper = shop.sweeper(readings=2)
    for expected in ([], ["wm2", "wm3"], ["wm2", "wm3", "wm4"]):
        if not expected:
            shop.wecom.fail_next("service_state/get", errcode=40096, times=2)
        sweeper.sweep()
        assert expected == shop.asked()


@SQLITE
@pytest.mark.parametrize("kind", ["dropped", "server_error", "broken_json"])
def test_failed_reading_stops_nothing(shop: Shop, kind: str) -> None:
    """A reading without a proper answer is reported; the others are made."""
    for number in range(2):
        shop.customer(f"wm{number}", to=2)
    shop.after(1_800)
    shop.wecom.fail_next("service_state/get", kind)  # type: ignore[arg-type]
    done = shop.sweep()
    assert ("complete", 1) == (done.outcome, done.read)
    assert [("wm0", None)] == [(one.external_userid, one.errcode) for one in done.failed]


@SQLITE
def test_wecom_that_is_away(shop: Shop) -> None:
    """After three readings in a row without an answer the sweep ends: the others would not get one either."""
    for number in range(5):
        shop.customer(f"wm{number}", to=2)
    shop.after(1_800)
    shop.wecom.fail_next("service_state/get", "dropped", times=3)
    sweeper = shop.sweeper()
    done = sweeper.sweep()
    assert ("unreachable", 0, 3, 2) == (done.outcome, done.read, len(done.failed), done.left)
    assert 5 == sweeper.sweep().read


@SQLITE
def test_limit_of_wecom(shop: Shop) -> None:
    """Where WeCom takes no more readings, the sweep ends, and the next one goes on."""
    for number in range(3):
        shop.customer(f"wm{number}", to=2)
    shop.after(1_800)
    shop.wecom.fail_next("service_state/get", errcode=45009)
    done = shop.sweep()
    assert ("limited", 0, (), 3) == (done.outcome, done.read, done.failed, done.left)
    shop.after(60)
    assert 3 == shop.sweep().read


@SQLITE
def test_account_that_is_refused(shop: Shop) -> None:
    """After three refusals with one code the rest of that account is left alone; another account is read."""
    for number in range(5):
        shop.customer(f"wm{number}", to=2)
    first, shop.account = shop.account, shop.wecom.account("售前")
    shop.after(1)
    shop.customer("wm9", to=2)
    shop.after(1_800)
    shop.wecom.fail_next("service_state/get", errcode=48007, times=3)
    done = shop.sweep()
    assert ("complete", 1, 3, 2) == (done.outcome, done.read, len(done.failed), done.left)
    assert ["wm9"] == shop.asked()
    assert first.open_kfid == done.failed[0].open_kfid


@SQLITE
def test_told_to_stop(shop: Shop) -> None:
    """A sweep that is told to stop ends after the reading that is on its way."""
    for number in range(3):
        shop.customer(f"wm{number}", to=2)
    shop.after(1_800)
    stopping = shop.site.concurrency.signal()
    stopping.set()
    done = shop.sweep(stopping=stopping)
    assert ("stopped", 0, 3) == (done.outcome, done.read, done.left)


# Readings beside other entries


@SQLITE
def test_entry_that_comes_while_wecom_answers(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that an entry has overtaken is not recorded: WeCom is asked again."""
    customer = shop.customer("wm1", to=2)
    asked = shop.client.get_state
    calls: list[str] = []

    def overtaken(open_kfid: str, external_userid: str) -> object:
        reply = asked(open_kfid, external_userid)
        if not calls:
            shop.account.takes(customer, "zhang")
            shop.pull()
        calls.append(external_userid)
        return reply

    monkeypatch.setattr(shop.client, "get_state", overtaken)
    reading = read_state(shop.site, shop.open_kfid, "wm1", actor="test")
    assert (3, "zhang", "confirmed", 2) == (
        reading.service_state, reading.servicer_userid, reading.outcome, len(calls),
    )  # fmt: skip
    assert ["wm1"] == shop.asked()


@SQLITE
def test_event_that_comes_after_the_answer(shop: Shop, clock: FrozenClock) -> None:
    """What happens while the answer is on its way is folded after it, however long that takes."""
    customer = shop.customer("wm1", to=3, servicer="zhang")
    asked = shop.client.get_state

    def slow(open_kfid: str, external_userid: str) -> object:
        reply = asked(open_kfid, external_userid)
        clock.advance(2)
        shop.account.ends(customer)
        clock.advance(3)
        return reply

    shop.after(10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop.client, "get_state", slow)
        read_state(shop.site, shop.open_kfid, "wm1", actor="test")
    shop.pull()
    assert (4, "") == shop.state(customer)


@SQLITE
def test_busy_conversation_is_left(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where entries come faster than WeCom answers, nothing is recorded, and the sweep goes on."""
    shop.customer("wm1", to=2)
    shop.customer("wm2", to=2)
    asked = shop.client.get_state

    def overtaken(open_kfid: str, external_userid: str) -> object:
        if external_userid == "wm1":
            shop.clock.advance(1)
            now = shop.clock.now() // 1_000_000
            shop.engine.ingest(page([customer_message(open_kfid, external_userid, now)]))
        return asked(open_kfid, external_userid)

    monkeypatch.setattr(shop.client, "get_state", overtaken)
    shop.after(1_800)
    done = shop.sweep()
    assert ("complete", 1, (), 1) == (done.outcome, done.read, done.failed, done.left)
    assert ["wm2"] == shop.asked()


@SQLITE
def test_reading_is_of_an_unknown_conversation(shop: Shop) -> None:
    """A conversation that the log does not have can be read; that begins it."""
    shop.wecom.customer("wm1").writes(shop.account)
    reading = read_state(shop.site, shop.open_kfid, "wm1", actor="ops", reason="a customer called", request_id="r1")
    assert (0, "repaired") == (reading.service_state, reading.outcome)
    (entry,) = shop.entries("state_reading")
    assert ("ops", "a customer called", "r1") == (entry.actor, entry.payload["reason"], entry.payload["request_id"])


@SQLITE
def test_call_under_way_is_left(shop: Shop) -> None:
    """While a call of ours is under way nobody can tell whether a reading came first: the sweep leaves that one."""
    shop.customer("wm1", to=2)
    shop.customer("wm2", to=2)
    shop.after(1_800)
    ids = {"open_kfid": shop.open_kfid, "external_userid": "wm1", "actor": "router", "service_state": 3}
    intent = shop.engine.record({**ids, "kind": "state_change_intended", "servicer_userid": "zhang"}).position
    done = shop.sweep()
    assert ("complete", 1, 1) == (done.outcome, done.read, done.left)
    with pytest.raises(ConcurrentChangeError) as caught:
        read_state(shop.site, shop.open_kfid, "wm1", actor="test", aside=True)
    assert (intent, "router", 3, "zhang") == (
        caught.value.intent, caught.value.actor, caught.value.to, caught.value.servicer_userid,
    )  # fmt: skip
    shop.engine.record({**ids, "kind": "state_change_refused", "errcode": 95019, "cause": intent})
    assert 1 == shop.sweep().read
    shop.engine.record({**ids, "kind": "state_change_intended", "servicer_userid": "zhang"})
    shop.after(1_800)
    assert 2 == shop.sweep().read


@SQLITE
def test_clock_that_is_behind(shop: Shop) -> None:
    """What WeCom said before is folded before the reading, even where its time has not come here yet."""
    shop.wecom.customer("wm1").writes(shop.account)
    shop.engine.ingest(page([customer_message(shop.open_kfid, "wm1", START + 5)]))
    reading = read_state(shop.site, shop.open_kfid, "wm1", actor="test")
    assert (0, "confirmed") == (reading.service_state, reading.outcome)
    assert ["customer_message", "state_reading"] == [step.kind for step in shop.engine.history(shop.open_kfid, "wm1")]


@SQLITE
def test_answers_in_between(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings without an answer end a sweep only where three come in a row."""
    for number in range(7):
        shop.customer(f"wm{number}", to=2)
    shop.after(1_800)
    asked = shop.client.get_state

    def every_other(open_kfid: str, external_userid: str) -> object:
        if int(external_userid[2:]) % 2 == 0:
            raise UnreachableError("service_state/get", "a test")
        return asked(open_kfid, external_userid)

    monkeypatch.setattr(shop.client, "get_state", every_other)
    done = shop.sweep()
    assert ("complete", 3, 4) == (done.outcome, done.read, len(done.failed))
