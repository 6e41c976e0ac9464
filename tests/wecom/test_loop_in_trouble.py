"""What does not end, comes late or says nothing: accounts are pulled all the same, and nobody is asked for ever."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from kfstate import Engine
from kfstate.testing import FrozenClock
from kfstate.wecom import Client, HttpTransport, Live, Pace, Settings, loop
from kfstate.wecom.accounts import read_accounts
from kfstate.wecom.site import Site
from kfstate.wecom.syncing import Pulled
from kfstate.wire import KfAccount
from tests.wecom.living import eventually
from tests.wecom.scripted import CORP, NOW, SECRET, Scripted

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")
KF = "wk_a"


def ok(**members: Any) -> httpx2.Response:
    """Return a reply without a date."""
    return httpx2.Response(200, json={"errcode": 0, "errmsg": "ok", **members})


def message(number: int, at: int = NOW) -> dict[str, Any]:
    """Return a customer's message."""
    return {
        "msgid": f"m{number}", "open_kfid": KF, "external_userid": "wm_1", "send_time": at, "origin": 3,
        "msgtype": "text", "text": {"content": "x"},
    }  # fmt: skip


@pytest.fixture
def wecom() -> Scripted:
    """A WeCom with one account without servicers."""
    made = Scripted()
    made.on("account/list", ok(account_list=[{"open_kfid": KF, "name": "a", "manage_privilege": True}]))
    made.on("servicer/list", ok(servicer_list=[]))
    made.on("service_state/get", ok(service_state=0))
    made.on("sync_msg", ok(next_cursor="c1", has_more=0, msg_list=[]))
    return made


@pytest.fixture
def process(url: str, wecom: Scripted) -> Iterator[Callable[..., Live]]:
    """Give a function that starts another process on the database."""
    with ExitStack() as stack:

        def made(clock: FrozenClock | None = None, *, accounts: tuple[str, ...] = (KF,), **options: Any) -> Live:
            engine = Engine(url, clock=clock)
            stack.callback(engine.close)
            transport = HttpTransport(client=httpx2.Client(transport=httpx2.MockTransport(wecom)))
            client = Client(CORP, SECRET, transport=transport, clock=clock)
            live = Live(engine, Settings(accounts=accounts), client=client, **options)
            stack.callback(live.close)
            return live

        yield made


def test_a_page_that_takes_longer_than_the_lease(process: Callable[..., Live], wecom: Scripted) -> None:
    """The lease is kept while WeCom is waited for: of two processes one pulls, and the other lets it."""

    def slow(_: httpx2.Request) -> httpx2.Response:
        time.sleep(0.8)
        return ok(next_cursor="c1", has_more=0, msg_list=[message(1, int(time.time()))])

    wecom.on("sync_msg", slow)
    one, two = (process(pace=Pace(interval=60, lease=0.4)) for _ in range(2))
    one.start()
    assert eventually(lambda: wecom.count("sync_msg") == 1)
    two.start()
    assert eventually(lambda: one.status()[0].synced_until, 5)
    assert wecom.count("sync_msg") <= 2


@pytest.mark.parametrize("cursors", [["c1"], ["c1", "c2"], ["c1", "c2", "c3"]])
def test_pages_without_end(process: Callable[..., Live], wecom: Scripted, cursors: list[str]) -> None:
    """A cursor that stands still or goes in a circle, and entries that are known: the pull is given up."""
    pages = [ok(next_cursor=cursor, has_more=1, msg_list=[message(1)]) for cursor in cursors]
    wecom.on("sync_msg", *(pages * 30))
    (pulled,) = process(FrozenClock.at(NOW)).sync()
    assert ("stalled", 1) == (pulled.outcome, pulled.appended)
    assert wecom.count("sync_msg") < 30


def test_many_pages_that_are_known(process: Callable[..., Live], wecom: Scripted) -> None:
    """However many pages bring nothing new: as long as the cursor moves on, they are read."""
    pages = [ok(next_cursor=f"c{number}", has_more=1, msg_list=[message(1)]) for number in range(40)]
    wecom.on("sync_msg", *pages, ok(next_cursor="end", has_more=0, msg_list=[message(2)]))
    (pulled,) = process(FrozenClock.at(NOW)).sync()
    assert ("complete", 41, 2) == (pulled.outcome, pulled.pages, pulled.appended)


