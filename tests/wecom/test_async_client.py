"""AsyncClient against Client: the same calls, the same answers, on an event loop that goes on meanwhile."""

import asyncio
import inspect
from collections.abc import Coroutine
from typing import Any, get_type_hints

import httpx2
import pytest

from kfstate.aio.greenlets import inside
from kfstate.errors import ReplyLostError, WecomError
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.testing import FrozenClock
from kfstate.wecom.async_client import AsyncClient
from kfstate.wecom.client import Client
from kfstate.wecom.http import AsyncHttpTransport
from kfstate.wecom.retrying import Retries
from kfstate.wecom.secret import Secret
from kfstate.wecom.transport import Answer, AwaitedTransport, Params
from tests.wecom.scripted import CORP, NOW, SECRET, Scripted, ok, refused
from tests.wecom.serving import serve
from tests.wecom.test_http import GIVEN

__all__: list[str] = []

FAST = Retries(first=0.001, longest=0.001, jitter=0.0)


class Through:
    """Carries requests into httpx2's client for asyncio, as an embedder's own transport would."""

    def __init__(self, handler: Scripted) -> None:
        self._inner = AsyncHttpTransport(client=httpx2.AsyncClient(transport=httpx2.MockTransport(handler)))

    async def send(self, method: str, path: str, params: Params, body: bytes | None) -> Answer:
        """Send."""
        await asyncio.sleep(0)
        return await inside(self._inner.send, method, path, params, body)

    async def close(self) -> None:
        """Close."""


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on a loop of its own."""
    return asyncio.run(work)


def test_the_same_methods() -> None:
    """Every method of the one is there on the other, with the same arguments and the same result, to be awaited."""
    names = {name for name in vars(Client) if not name.startswith("_")}
    assert names | {"corp_id"} == {name for name in vars(AsyncClient) if not name.startswith("_")}
    for name in names - {"skew"}:
        ours, theirs = getattr(Client, name), getattr(AsyncClient, name)
        assert inspect.signature(ours).parameters.keys() == inspect.signature(theirs).parameters.keys(), name
        assert get_type_hints(ours) == get_type_hints(theirs), name
        assert inspect.iscoroutinefunction(theirs) is (name != "stopped"), name
    ours, theirs = inspect.signature(Client).parameters.keys(), inspect.signature(AsyncClient).parameters.keys()
    assert ours - {"concurrency"} == set(theirs)


def test_calls() -> None:
    """Calls, refusals, retries and lost replies are those of the client."""
    wecom = Scripted()
    wecom.on("service_state/get", refused(-1), refused(42001), ok(service_state=3, servicer_userid="zhang"))
    wecom.on("service_state/trans", httpx2.ReadTimeout(""))
    wecom.on("account/list", refused(48002))

    async def story() -> None:
        transport = Through(wecom)
        clock = FrozenClock.at(NOW)
        async with AsyncClient(CORP, SECRET, transport=transport, clock=clock, retries=FAST) as client:
            assert "zhang" == (await client.get_state("wk1", "wm1")).servicer_userid
            with pytest.raises(ReplyLostError):
                await client.trans_state("wk1", "wm1", 2)
            with pytest.raises(WecomError):
                await client.accounts()
            assert {} == client.stopped()
            assert client.skew is not None
            assert SECRET not in repr(client)

    run(story())
    assert 1 == wecom.count("service_state/trans")


def test_many_tasks_one_token() -> None:
    """Many tasks that ask at once make one call for the token, over real HTTP."""
    tokens: list[int] = []

    def answer(path: str, *_: object) -> tuple[int, bytes]:
        if path.endswith("gettoken"):
            tokens.append(1)
            return 200, GIVEN
        return 200, b'{"errcode":0,"service_state":0}'

    async def story(port: int) -> None:
        async with AsyncClient(CORP, SECRET, base_url=f"http://127.0.0.1:{port}") as client:
            await asyncio.gather(*(client.get_state("wk1", f"wm{number}") for number in range(20)))

    with serve(answer) as port:
        run(story(port))
    assert [1] == tokens


def test_the_loop_goes_on_while_a_call_waits() -> None:
    """A pause before another try stops nobody else, and a call can be cancelled in it."""
    wecom = Scripted()
    slow = Retries(first=60, longest=60)

    async def story() -> None:
        called = asyncio.Event()

        def busy(_: httpx2.Request) -> httpx2.Response:
            called.set()
            return refused(-1)

        wecom.on("service_state/get", busy)
        async with AsyncClient(CORP, SECRET, transport=Through(wecom), retries=slow) as client:
            call = asyncio.create_task(client.get_state("wk1", "wm1"))
            await called.wait()
            await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    run(asyncio.wait_for(story(), 10))


def test_a_cancelled_fetch_is_taken_over() -> None:
    """Where the task that fetches the token is cancelled, one of those who wait fetches it."""
    wecom = Scripted()
    wecom.on("service_state/get", ok(service_state=0))

    async def story() -> None:
        asked = asyncio.Event()

        class Host(Through):
            async def send(self, method: str, path: str, params: Params, body: bytes | None) -> Answer:
                if path.endswith("gettoken") and not asked.is_set():
                    asked.set()
                    await asyncio.sleep(60)
                return await super().send(method, path, params, body)

        async with AsyncClient(CORP, SECRET, transport=Host(wecom)) as client:
            first = asyncio.create_task(client.get_state("wk1", "wm1"))
            await asked.wait()
            second = asyncio.create_task(client.get_state("wk1", "wm2"))
            await asyncio.sleep(0.01)
            first.cancel()
            assert (await second).ok

    run(asyncio.wait_for(story(), 10))
    assert 1 == wecom.count("gettoken")


def test_a_source_of_ones_own() -> None:
    """A token service of the host is awaited."""
    asked: list[Secret | None] = []

    class Host:
        async def get(self, refused: Secret | None = None) -> Secret:
            await asyncio.sleep(0)
            asked.append(refused)
            return Secret(f"theirs{len(asked)}")

    wecom = Scripted()
    wecom.on("service_state/get", refused(42001), ok(service_state=0))

    async def story() -> None:
        async with AsyncClient(CORP, transport=Through(wecom), tokens=Host()) as client:
            await client.get_state("wk1", "wm1")

    run(story())
    assert [None, Secret("theirs1")] == asked


def test_shared_through_the_database(url: str) -> None:
    """Two clients on one loop share one token through asyncio's drivers."""
    wecom = Scripted()
    wecom.on("service_state/get", ok(service_state=0))

    async def story() -> None:
        database = await inside(lambda: Database(url, asynchronous=True))
        clients = [AsyncClient(CORP, SECRET, transport=Through(wecom), database=database) for _ in range(2)]
        await asyncio.gather(*(client.get_state("wk1", "wm1") for client in clients for _ in range(5)))
        await inside(lambda: counted(database))
        for client in clients:
            await client.close()
        await inside(database.close)

    def counted(database: Database) -> None:
        with database.reading() as conn:
            assert [(1,)] == query(conn, "SELECT COUNT(*) FROM kf_token")

    run(story())
    assert 1 == wecom.count("gettoken")


def test_awaited_transport_closes() -> None:
    """Closing waits for the embedder's transport."""
    closed: list[int] = []

    class Host(Through):
        async def close(self) -> None:
            closed.append(1)

    async def story() -> None:
        await inside(AwaitedTransport(Host(Scripted())).close)

    run(story())
    assert [1] == closed
