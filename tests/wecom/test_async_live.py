"""AsyncLive against Live: the same methods; on an event loop that goes on meanwhile."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

import httpx2
import pytest

from kfstate import AsyncEngine, SettingsError
from kfstate.errors import ClosedError
from kfstate.machine.kinds import FROM_WECOM
from kfstate.testing import FakeWecom, FrozenClock, Misbehaviour
from kfstate.wecom import AsyncLive, Callback, Live, Pace, Secret, Settings
from kfstate.wecom.callback import MSG_OR_EVENT, Notice
from tests.wecom.living import AES_KEY, START, TOKEN, World

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite", "pg18")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on a loop of its own."""
    return asyncio.run(work)


async def eventually(done: Callable[[], Coroutine[Any, Any, object]], seconds: float = 20.0) -> bool:
    """Wait until something is so; tell whether it is."""
    try:
        async with asyncio.timeout(seconds):
            while not await done():  # noqa: ASYNC110 (there is nothing to be told by)
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    return True


def test_the_same_methods() -> None:
    """Every method of the one is there on the other, with the same arguments and results."""
    hidden = {"engine", "settings", "client", "site", "timers"}
    names = {name for name, _ in inspect.getmembers(Live) if name[0] != "_"} - hidden
    assert names | {"open"} == {name for name, _ in inspect.getmembers(AsyncLive) if name[0] != "_"} - hidden
    for name in names - {"callback"}:
        ours, theirs = getattr(Live, name), getattr(AsyncLive, name)
        assert str(inspect.signature(ours).parameters) == str(inspect.signature(theirs).parameters), name
        if name != "router":
            assert get_type_hints(ours) == get_type_hints(theirs), name
        assert inspect.iscoroutinefunction(theirs) is (name not in {"app", "notice", "of", "router"}), name
    assert inspect.iscoroutinefunction(AsyncLive._heard), "else callbacks come in a thread, where no task can be woken"
    ours, theirs = inspect.signature(Live).parameters, inspect.signature(AsyncLive).parameters
    assert ours.keys() == theirs.keys()


def opened(url: str, wecom: FakeWecom, clock: FrozenClock, **options: Any) -> tuple[AsyncEngine, AsyncLive]:
    """Return an engine and its live side, neither open."""
    settings = Settings(corp_id=wecom.corp_id, secret=Secret(wecom.secret), api_url=wecom.url)
    callback = Callback(token=Secret(TOKEN), aes_key=AES_KEY, receive_id=wecom.corp_id, clock=clock)
    engine = AsyncEngine(url, clock=clock)
    return engine, AsyncLive(engine, settings, callback=callback, pace=options.pop("pace", Pace(interval=0.3)))


async def bodies(engine: AsyncEngine) -> list[str]:
    """Return what of the log came from WeCom."""
    return [str(entry.payload) async for entry in engine.read_all() if entry.kind in FROM_WECOM]


def test_in_step(url: str) -> None:
    """Accounts are pulled by tasks; a callback through the ASGI application wakes them; the loop answers meanwhile."""

    async def story() -> None:
        clock = FrozenClock.at(START)
        misbehave = Misbehaviour(seed=2, duplicates=0.3, shuffled=0.3, short_pages=0.3, empty_pages=0.2)
        with FakeWecom(clock=clock, misbehave=misbehave) as wecom:
            accounts = [wecom.account(str(number)) for number in range(3)]
            accounts[0].servicer("zhang")
            engine, live = opened(url, wecom, clock, pace=Pace(interval=600, limit=3))
            app = live.app()
            async with engine, live:
                assert 3 == len(await live.accounts())
                assert 1 == len(await live.servicers(accounts[0].open_kfid))
                for account in accounts:
                    wecom.customer().writes(account, "a")
                assert {"complete"} == {pulled.outcome for pulled in await live.sync()}
                await live.start()

                async def synced() -> bool:
                    return len(await live.status()) == 3

                assert await eventually(synced)
                for account in accounts:
                    for _ in range(5):
                        clock.advance(1)
                        wecom.customer().writes(account, "b")
                transport = httpx2.ASGITransport(app=app)
                async with httpx2.AsyncClient(transport=transport, base_url="http://here") as browser:
                    assert 400 == (await browser.post(live.settings.callback.path, content=b"x")).status_code
                for account in accounts:
                    live.notice(Notice(event=MSG_OR_EVENT, open_kfid=account.open_kfid, created_at=clock.now()))
                written = sorted(str(element) for account in accounts for element in account.entries())

                async def whole() -> bool:
                    return sorted(await bodies(engine)) == written

                assert await eventually(whole)
                began = asyncio.get_running_loop().time()
                await live.stop()
                assert asyncio.get_running_loop().time() - began < 1
                assert {"complete"} == {pulled.outcome for pulled in await live.sync()}
                assert "complete" == (await live.reconcile(everything=True)).outcome
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run(story())


