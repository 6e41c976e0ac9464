"""One pull of an account: every page once, whatever WeCom does; nobody else's cursor is moved."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import attrs
import pytest

from kfstate import Engine
from kfstate.clock import SECOND
from kfstate.errors import RateLimitError, UnreachableError, WecomError
from kfstate.queries.views import at_time
from kfstate.store.dialect import as_text, query
from kfstate.testing import FrozenClock, Misbehaviour, OpenFacts
from kfstate.wecom.syncing import KEPT, Gap, Pulled, Puller
from tests.wecom.living import START, World

__all__: list[str] = []

DAY = 86_400


@pytest.fixture
def clock() -> FrozenClock:
    """The time of everybody."""
    return FrozenClock.at(START)


@pytest.fixture
def open_world(url: str, clock: FrozenClock) -> Iterator[Callable[..., World]]:
    """Give a function that starts a fake WeCom."""
    with ExitStack() as stack:

        def opened(**options: Any) -> World:
            world = World.make(url, clock, **options)
            stack.callback(world.close)
            return world

        yield opened


@pytest.fixture
def world(open_world: Callable[..., World]) -> World:
    """A WeCom that behaves."""
    return open_world()


def puller(world: World, **options: Any) -> Puller:
    """Return another process's puller."""
    site = attrs.evolve(world.live.site, owner="another process")
    return Puller(site=site, stopping=world.live.site.concurrency.signal(), **options)


def pull(world: World, **options: Any) -> Pulled:
    """Pull the account once."""
    return puller(world, limit=options.pop("limit", 1000)).pull(world.account.open_kfid, **options)


def test_pages(world: World) -> None:
    """Pages come in one after the other; the start of the pull is what the account is synced until."""
    world.customer(*"abcdefg")
    began = world.clock.now()
    pulled = pull(world, limit=3)
    assert ("complete", 3, 7, 7, began) == (
        pulled.outcome, pulled.pages, pulled.entries, pulled.appended, pulled.synced_until,
    )  # fmt: skip
    assert world.log() == world.written()
    cursor = world.engine.cursor(world.account.open_kfid)
    assert cursor is not None
    assert began == cursor.synced_until
    world.clock.advance(60)
    again = pull(world)
    assert (1, 0, world.clock.now()) == (again.pages, 0, again.synced_until)
    assert began == again.synced_before


def test_date_of_pages(world: World) -> None:
    """When WeCom sent a page stands beside the pull."""
    world.customer("a")
    pull(world)
    with world.engine._database.reading() as conn:
        rows = conn.exec_driver_sql("SELECT date_at, pulled_at FROM kf_pull").fetchall()
    assert [(world.clock.now(), world.clock.now())] == [tuple(row) for row in rows]


@pytest.mark.databases("sqlite")
def test_empty_pages(open_world: Callable[..., World]) -> None:
    """``has_more`` decides, not what a page holds; pages that never end are given up, and the account is not synced."""
    world = open_world(misbehave=Misbehaviour(seed=3, empty_pages=0.4, short_pages=0.4))
    for _ in range(20):
        world.customer("a", "b")
    pulled = pull(world, limit=5)
    assert "complete" == pulled.outcome
    assert pulled.pages > 9
    assert world.is_whole()
    stuck = open_world(misbehave=Misbehaviour(empty_pages=1.0))
    stuck.customer("a")
    before = stuck.engine.cursor(stuck.account.open_kfid)
    done = pull(stuck)
    assert ("stalled", None, None) == (done.outcome, done.synced_until, before)
    after = stuck.engine.cursor(stuck.account.open_kfid)
    assert after is not None
    assert None is after.synced_until


@pytest.mark.databases("sqlite")
def test_duplicates_and_shuffles(open_world: Callable[..., World]) -> None:
    """Entries that come twice, late, and in any order, are stored once, and give the same states."""
    misbehave = Misbehaviour(seed=5, duplicates=0.4, shuffled=0.7, delayed=0.3, short_pages=0.3, delay_seconds=30)
    world = open_world(misbehave=misbehave)
    for _ in range(15):
        world.customer("a", "b", "c")
        pull(world, limit=4)
    world.clock.advance(120)
    pull(world)
    assert world.is_whole()
    assert {0} == {view.service_state for view in world.engine.conversations()}
    assert 15 == len(list(world.engine.conversations()))
    assert 0 == world.engine.check().different


