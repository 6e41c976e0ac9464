"""Assignment over real HTTP: who may get a session, the place reserved by the intent, and the next choice."""

import threading
from typing import Any

import pytest

from kfstate.errors import ReplyLostError, StateChangeRefusedError
from kfstate.wecom import Candidates
from tests.wecom.desk import Desk
from tests.wecom.living import live_on

__all__: list[str] = []

SQLITE = pytest.mark.databases("sqlite")
EVERY = pytest.mark.databases("sqlite", "pg18", "mariadb")


@EVERY
def test_candidates(desk: Desk) -> None:
    """Who is receiving, what each carries and was given last, who served this customer; capacity is the caller's."""
    desk.world.account.servicer("Li")
    desk.world.account.servicer("wang", receiving=False)
    customer = desk.customer(3, "zhang")
    found = desk.world.live.candidates(desk.account, customer.external_userid, capacity={"zhang": 1, "li": 2})
    told = [
        (one.servicer_userid, one.receiving, one.open_sessions, one.capacity, one.free, one.previous, one.available)
        for one in found.servicers
    ]
    assert [
        ("Li", True, 0, 2, 2, False, True),
        ("wang", False, 0, None, None, False, False),
        ("zhang", True, 1, 1, 0, True, False),
    ] == told
    assert [False, False, True] == [one.last_assigned_at is not None for one in found.servicers]
    assert ("known", ("Li",)) == (found.members, tuple(one.servicer_userid for one in found.available()))
    assert "zhang" == (found.named("ZHANG") or found.servicers[0]).servicer_userid


@SQLITE
@SQLITE
def test_departments(desk: Desk) -> None:
    """Of a department nobody knows the members: that is not the same as nobody."""
    account = desk.world.wecom.account("部门")
    account.department(7, "zhao")
    found = desk.world.live.candidates(account.open_kfid)
    assert ((), (7,), "unknown") == (found.servicers, found.departments, found.members)
    customer = desk.world.wecom.customer()
    customer.writes(account)
    done = desk.world.live.assign(account.open_kfid, customer.external_userid, lambda _: "zhao")
    assert "zhao" == done.servicer_userid
    assert "partly" == desk.world.live.candidates(account.open_kfid).members
    account.servicer("qian")
    assert 1 == sum(call.name == "servicer/list" for call in desk.world.wecom.calls)
    desk.world.clock.advance(600)
    assert {"qian", "zhao"} == {
        one.servicer_userid for one in desk.world.live.candidates(account.open_kfid).servicers
    }  # fmt: skip


@EVERY
def test_who_is_no_servicer_any_more(desk: Desk) -> None:
    """A complete list says who is none any more: he gets nothing, until he is in the list again."""
    account, live = desk.world.account, desk.world.live
    for name in ("Li", "zhao"):
        account.servicer(name)
    live.servicers(desk.account)
    desk.change(desk.customer(), 3, servicer="Li")
    live.client.remove_servicers(desk.account, ["Li", "zhao"])

    def able() -> list[str]:
        live.servicers(desk.account)
        return [one.servicer_userid for one in live.candidates(desk.account).available()]

    def read() -> list[tuple[str, int]]:
        found = [entry.payload for entry in desk.world.engine.read_all() if entry.kind == "servicer_reading"]
        return [(one["servicer_userid"], one["receiving"]) for one in found if one.get("data") == {"listed": False}]

    assert (["zhang"], ["zhang"]) == (able(), able())
    assert [("Li", 0), ("zhao", 0)] == sorted(read())
    desk.world.clock.advance(1)
    account.servicer("Li")
    assert ["Li", "zhang"] == able()
    account.department(7, "wang")  # from now on the list is no longer complete
    live.client.remove_servicers(desk.account, ["Li"])
    assert ["Li", "zhang"] == able()


@EVERY
def test_least_loaded(desk: Desk) -> None:
    """Each session goes to who carries least, the longest idle first."""
    desk.world.account.servicer("li")
    desk.world.account.servicer("wang")
    got = []
    for _ in range(6):
        got.append(desk.assign(desk.customer()).servicer_userid)
        desk.world.clock.advance(1)
    assert got[:3] == got[3:]
    assert {"li", "wang", "zhang"} == set(got)