def test_real_callbacks(url: str) -> None:
    """Encrypted callbacks over HTTP, taken on the loop, wake the tasks there."""
    import socket

    import uvicorn

    async def story() -> None:
        clock = FrozenClock.at(START)
        with FakeWecom(clock=clock) as wecom:
            account = wecom.account("售后")
            engine, live = opened(url, wecom, clock, pace=Pace(interval=600))
            listening = socket.socket()
            listening.bind(("127.0.0.1", 0))
            config = uvicorn.Config(live.app(), log_config=None, access_log=False, lifespan="on")
            server = uvicorn.Server(config)
            where = f"http://127.0.0.1:{listening.getsockname()[1]}{live.settings.callback.path}"
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            async with engine, live:
                await live.start()

                async def synced() -> bool:
                    return len(await live.status()) == 1

                assert await eventually(synced)
                await asyncio.to_thread(wecom.callback, where, token=TOKEN, aes_key=AES_KEY, check=True)
                wecom.customer().writes(account, "你好")

                async def whole() -> bool:
                    return len(await bodies(engine)) == 1

                assert await eventually(whole)
            server.should_exit = True
            await serving
            listening.close()
            await asyncio.to_thread(wecom.wait_for_callbacks)

    run(story())


def test_changes_and_sends(url: str) -> None:
    """States are changed, messages sent and sessions assigned from the loop; a known key makes no call."""

    async def story() -> None:
        clock = FrozenClock.at(START)
        with FakeWecom(clock=clock) as wecom:
            account, customer = wecom.account("售后"), wecom.customer()
            account.servicer("zhang")
            customer.writes(account, "a")
            engine, live = opened(url, wecom, clock)
            ids = (account.open_kfid, customer.external_userid)
            text = {"msgtype": "text", "text": {"content": "您好"}}
            async with engine, live:
                await live.sync()
                await live.servicers(account.open_kfid)
                sent = await live.send(*ids, text, key="s")
                assert sent.msgid == (await live.send(*ids, text, key="s")).msgid
                changed = await live.change_state(*ids, 2, key="c")
                assert changed.position == (await live.change_state(*ids, 2, key="c")).position
                assert ["zhang"] == [one.servicer_userid for one in (await live.candidates(ids[0])).servicers]
                assert "zhang" == (await live.assign(*ids, key="a")).servicer_userid
                assert (3, "zhang") == tuple(account.state(customer))
                assert [] == await live.settle()
                assert 3 == (await engine.state(*ids)).service_state
                assert 0 == (await live.tick()).expired
                assert () == (await live.reconcile(readings=5)).failed
        changes = [call.name for call in wecom.calls if call.name in {"service_state/trans", "send_msg"}]
        assert ["send_msg", "service_state/trans", "service_state/trans"] == changes

    run(story())


def test_with_its_own_engine(url: str) -> None:
    """The database of the settings is opened and closed with the live side."""

    async def story(settings: Settings, clock: FrozenClock) -> None:
        live = AsyncLive.of(settings, clock=clock, pace=Pace(interval=600))
        async with live:
            assert {"complete"} == {pulled.outcome for pulled in await live.sync()}
            assert 1 == len([view async for view in live.engine.conversations()])
        with pytest.raises((ClosedError, RuntimeError)):
            await live.engine.queue()

    clock = FrozenClock.at(START)
    with FakeWecom(clock=clock) as wecom:
        wecom.customer().writes(wecom.account("售后"))
        settings = Settings(corp_id=wecom.corp_id, secret=wecom.secret, api_url=wecom.url, db=url)
        with Live.of(settings, clock=clock) as live:
            live.sync()
            assert 1 == len(list(live.engine.conversations()))
        with pytest.raises(ClosedError):
            live.engine.ingest([])
        run(story(settings, clock))
    with pytest.raises(SettingsError):
        Live.of(Settings(db=url))
    with pytest.raises(SettingsError):
        AsyncLive.of(Settings(db=url))


def test_cancelled(url: str) -> None:
    """A pull that is cancelled gives the account back; what it stored stays, and the next one goes on."""

    async def story() -> None:
        clock = FrozenClock.at(START)
        with FakeWecom(clock=clock) as wecom:
            account = wecom.account("售后")
            for _ in range(5):
                wecom.customer().writes(account, "a")
            engine, live = opened(url, wecom, clock, pace=Pace(limit=1))
            async with engine, live:
                await live.accounts()
                wecom.fail_next("sync_msg", "hung")
                pulling = asyncio.create_task(live.sync())
                await asyncio.sleep(0.3)
                pulling.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await pulling

                async def free() -> bool:
                    return [""] == [status.pulled_by for status in await live.status()]

                assert await eventually(free)
                assert {"complete"} == {pulled.outcome for pulled in await live.sync()}
                assert 5 == len(await bodies(engine))

    run(story())


def test_not_open(url: str) -> None:
    """Before it is open, a callback wakes nobody, and everything else says so."""
    world = World.make(url, FrozenClock.at(START))

    async def story() -> None:
        _, live = opened(url, world.wecom, world.clock)
        live.notice(Notice(event=MSG_OR_EVENT))
        with pytest.raises(RuntimeError, match="not open"):
            await live.start()
        await live.close()

    run(story())
    world.close()
