"""The loop: callbacks wake a pull, the interval does without, and nothing that fails keeps an account behind."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest
import uvicorn

from kfstate.clock import SECOND
from kfstate.errors import ClosedError
from kfstate.queries.views import at_time
from kfstate.store.lease import Lease
from kfstate.testing import FrozenClock, Misbehaviour
from kfstate.wecom import Live, Notice, Pace
from kfstate.wecom.callback import AUTH_CHANGE, MSG_OR_EVENT
from kfstate.wecom.syncing import Puller
from kfstate.wecom.turns import Turns
from tests.wecom.living import AES_KEY, START, TOKEN, World, eventually, live_on

__all__: list[str] = []


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """A WeCom that behaves, on every database."""
    made = World.make(url, FrozenClock.at(START))
    yield made
    made.close()


pytestmark = pytest.mark.databases("sqlite", "pg18")


def pulls(world: World) -> int:
    """Return how often WeCom was asked for a page."""
    return sum(call.name == "sync_msg" for call in world.wecom.calls)


@contextmanager
def served(live: Live) -> Iterator[str]:
    """Serve the callback of a live side, and give its URL."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(live.app(), log_config=None, access_log=False, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    assert eventually(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{live.settings.callback.path}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


def test_callback_to_state(world: World) -> None:
    """A customer writes; WeCom calls; the account is pulled with the token of the callback; the state is there."""
    world.live.start()
    assert eventually(lambda: world.live.status() and world.live.status()[0].synced_until is not None)
    with served(world.live) as url:
        world.wecom.callback(url, token=TOKEN, aes_key=AES_KEY, check=True)
        before = pulls(world)
        customer = world.customer("你好")
        assert eventually(world.is_whole)
        view = world.engine.state(world.account.open_kfid, customer.external_userid)
        assert 0 == view.service_state
        assert world.wecom.wait_for_callbacks()
        assert before < pulls(world)
        assert 0 == sum(call.errcode or 0 for call in world.wecom.calls)
    (status,) = world.live.status()
    assert ("", 0, True) == (status.error, status.failures, status.manage_privilege)


def test_interval(world: World) -> None:
    """Without a callback, accounts are pulled by interval; where another process has just done so, they are not."""
    live = live_on(world.wecom, world.engine, pace=Pace(interval=0.2))
    live.start()
    assert eventually(lambda: pulls(world) == 1)
    # The clock stands still: the last pull is always new.
    time.sleep(0.6)
    assert 1 == pulls(world)
    world.customer("a")
    assert eventually(world.is_whole)
    assert 2 == pulls(world)
    live.close()
    live.client.close()


def test_coalesced(world: World) -> None:
    """A hundred callbacks while a pull is going on are one pull more."""
    world.live.start()
    assert eventually(lambda: world.live.status() and world.live.status()[0].synced_until is not None)
    before = pulls(world)
    for _ in range(100):
        world.live.notice(notice(world))
    assert eventually(lambda: pulls(world) > before)
    time.sleep(0.3)
    assert pulls(world) - before <= 4


def notice(world: World, **facts: object) -> Notice:
    """Return a callback for the account, as of now."""
    made = Notice(event=MSG_OR_EVENT, open_kfid=world.account.open_kfid, created_at=world.clock.now())
    return attrs.evolve(made, **facts)  # type: ignore[arg-type]


def claim(puller: Puller, world: World) -> Lease:
    """Take the account of a world, once nobody has it."""
    found: list[tuple[Lease, object]] = []

    def taken() -> bool:
        one = puller._claim(world.account.open_kfid)
        found.extend([] if one is None else [one])
        return one is not None

    assert eventually(taken)
    return found[0][0]


def test_callback_while_another_process_pulls(world: World) -> None:
    """A callback is not forgotten because another process has the account: what it speaks of may have come too late."""
    world.live.start()
    assert eventually(lambda: world.live.status() and world.live.status()[0].synced_until is not None)
    other = attrs.evolve(world.live.site, owner="another process")
    puller = Puller(site=other, stopping=other.concurrency.signal())
    claimed = claim(puller, world)
    world.customer("a")
    world.live.notice(notice(world))
    time.sleep(0.5)
    assert [] == world.log()
    puller._release(claimed)
    assert eventually(world.is_whole, 5)
    # Where the other one has read it meanwhile, there is nothing left to do.
    claimed = claim(puller, world)
    before = pulls(world)
    world.clock.advance(1)
    world.live.notice(notice(world))
    time.sleep(0.2)
    with world.engine._database.writing() as conn:
        conn.exec_driver_sql(f"UPDATE kf_cursor SET synced_until = {world.clock.now()}")
    time.sleep(0.3)
    puller._release(claimed)
    time.sleep(0.3)
    assert before == pulls(world)