def test_cursor_lost(world: World) -> None:
    """A lost, an unknown, a dead and an old cursor: all that WeCom keeps is read again, and nothing changes."""
    world.customer("a", "b")
    pull(world, limit=1)
    old = world.engine.cursor(world.account.open_kfid)
    world.customer("c", "d")
    pull(world, limit=1)
    states = list(world.engine.conversations())
    log, anomalies = world.log(), list(world.engine.anomalies())
    assert old is not None

    def is_as_it_was(pulled: Pulled, duplicates: int) -> None:
        assert ("complete", 0, duplicates) == (pulled.outcome, pulled.appended, pulled.duplicates)
        assert (log, states, anomalies) == (
            world.log(), list(world.engine.conversations()), list(world.engine.anomalies()),
        )  # fmt: skip

    set_cursor(world, "")
    is_as_it_was(pull(world), 4)
    set_cursor(world, old.cursor)
    is_as_it_was(pull(world), 2)
    set_cursor(world, "of-nobody")
    unknown = pull(world)
    assert unknown.restarted
    is_as_it_was(unknown, 4)
    is_as_it_was(pull(world, again=True), 4)
    is_as_it_was(pull(world), 0)


def set_cursor(world: World, cursor: str) -> None:
    """Let the database have another cursor, as after a restore."""
    with world.engine._database.writing() as conn:
        conn.exec_driver_sql(f"UPDATE kf_cursor SET next_cursor = '{cursor}'")


def test_token_of_the_callback(world: World) -> None:
    """A token that WeCom does not take is left out; the pages come in without it."""
    world.customer("a", "b")
    pulled = pull(world, token="nobody's", limit=1)
    assert ("complete", 2) == (pulled.outcome, pulled.appended)
    assert [95007, 0, 0] == [call.errcode for call in world.wecom.calls if call.name == "sync_msg"]


@pytest.mark.databases("sqlite")
def test_access_token_expires(world: World) -> None:
    """An access token that expires in the middle of a pull costs a call."""
    world.customer(*"abc")
    world.wecom.fail_next("sync_msg", "expired_token")
    assert 3 == pull(world, limit=1).appended
    world.customer("d")
    world.wecom.expire_token()
    assert 1 == pull(world).appended
    assert world.is_whole()


@pytest.mark.databases("sqlite")
def test_failures(world: World) -> None:
    """What is busy, broken or dropped is asked again; what lasts is raised, and the next pull goes on where it was."""
    world.customer(*"abcd")
    for kind in ("dropped", "server_error", "broken_json", "errcode"):
        world.wecom.fail_next("sync_msg", kind)
        assert "complete" == pull(world, limit=1).outcome
    world.customer("e", "f")
    world.wecom.fail_next("sync_msg", "dropped", times=4)
    with pytest.raises(UnreachableError):
        pull(world)
    world.wecom.fail_next("sync_msg", "errcode", errcode=45009)
    with pytest.raises(RateLimitError):
        pull(world)
    world.clock.advance(61)
    world.wecom.fail_next("sync_msg", "errcode", errcode=95004)
    with pytest.raises(WecomError, match="95004"):
        pull(world)
    assert 2 == pull(world).appended
    assert world.is_whole()


@pytest.mark.databases("sqlite")
def test_limit_without_token(url: str, clock: FrozenClock) -> None:
    """Pulls without a token that come too often end with WeCom's refusal; the pages before it are in."""
    world = World.make(url, clock, facts=OpenFacts(pulls_without_token=2))
    world.customer(*"abcd")
    with pytest.raises(RateLimitError):
        pull(world, limit=1)
    assert world.written()[:2] == world.log()
    clock.advance(61)
    assert 2 == pull(world).appended
    world.close()


def test_one_at_a_time(world: World) -> None:
    """While one process pulls an account, another one does not; when it is dead, its lease runs out."""
    world.customer("a")
    first, second = puller(world), puller(world)
    claimed = first._claim(world.account.open_kfid)
    assert claimed is not None
    assert "held" == second.pull(world.account.open_kfid).outcome
    world.clock.advance(15)
    assert 1 == second.pull(world.account.open_kfid).appended
    assert "complete" == second.pull(world.account.open_kfid).outcome