@SQLITE
def test_longest_idle(desk: Desk) -> None:
    """Of those who carry as much, whoever got the last session longest ago."""
    for name in ("li", "wang"):
        desk.world.account.servicer(name)
    for name in ("zhang", "li", "wang"):
        customer = desk.customer(3, name)
        desk.change(customer, 4)
        desk.world.clock.advance(1)
    assert "zhang" == desk.assign(desk.customer()).servicer_userid


@EVERY
def test_capacity(desk: Desk) -> None:
    """Whoever has no place for one more waits in the pool; nothing is called for who waits there already."""
    first, second = desk.customer(), desk.customer()
    assert "zhang" == desk.assign(first, capacity=1).servicer_userid
    done = desk.assign(second, capacity=1)
    assert (None, "pool", 2) == (done.servicer_userid, done.outcome, done.changed.service_state)
    made = desk.calls()
    done = desk.assign(second, capacity=1)
    assert (None, "pool", None, made) == (done.servicer_userid, done.outcome, done.changed, desk.calls())
    desk.change(first, 4)
    assert "zhang" == desk.assign(second, capacity=1).servicer_userid


@EVERY
def test_two_workers(desk: Desk) -> None:
    """Workers that have all seen the same loads give nobody more than there is room for, and use all the room."""
    for name in ("li", "wang"):
        desk.world.account.servicer(name)
    customers = [desk.customer() for _ in range(8)]
    desk.world.live.candidates(desk.account)
    others = [live_on(desk.world.wecom, desk.world.engine) for _ in range(4)]
    barrier = threading.Barrier(4, timeout=30)
    waited = threading.local()
    found: list[Any] = []

    def choose(among: Candidates) -> str | None:
        if not getattr(waited, "once", False):
            waited.once = True
            barrier.wait()
        # The same for all, so that they meet.
        able = among.available()
        return min(able, key=lambda one: (one.carries, one.servicer_userid)).servicer_userid if able else None

    def run(at: int) -> None:
        for customer in customers[at::4]:
            done = others[at].assign(desk.account, customer.external_userid, choose, capacity=2)
            found.append(done)

    threads = [threading.Thread(target=run, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one in others:
        one.client.close()
    assert ["li", "li", "wang", "wang", "zhang", "zhang"] == sorted(
        one.servicer_userid for one in found if one.servicer_userid
    )
    assert 2 == sum(one.servicer_userid is None for one in found)
    assert all(desk.agrees(customer) for customer in customers)


@EVERY
@SQLITE
def test_reserved_by_the_intent(desk: Desk) -> None:
    """A session that is being given counts from its intent on, and as long as nobody knows what became of it."""
    customer, other = desk.customer(), desk.customer()

    def carries() -> tuple[int, int]:
        (one,) = desk.world.live.candidates(desk.account).servicers
        return one.open_sessions, one.intended

    errand = desk.world.live._errand(desk.account, customer.external_userid, "one", "", "")
    intent = errand.entry("state_change_intended", service_state=3, servicer_userid="ZHANG")
    errand.intend("service_state/trans", intent, errand.look())
    assert (0, 1) == carries()
    assert desk.assign(other, capacity=1).servicer_userid is None
    desk.world.clock.advance(3600)
    desk.world.wecom.fail_next("service_state/get", "dropped", times=4)
    (settled,) = desk.world.live.settle()
    assert settled.error
    assert ("reply_lost", (0, 1)) == (desk.view(customer).doubt, carries())
    desk.world.live.change_state(desk.account, customer.external_userid, 2)
    assert (0, 0) == carries()


@SQLITE
@pytest.mark.parametrize("ticking", [False, True])
def test_reserved_for_a_session_at_most(desk: Desk, *, ticking: bool) -> None:
    """What became of a lost call may never be known: its place is free with the end of the session, or in 48 hours."""
    live, clock = desk.world.live, desk.world.clock
    customer = desk.customer()
    clock.advance(24 * 3600)
    desk.world.wecom.fail_next("service_state/trans", "dropped")
    desk.world.wecom.fail_next("service_state/get", errcode=40096, times=4)
    with pytest.raises(ReplyLostError):
        desk.assign(customer, lambda _: "zhang")

    def intended() -> int:
        return live.candidates(desk.account).servicers[0].intended

    assert 1 == intended()
    clock.advance(24 * 3600 + 60)
    if ticking:
        desk.pull()
        assert 1 == live.tick().expired
    else:
        assert 1 == intended()
        clock.advance(24 * 3600)
    assert 0 == intended()


@EVERY
def test_next_choice(desk: Desk) -> None:
    """Who is no servicer, or has stopped, is left out, and the next choice gets the session."""
    desk.world.account.servicer("li")
    desk.world.live.candidates(desk.account)
    desk.world.account.stops("li")
    wanted = ["nobody", "li", "zhang"]
    done = desk.assign(desk.customer(), lambda _: wanted.pop(0))
    assert ("zhang", ("nobody", "li"), 3) == (done.servicer_userid, done.refused, desk.calls())
    assert {"li": False, "nobody": False, "zhang": True} == {
        one.servicer_userid: one.receiving for one in desk.world.engine.load(desk.account)
    }


@SQLITE
@SQLITE
def test_who_serves_already(desk: Desk) -> None:
    """Nothing is called to give a session to whom it belongs."""
    customer = desk.customer(3)
    made = desk.calls()
    done = desk.assign(customer, lambda _: "ZHANG", transfer=True)
    assert ("ZHANG", "served", None, made) == (done.servicer_userid, done.outcome, done.changed, desk.calls())


@EVERY
def test_who_was_quicker_keeps_the_session(desk: Desk) -> None:
    """A session that somebody has got meanwhile is not taken away, whenever that was; a transfer is asked for."""
    desk.world.account.servicer("Li")
    desk.world.live.candidates(desk.account)
    served = desk.customer(3, "Li")
    made = desk.calls()

    def never(_: Candidates) -> str:
        raise AssertionError("nobody is to be chosen")

    done = desk.assign(served, never, capacity=1, key="a")
    assert ("Li", "served", None, made) == (done.servicer_userid, done.outcome, done.changed, desk.calls())

    looked = desk.customer(2)

    def slow(_: Candidates) -> str:
        desk.change(looked, 3, servicer="Li")  # somebody else, while we think
        return "zhang"

    done = desk.assign(looked, slow, key="b")
    assert ("Li", "served", None) == (done.servicer_userid, done.outcome, done.changed)
    assert desk.agrees(looked)
    assert made + 2 == desk.calls()

    done = desk.assign(looked, lambda _: "zhang", transfer=True, key="c")
    assert ("zhang", "given", 3) == (done.servicer_userid, done.outcome, desk.state(looked))
    assert "zhang" == desk.world.wecom.state(desk.world.account, looked).servicer_userid


@SQLITE
def test_found_out_by_the_reading(desk: Desk) -> None:
    """Where the log is in doubt, WeCom is asked first, and who serves by its answer keeps the session."""
    desk.world.live.candidates(desk.account)
    customer = desk.world.customer("你好")
    desk.pull()
    desk.world.account.servicer("li")
    desk.world.account.routes(customer, 3, "li")
    for choose in (lambda _: "zhang", lambda _: None):
        done = desk.assign(customer, choose)
        assert ("li", "served", 0) == (done.servicer_userid, done.outcome, desk.calls())


@SQLITE
def test_the_pool(desk: Desk) -> None:
    """Where nobody is left, the session goes to the pool; where that cannot be, the refusal is told."""
    desk.world.account.servicer("li")
    desk.world.live.candidates(desk.account)
    customer = desk.customer()
    for name in ("li", "zhang"):
        desk.world.account.stops(name)
    done = desk.assign(customer)
    assert (None, {"li", "zhang"}, 2) == (done.servicer_userid, set(done.refused), desk.state(customer))
    desk.world.account.receives("zhang")
    served = desk.customer(3)
    desk.world.account.stops("zhang")
    with pytest.raises(StateChangeRefusedError) as caught:
        desk.assign(served, lambda among: among.named("li") and "li", transfer=True)
    assert (95016, True, 3) == (caught.value.errcode, caught.value.local, caught.value.service_state)
    with pytest.raises(StateChangeRefusedError):
        desk.assign(desk.customer(4))