def test_one_empty_list(process: Callable[..., Live], wecom: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """A list without an account ends nobody's work; the next one that says the same does."""
    full = ok(account_list=[{"open_kfid": KF, "name": "a", "manage_privilege": True}])
    wecom.on("account/list", full, ok(), full, ok(), ok())
    live = process(accounts=(), pace=Pace(interval=0.05, refresh=0.4))
    live.start()
    assert eventually(lambda: wecom.count("account/list") == 2 and "not listed" in caplog.text)
    before = wecom.count("sync_msg")
    assert eventually(lambda: wecom.count("sync_msg") > before + 1, 0.35)
    assert eventually(lambda: wecom.count("account/list") == 4)
    assert "no longer" not in caplog.text
    assert eventually(lambda: not live._loop.workers)
    assert "account wk_a is no longer listed" in caplog.text
    assert 5 <= wecom.count("account/list")


def running() -> list[str]:
    """Return the names of what runs beside."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("kfstate-"))


def test_start_while_a_stop_waits(process: Callable[..., Live], wecom: Scripted) -> None:
    """What did not end with a stop ends as soon as it can, whoever has started again meanwhile."""
    gate = threading.Event()
    full = ok(account_list=[{"open_kfid": KF, "name": "a", "manage_privilege": True}])

    def slow(_: httpx2.Request) -> httpx2.Response:
        gate.wait(20)
        return full

    wecom.on("account/list", slow, full)
    live = process(accounts=(), pace=Pace(interval=5, refresh=0.2, grace=0.1))
    swept = threading.Event()

    def hang() -> None:
        swept.set()
        gate.wait(20)

    timer = live.timers.beats[0]
    timer.interval, timer.act = 0.01, hang
    live.start()
    assert eventually(lambda: wecom.count("account/list") == 1 and swept.is_set())
    live.timers.halt()
    live.timers.stop(0.1)
    live.stop()
    live.start()
    gate.set()
    timer.act = int
    assert eventually(lambda: live._loop.workers)
    assert eventually(lambda: running() == [
        "kfstate-accounts", "kfstate-reconcile", "kfstate-sync-wk_a", "kfstate-timers",
    ])  # fmt: skip
    live.stop()
    assert [] == running()


def test_stop_when_told_of_a_pull(process: Callable[..., Live]) -> None:
    """on_pulled may stop the live side that tells it."""
    told: list[str] = []

    def stop(pulled: Pulled) -> None:
        live.stop()
        told.append(pulled.outcome)

    live = process(pace=Pace(interval=0.05, grace=1), on_pulled=stop)
    live.start()
    assert eventually(lambda: told == ["complete"])
    assert eventually(lambda: running() == [])


def test_whatever_goes_wrong_with_accounts(
    process: Callable[..., Live], wecom: Scripted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of no kind that is known is logged, and accounts are read again."""
    errors = [RuntimeError("what is this")]

    def fails(site: Site) -> tuple[KfAccount, ...]:
        if errors:
            raise errors.pop()
        return read_accounts(site)

    monkeypatch.setattr(loop, "read_accounts", fails)
    live = process(accounts=())
    live.start()
    assert eventually(lambda: live._loop.workers, 5)
    assert "what is this" in caplog.text
    assert wecom.count("account/list") == 1


def test_a_dead_cursor_without_callbacks(process: Callable[..., Live], wecom: Scripted) -> None:
    """After a day in which nothing came and nobody called, all is read again, once a day: the cursor may be dead."""
    clock = FrozenClock.at(NOW)

    def page(request: httpx2.Request) -> httpx2.Response:
        dead = b'"cursor":"old"' in request.content
        return ok(next_cursor="old", has_more=0, msg_list=[] if dead else [message(2, NOW + 60)])

    wecom.on("sync_msg", ok(next_cursor="old", has_more=0, msg_list=[message(1)]), page)
    live = process(clock, pace=Pace(interval=0.05))
    live.start()

    def kinds() -> int:
        return [entry.kind for entry in live.engine.read_all()].count("customer_message")

    def rests() -> int:
        before = wecom.count("sync_msg")
        clock.advance(1)
        assert eventually(lambda: wecom.count("sync_msg") > before)
        return sum(b'"cursor"' not in request.content for request in wecom.requests if "sync_msg" in str(request.url))

    assert eventually(lambda: kinds() == 1)
    clock.advance(80_000)
    assert 1 == rests()
    clock.advance(7_000)
    assert eventually(lambda: kinds() == 2)
    assert 2 == rests()
    clock.advance(80_000)
    assert 2 == rests()