def test_fenced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was overtaken between the answer of WeCom and the commit stores nothing, and gives nothing back."""
    world.customer(*"abcd")
    slow, quick = puller(world, limit=2), puller(world, limit=2)
    client = slow.site.client
    pulled: list[Pulled] = []
    genuine = type(client).sync_msg

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        page = genuine(client, *args, **kwargs)
        if not pulled:
            pulled.append(Pulled(open_kfid="", outcome="held"))
            world.clock.advance(16)
            pulled.append(quick.pull(world.account.open_kfid))
        return page

    monkeypatch.setattr(client, "sync_msg", overtaken)
    done = slow.pull(world.account.open_kfid)
    assert ("fenced", 0, 0) == (done.outcome, done.pages, done.appended)
    assert ("complete", 4) == (pulled[1].outcome, pulled[1].appended)
    assert world.is_whole()
    # Its release did not take the lease of somebody else.
    holder = quick._claim(world.account.open_kfid)
    assert holder is not None
    slow._release(attrs.evolve(holder[0], epoch=holder[0].epoch - 1))
    assert "held" == slow.pull(world.account.open_kfid).outcome


def test_fenced_by_a_claim(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was overtaken stores nothing, though the one who came after has not moved the cursor yet."""
    world.customer("a")
    slow, quick = puller(world), puller(world)
    client = slow.site.client
    genuine = type(client).sync_msg

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        page = genuine(client, *args, **kwargs)
        world.clock.advance(16)
        assert quick._claim(world.account.open_kfid) is not None
        return page

    monkeypatch.setattr(client, "sync_msg", overtaken)
    assert "fenced" == slow.pull(world.account.open_kfid).outcome
    assert [] == world.log()


def test_lease_is_lengthened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long pull keeps its account."""
    world.customer(*"abcdef")
    slow, other = puller(world, limit=1), puller(world)
    client = slow.site.client
    genuine = type(client).sync_msg

    def slowly(*args: Any, **kwargs: Any) -> Any:
        world.clock.advance(9)
        assert "held" == other.pull(world.account.open_kfid).outcome
        return genuine(client, *args, **kwargs)

    monkeypatch.setattr(client, "sync_msg", slowly)
    assert "complete" == slow.pull(world.account.open_kfid).outcome


def test_page_and_cursor_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before the commit of a page leaves neither its entries nor its cursor; both are there after it."""
    world.customer(*"abcd")
    name = world.account.open_kfid
    committing = Engine.ingest
    died: list[int] = []

    def dies(engine: Engine, *args: Any, **kwargs: Any) -> Any:
        report = committing(engine, *args, **kwargs)
        died.append(report.appended)
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "ingest", dies)
    with pytest.raises(KeyboardInterrupt):
        pull(world, limit=2)
    monkeypatch.undo()
    after = world.engine.cursor(name)
    assert after is not None
    assert after.cursor
    assert 2 == len(world.log())
    with world.engine._database.reading() as conn:
        pulls = query(conn, "SELECT cursor_after FROM kf_pull")
    assert [after.cursor] == [as_text(cursor) for (cursor,) in pulls]
    assert 2 == pull(world, limit=2).appended
    assert world.is_whole()