def test_callback_without_account(world: World) -> None:
    """As in 2021: no OpenKfId wakes every account."""
    world.live.start()
    assert eventually(lambda: world.live.status() and world.live.status()[0].synced_until is not None)
    world.customer("a")
    world.live.notice(notice(world, open_kfid=""))
    assert eventually(world.is_whole)


def test_new_and_revoked_accounts(world: World) -> None:
    """An account that is given to the app is pulled from then on; a stranger's callback brings nothing."""
    world.live.start()
    assert eventually(lambda: len(world.live.status()) == 1)
    other = world.wecom.account("售前", manage_privilege=False)
    customer = world.wecom.customer()
    customer.writes(other, "在吗")
    world.live.notice(Notice(event=AUTH_CHANGE, authorized=(other.open_kfid,)))
    assert eventually(lambda: len(world.log()) == 1)
    known = {status.open_kfid: status.manage_privilege for status in world.live.status()}
    assert {world.account.open_kfid: True, other.open_kfid: False} == known
    third = world.wecom.account("投诉")
    customer.writes(third, "喂")
    world.live.notice(notice(world, open_kfid=third.open_kfid))
    assert eventually(lambda: len(world.log()) == 2)
    world.live.notice(notice(world, open_kfid="wkstranger"))
    world.live.notice(Notice(event="something_else"))
    with world.wecom._world.lock:
        del world.wecom._world.desks[third.open_kfid]
    world.live.notice(Notice(event=AUTH_CHANGE, revoked=(third.open_kfid,)))
    assert eventually(lambda: len(world.live._loop.workers) == 2)


def test_servicers_and_accounts_are_recorded_once(world: World) -> None:
    """Readings are entries where they are news, and only there."""
    world.account.servicer("li", receiving=False)
    world.account.department(7, "wang")
    for _ in range(2):
        world.live.accounts()
        assert 3 == len(world.live.servicers(world.account.open_kfid))
    kinds = [entry.kind for entry in world.engine.read_all()]
    assert (1, 2) == (kinds.count("account_reading"), kinds.count("servicer_reading"))
    assert {"zhang": True, "li": False} == {load.servicer_userid: load.receiving for load in world.engine.load()}
    world.clock.advance(5)
    world.account.servicer("zhang", receiving=False)
    world.live.servicers(world.account.open_kfid)
    world.clock.advance(5)
    world.account.servicer("zhang")
    world.live.servicers(world.account.open_kfid)
    assert {"zhang": True, "li": False} == {load.servicer_userid: load.receiving for load in world.engine.load()}
    assert 4 == [entry.kind for entry in world.engine.read_all()].count("servicer_reading")


