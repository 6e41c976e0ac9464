"""The port: connections that are kept, the time of the world in each answer, many at once, a clean end."""

import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime

import httpx2
import pytest

from kfstate.testing import FakeWecom, FrozenClock, ImpossibleActError, Misbehaviour
from kfstate.testing.fake import Change, rules
from tests.fake.api import START, Api, Shop

__all__: list[str] = []


def _no_more_threads_than(count: int) -> bool:
    """Tell whether threads have ended; one that closed its connection needs a moment more."""
    for _ in range(200):
        if threading.active_count() <= count:
            return True
        threading.Event().wait(0.01)
    return False


def test_connections_are_kept(shop: Shop) -> None:
    """Many calls go over one connection."""
    shop.api.gettoken()
    ports = set()
    for _ in range(5):
        with shop.api.http.stream("GET", "gettoken") as response:
            response.read()
            ports.add(response.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(ports) == 1
    assert response.http_version == "HTTP/1.1"


def test_date_is_that_of_the_world(shop: Shop) -> None:
    """The `Date` of an answer is the time of the server's clock."""
    shop.clock.advance(100)
    date = shop.api.http.get("gettoken").headers["date"]
    assert parsedate_to_datetime(date).timestamp() == START + 100


def test_end_hangs_up(clock: FrozenClock) -> None:
    """The end closes connections that wait, and frees the port; whoever comes later is refused."""
    before = threading.active_count()
    wecom = FakeWecom(clock=clock).start()
    api = Api(wecom)
    api.gettoken()
    wecom.close()
    with pytest.raises(httpx2.HTTPError):
        api.http.get("gettoken")
    api.close()
    assert _no_more_threads_than(before)
    with pytest.raises(RuntimeError):
        _ = wecom.url
    wecom.close()


def test_end_wakes_who_was_hung(clock: FrozenClock) -> None:
    """A call that gets no answer does not hold up the end, nor does its thread outlive it."""
    before = threading.active_count()
    wecom = FakeWecom(clock=clock, misbehave=Misbehaviour(hung=1, hang_seconds=600)).start()
    api = Api(wecom, timeout=30)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(api.gettoken)
        while not wecom.calls:
            wait([waiting], timeout=0.01)
        wecom.close()
        with pytest.raises(httpx2.RemoteProtocolError):
            waiting.result(10)
    api.close()
    assert _no_more_threads_than(before)


def test_a_port_of_ones_own(clock: FrozenClock) -> None:
    """The port can be chosen, and be taken again at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for _ in range(2):
        with FakeWecom(clock=clock, port=port) as wecom:
            assert wecom.url == f"http://127.0.0.1:{port}"
            api = Api(wecom)
            api.gettoken()
            api.close()


def test_errors_of_the_server_are_not_lost(clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in a thread of the server is raised when it is closed."""

    def fail(*_: object) -> None:
        raise LookupError("a defect")

    wecom = FakeWecom(clock=clock).start()
    monkeypatch.setattr("kfstate.testing.fake.server.answer", fail)
    api = Api(wecom)
    with pytest.raises(httpx2.RemoteProtocolError):
        api.gettoken()
    api.close()
    with pytest.raises(LookupError, match="a defect"):
        wecom.close()


def _slowly(function: Callable[..., int]) -> Callable[..., int]:
    """Let other threads in between a decision and what follows from it."""

    def slow(*args: object) -> int:
        result = function(*args)
        threading.Event().wait(0.001)
        return result

    return slow


def test_many_at_once(open_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts and clients in many threads: each session is changed once at a time, and no entry is lost."""
    shop = open_shop()
    monkeypatch.setattr("kfstate.testing.fake.rules.refusal_of_trans", _slowly(rules.refusal_of_trans))
    customers = [shop.wecom.customer() for _ in range(20)]
    shop.api.gettoken()
    won: list[int] = []

    def client(number: int) -> None:
        api = Api(shop.wecom)
        api.token = shop.api.token
        for customer in customers:
            ids = {"open_kfid": shop.account.open_kfid, "external_userid": customer.external_userid}
            reply = api("service_state/trans", **ids, service_state=3, servicer_userid="zhang")
            if reply["errcode"] == 0:
                won.append(number)
        api.close()

    def script() -> None:
        for customer in customers:
            customer.writes(shop.account)
            with contextlib.suppress(ImpossibleActError):
                shop.account.writes(customer, "zhang")
                shop.account.hands_over(customer, "li")

    for customer in customers:
        customer.writes(shop.account)
    with ThreadPoolExecutor(8) as pool:
        for done in [*(pool.submit(client, number) for number in range(4)), *(pool.submit(script) for _ in range(4))]:
            done.result(60)
    _each_follows_the_last(shop.wecom.changes)
    assert len(won) >= len(customers)
    api_changes = [change for change in shop.wecom.changes if change.by == "api"]
    assert len(api_changes) == len(won)
    entries = shop.account.entries()
    assert shop.api.entries(shop.account.open_kfid, limit=7) == entries
    assert len({entry["msgid"] for entry in entries}) == len(entries)
    assert [entry["origin"] for entry in entries].count(3) == 5 * len(customers)


def _each_follows_the_last(changes: list[Change]) -> None:
    """Every change of a conversation begins where the one before it ended, and really changes something."""
    last: dict[str, tuple[int, str]] = {}
    for change in changes:
        before = last.get(change.external_userid, (4, ""))
        assert before[0] == change.before
        assert before != (change.after, change.servicer)
        last[change.external_userid] = (change.after, change.servicer)


def test_half_a_request(shop: Shop) -> None:
    """A client that goes away in the middle of a request leaves no trace."""
    host, port = shop.wecom.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /cgi-bin/kf/sync_msg HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    shop.writes()
    assert shop.state == 0