def test_gap(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What WeCom no longer has is recorded once, reported, and makes states doubtful."""
    customer = world.customer("a")
    synced = world.clock.now()
    assert None is pull(world).gap
    ids = {"open_kfid": world.account.open_kfid, "external_userid": customer.external_userid}
    world.engine.record({"kind": "state_reading", "actor": "test", "service_state": 0, **ids})
    assert "none" == world.engine.state(**ids, as_of_log=True).doubt
    world.clock.advance(3 * DAY)
    assert None is pull(world).gap, "exactly three days are kept"
    with world.engine._database.writing() as conn:
        conn.exec_driver_sql(f"UPDATE kf_cursor SET synced_until = {synced}")
    world.clock.advance(3600)
    world.wecom.fail_next("sync_msg", "errcode", errcode=95004)
    with pytest.raises(WecomError):
        pull(world)
    assert not list(world.engine.anomalies(kind="history_gap"))
    genuine = type(world.engine).ingest
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(Engine, "ingest", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pull(world)
    assert genuine is type(world.engine).ingest
    assert "1.0 hours of history may be lost" in caplog.text
    world.clock.advance(60)
    pulled = pull(world)
    assert Gap(synced, world.clock.now() - KEPT) == pulled.gap
    assert 1 == sum(entry.kind == "history_gap" for entry in world.engine.read_all())
    (anomaly,) = world.engine.anomalies(kind="history_gap")
    assert world.account.open_kfid == anomaly.open_kfid
    (status,) = world.live.status()
    assert at_time(synced) == status.gap_from
    assert status.gap_until is not None
    assert "history_gap" == world.engine.state(**ids, as_of_log=True).doubt
    assert None is pull(world).gap


def test_gap_before_the_first_complete_pull(world: World) -> None:
    """An account of which no pull was ever complete has a gap, too, after three days."""
    world.customer("a", "b")
    first = world.clock.now()
    world.wecom.fail_next("sync_msg", "errcode", errcode=95004)
    one = puller(world, limit=1)
    with pytest.raises(WecomError):
        one.pull(world.account.open_kfid)
    assert 0 == len(world.log())
    client, genuine = one.site.client, type(one.site.client).sync_msg

    def only_one(*args: Any, **kwargs: Any) -> Any:
        one.stopping.set()
        return genuine(client, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "sync_msg", only_one)
        assert "stopped" == one.pull(world.account.open_kfid).outcome
    assert 1 == len(world.log())
    world.clock.advance(4 * DAY)
    assert Gap(first, world.clock.now() - KEPT) == pull(world).gap


@pytest.mark.databases("sqlite")
def test_clock_ahead_of_wecom(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where our clock is ahead, an account is synced until what WeCom calls that time."""
    world.customer("a")
    client = world.live.client
    monkeypatch.setattr(type(client), "skew", property(lambda _: -90 * SECOND))
    assert world.clock.now() - 90 * SECOND == pull(world).synced_until
    monkeypatch.setattr(type(client), "skew", property(lambda _: 90 * SECOND))
    assert world.clock.now() == pull(world).synced_until


@pytest.mark.databases("sqlite")
def test_stop_between_pages(world: World) -> None:
    """A pull that is told to stop keeps the pages that it has, and gives the account back."""
    world.customer(*"abcd")
    one = puller(world, limit=1)
    genuine, told = type(world.engine).ingest, []

    def counted(engine: Engine, *args: Any, **kwargs: Any) -> Any:
        told.append(1)
        if len(told) == 2:
            one.stopping.set()
        return genuine(engine, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "ingest", counted)
        done = one.pull(world.account.open_kfid)
    assert ("stopped", 2, None) == (done.outcome, done.pages, done.synced_until)
    assert 2 == pull(world).appended


def test_tick_waits_for_the_sync(world: World) -> None:
    """No session expires in an account whose sync is behind: the message that kept it open may not be here yet."""
    customer = world.customer("a")
    pull(world)
    world.clock.advance(47 * 3600)
    customer.writes(world.account, "b")
    world.clock.advance(2 * 3600)
    assert 0 == world.engine.tick(), "the account is synced until 47 hours ago"
    pull(world)
    assert 0 == world.engine.tick()
    world.clock.advance(46 * 3600)
    assert 0 == world.engine.tick()
    pull(world)
    assert 1 == world.engine.tick()
    with world.engine._database.writing() as conn:
        conn.exec_driver_sql("UPDATE kf_cursor SET synced_until = NULL")
    world.customer("c")
    pull(world)
    with world.engine._database.writing() as conn:
        conn.exec_driver_sql("UPDATE kf_cursor SET synced_until = NULL")
    world.clock.advance(49 * 3600)
    assert 0 == world.engine.tick(), "the first pull has not come to its end"


def test_age(world: World) -> None:
    """Entries of a backlog say how old they are."""
    world.customer("a")
    world.clock.advance(2 * DAY)
    world.customer("b")
    pull(world)
    ages = [entry.age for entry in world.engine.read_all() if entry.kind == "customer_message"]
    assert [2 * DAY + 1, 0] == ages


@pytest.mark.databases("sqlite")
def test_bytes(world: World) -> None:
    """The log has the exact bytes of what WeCom sent."""
    world.customer("你好 \u2028")
    pull(world)
    (entry,) = [entry for entry in world.engine.read_all() if entry.kind == "customer_message"]
    assert entry.body is not None
    assert world.account.entries()[0] == json.loads(entry.body)
