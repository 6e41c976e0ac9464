"""Over a real socket: what was not sent, what may have arrived, what is too much, and that httpx2 says nothing."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from kfstate.errors import KfstateError, ReplyError, ReplyLostError, UnreachableError
from kfstate.wecom.client import Client
from kfstate.wecom.http import HttpTransport, Timeouts
from kfstate.wecom.retrying import Retries
from kfstate.wecom.secret import Secret
from tests.wecom.scripted import CORP, SECRET, TOKEN
from tests.wecom.serving import Served, serve

__all__: list[str] = []

GIVEN = f'{{"errcode":0,"access_token":"{TOKEN}","expires_in":7200}}'.encode()
ONCE = Retries(repeats=0)


@contextmanager
def talking(answer: Served, **options: object) -> Iterator[Client]:
    """Give a client that talks with a server of this answer, once it has a token."""

    def answered(path: str, query: dict[str, str], body: bytes) -> tuple[int, bytes] | None:
        return (200, GIVEN) if path.endswith("gettoken") else answer(path, query, body)

    with serve(answered) as port:
        transport = HttpTransport(f"http://127.0.0.1:{port}/", **options)  # type: ignore[arg-type]
        with Client(CORP, SECRET, transport=transport, retries=ONCE) as client:
            yield client


def test_a_call() -> None:
    """A call goes out as the documents have it, and its answer comes in."""
    seen: list[tuple[str, dict[str, str], bytes]] = []

    def answer(*request: object) -> tuple[int, bytes]:
        seen.append(request)  # type: ignore[arg-type]
        return 200, b'{"errcode":0,"service_state":3,"servicer_userid":"zhang"}'

    with talking(answer) as client:
        assert "zhang" == client.get_state("wk1", "wm1").servicer_userid
        assert client.skew is not None
    assert [
        ("/cgi-bin/kf/service_state/get", {"access_token": TOKEN}, b'{"open_kfid":"wk1","external_userid":"wm1"}')
    ] == seen  # fmt: skip


def closed_port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:{port}", "http://nowhere.invalid", "ftp://x", "http://[", "x"])
def test_nobody_there(base_url: str) -> None:
    """Where there is no connection, nothing was carried out, and the error says why."""
    base_url = base_url.format(port=closed_port())
    with Client(CORP, SECRET, base_url=base_url, retries=ONCE) as client, pytest.raises(UnreachableError) as caught:
        client.trans_state("wk1", "wm1", 2)
    assert "gettoken" == caught.value.call


def test_hung_up() -> None:
    """A server that takes the request and closes the connection may have carried it out."""
    with talking(lambda *_: None) as client:
        with pytest.raises(ReplyLostError, match=r"service_state/trans may have been carried out.*RemoteProtocolError"):
            client.trans_state("wk1", "wm1", 2)
        with pytest.raises(UnreachableError):
            client.get_state("wk1", "wm1")


def test_silence() -> None:
    """So may one that says nothing any more."""
    over = threading.Event()

    def answer(*_: object) -> None:
        over.wait(20)

    with talking(answer, timeouts=Timeouts(silence=0.2)) as client:
        with pytest.raises(ReplyLostError, match="ReadTimeout"):
            client.send_msg("wk1", "wm1", {"msgtype": "text", "text": {"content": "a"}})
        over.set()


def test_a_huge_answer() -> None:
    """An answer that does not end is given up; to a change, that is a lost reply."""
    with talking(lambda *_: (200, b'{"errcode":0}' + b" " * 300_000), max_body=200_000) as client:
        with pytest.raises(UnreachableError, match="more than 200000 bytes"):
            client.get_state("wk1", "wm1")
        with pytest.raises(ReplyLostError, match="more than 200000 bytes"):
            client.trans_state("wk1", "wm1", 2)


def drip(listener: socket.socket) -> None:
    """Send an answer byte by byte for ever, each soon enough."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while True:
                connection.sendall(b" ")
                time.sleep(0.02)
        except OSError:
            return


def test_a_slow_answer() -> None:
    """An answer that comes byte by byte is given up when its time is over."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        beside = threading.Thread(target=drip, args=(listener,))
        beside.start()
        transport = HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}", timeouts=Timeouts(body=0.2))
        with pytest.raises(ReplyLostError, match=r"takes more than 0\.2 seconds"):
            transport.send("GET", "/cgi-bin/gettoken", {}, None)
        transport.close()
        beside.join()


def test_redirects_are_not_followed() -> None:
    """A token is never carried elsewhere, even where the embedder's client follows redirects."""
    asked: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        return httpx2.Response(307, headers={"location": "https://elsewhere.example/"})

    theirs = httpx2.Client(transport=httpx2.MockTransport(handler), follow_redirects=True)
    transport = HttpTransport(client=theirs)
    with Client(CORP, SECRET, transport=transport, retries=ONCE) as client, pytest.raises(ReplyError) as caught:
        client.accounts()
    assert (["qyapi.weixin.qq.com"], 307) == (asked, caught.value.status)
    assert not theirs.is_closed
    theirs.close()


def test_httpx2_logs_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """httpx2 logs every URL, and httpcore2 every step; the secrets are in none of it."""
    caplog.set_level(logging.DEBUG)
    with talking(lambda *_: (200, b'{"errcode":0,"service_state":0}')) as client:
        client.get_state("wk1", "wm1")
    logged = "\n".join(f"{record.getMessage()} {vars(record)!r}" for record in caplog.records)
    assert "/cgi-bin/kf/service_state/get?***" in logged
    assert SECRET not in logged
    assert TOKEN not in logged


def test_requests_show_no_secret() -> None:
    """Hooks of the embedder's client that print the request print no secret; what is sent has it."""
    printed: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        printed.append(f"{request!r} {request.url} {request.url!r} {request.headers}")
        assert SECRET == request.url.params["corpsecret"]
        assert SECRET in request.url.raw_path.decode()
        return httpx2.Response(500)

    transport = HttpTransport(client=httpx2.Client(transport=httpx2.MockTransport(handler)))
    transport.send("GET", "/cgi-bin/gettoken", {"corpsecret": Secret(SECRET)}, None)
    assert printed
    assert SECRET not in printed[0]


@pytest.mark.parametrize(
    "junk", [b"", b"\x00" * 100, b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0\r\n", b"HTTP/9 999 x\r\n\r\n"]
)
def test_junk(junk: bytes) -> None:
    """What is no HTTP is an error of ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(junk)

        beside = threading.Thread(target=answer)
        beside.start()
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(CORP, SECRET, base_url=base_url, retries=ONCE) as client, pytest.raises(KfstateError):
            client.accounts()
        beside.join()