def test_failures_heal(world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An account that cannot be pulled says so, is tried again, and catches up; a bug is logged and ends nothing."""
    world.customer("a")
    world.wecom.fail_next("sync_msg", "errcode", errcode=95004)
    with caplog.at_level(logging.WARNING):
        world.live.start()
        assert eventually(lambda: any(status.error for status in world.live.status()))
        assert eventually(world.is_whole)
    assert "95004" in caplog.text
    assert eventually(lambda: not any(status.error for status in world.live.status()))
    genuine = type(world.engine).ingest
    failed: list[int] = []

    def buggy(*args: object, **kwargs: object) -> object:
        if not failed:
            failed.append(1)
            raise TypeError("a bug")
        return genuine(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(type(world.engine), "ingest", buggy)
    world.customer("b")
    world.live.notice(notice(world))
    assert eventually(world.is_whole)
    assert failed


def test_limit_is_waited_for(world: World) -> None:
    """A frequency limit stops the pulls without a token until it has passed; one with a token goes on."""
    world.wecom.fail_next("sync_msg", "errcode", errcode=45009)
    world.live.start()
    assert eventually(lambda: any("RateLimitError" in status.error for status in world.live.status()))
    world.customer("a")
    with world.wecom._world.lock:
        token = world.wecom._world.pull_tokens.give(world.clock.now(), world.account.open_kfid)
    world.live.notice(notice(world, token=token))
    assert eventually(world.is_whole)


def test_dead_cursor(world: World) -> None:
    """After the secret was exchanged, a cursor brings nothing though WeCom calls: all is read again, once."""
    world.customer("a")
    world.live.start()
    assert eventually(world.is_whole)
    world.wecom.exchange_secret()
    world.live.stop()
    live = live_on(world.wecom, world.engine)
    live.start()
    world.customer("b")
    for _ in range(5):
        world.clock.advance(10)
        before = pulls(world)
        live.notice(notice(world))
        assert eventually(lambda before=before: pulls(world) > before)  # type: ignore[misc]
        time.sleep(0.1)
    assert eventually(world.is_whole)
    live.close()
    live.client.close()


def test_idle_callbacks_read_nothing_again(world: World) -> None:
    """Where callbacks come and there is nothing, it is looked for once an hour at most."""
    world.customer("a")
    world.live.start()
    assert eventually(world.is_whole)
    for _ in range(12):
        world.clock.advance(10)
        before = pulls(world)
        world.live.notice(notice(world))
        assert eventually(lambda before=before: pulls(world) > before)  # type: ignore[misc]
        time.sleep(0.05)
    assert 1 == sum(not call.request.get("cursor") for call in world.wecom.calls if call.name == "sync_msg") - 1


def test_stop(world: World) -> None:
    """A stop waits for the page on its way and no longer than told; what hangs is fenced; another start goes on."""
    world.live.start()
    assert eventually(lambda: world.live.status() and world.live.status()[0].synced_until is not None)
    began = time.monotonic()
    world.live.stop()
    assert time.monotonic() - began < 0.5
    assert "" == world.live.status()[0].pulled_by
    world.customer("a")
    world.live.start()
    assert eventually(world.is_whole)
    world.live.stop()

    hanging = live_on(world.wecom, world.engine, pace=Pace(interval=600, grace=0.3))
    world.wecom.fail_next("sync_msg", "hung", times=8)
    hanging.start()
    assert eventually(lambda: any(status.pulled_by for status in hanging.status()))
    began = time.monotonic()
    hanging.stop()
    assert time.monotonic() - began < 2
    assert "" == world.live.status()[0].pulled_by, "another process need not wait for the lease"
    world.customer("b")
    world.wecom._world.dice._ordered.clear()
    assert 1 == sum(pulled.appended for pulled in world.live.sync())
    hanging.close()
    hanging.client.close()


def test_everything_at_once(url: str) -> None:
    """With every misbehaviour switched on, all that happened is in the log once, and the states are the server's."""
    clock = FrozenClock.at(START)
    misbehave = Misbehaviour.everything(0.08, seed=11, hang_seconds=0.1, delay_seconds=20)
    world = World.make(url, clock, misbehave=attrs.evolve(misbehave, silent_changes=0.0, limited=0.0))
    live = live_on(world.wecom, world.engine, pace=Pace(interval=0.2, limit=7))
    with served(live) as where:
        world.wecom.callback(where, token=TOKEN, aes_key=AES_KEY)
        live.start()
        for _ in range(40):
            world.customer("a", "b")
        world.wecom.wait_for_callbacks()
        clock.advance(60)

        def is_whole() -> bool:
            clock.advance(1)
            return world.is_whole()

        assert eventually(is_whole, 60)
    live.close()
    live.client.close()
    assert None is world.engine.verify().damage
    assert 0 == world.engine.check().different
    assert {key: state.service_state for key, state in world.wecom.states().items()} == {
        (view.open_kfid, view.external_userid): view.service_state for view in world.engine.conversations()
    }
    world.close()


def test_only_these(world: World) -> None:
    """Settings that name accounts hold, whatever else the app may see."""
    other = world.wecom.account("售前")
    live = live_on(world.wecom, world.engine, accounts=(world.account.open_kfid,))
    live.start()
    assert eventually(lambda: live.status() and live.status()[0].synced_until is not None)
    live.notice(notice(world, open_kfid=other.open_kfid))
    time.sleep(0.2)
    assert [world.account.open_kfid] == [status.open_kfid for status in live.status()]
    live.close()
    live.client.close()


def test_accounts_cannot_be_read(world: World) -> None:
    """Where WeCom does not say which accounts there are, those that were pulled before go on."""
    world.live.sync()
    world.customer("a")
    world.wecom.fail_next("account/list", "errcode", errcode=48002, times=100)
    world.live.start()
    assert eventually(world.is_whole)


def test_turns() -> None:
    """So many at a time, in the order in which they came."""
    from kfstate.concurrency import THREADS

    turns, inside, most = Turns(THREADS, 2), [0], [0]
    lock = threading.Lock()

    def work() -> None:
        with turns.turn():
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            with lock:
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (0, 2, 2) == (inside[0], most[0], turns._free)


def test_lag(world: World) -> None:
    """The status says how far behind an account is, and how long ago its last page came in."""
    world.customer("a")
    world.live.sync()
    world.clock.advance(90)
    (status,) = world.live.status()
    synced = at_time(world.clock.now() - 90 * SECOND)
    assert (90.0, 90.0, synced) == (status.lag, status.cursor_age, status.synced_until)


def test_by_hand_after_a_stop(world: World) -> None:
    """A stop ends what runs beside; what is asked for by hand works until the end, and then says so."""
    live = Live(world.engine, world.live.settings, pace=Pace(interval=600))
    for _ in range(2):
        live.start()
        live.stop()
        world.customer("你好")
        assert ["complete"] == [pulled.outcome for pulled in live.sync()]
        assert "complete" == live.reconcile(everything=True).outcome
        assert world.is_whole()
    live.close()
    for act in (live.start, live.sync, lambda: live.reconcile(everything=True)):
        with pytest.raises(ClosedError):
            act()
