"""The callback's URL over ASGI and HTTP: what is answered, how fast, and who is told."""

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from kfstate.testing import FrozenClock
from kfstate.wecom import CallbackApp, Notice
from kfstate.wecom.crypto import AesKey
from tests.wecom.calling import CORP, NOW, SECRETS, Mail, ask, callback, event, post, sealed

__all__: list[str] = []


def test_post_is_answered_empty() -> None:
    """200 with nothing in it; who waits is told."""
    mail = Mail()
    answer = post(CallbackApp(callback(), mail), sealed(event()), {"content-type": "text/xml; charset=utf-8"})
    assert (200, b"", "0") == (answer.status, answer.body, answer.headers["content-length"])
    assert ["wk_shop"] == [notice.open_kfid for notice in mail.notices]


def test_check_is_answered_plainly() -> None:
    """The decrypted text, no quotes, no mark, no line break."""
    envelope = sealed(b"1616140317555161061")
    answer = ask(CallbackApp(callback(), Mail()), "GET", envelope.query | {"echostr": envelope.encrypt})
    assert answer is not None
    assert (200, b"1616140317555161061", "text/plain") == (answer.status, answer.body, answer.headers["content-type"])


def test_again_is_answered_and_told_once() -> None:
    """WeCom's retries, and a replay of what is old, are answered 200 and wake nobody again."""
    mail = Mail()
    app = CallbackApp(callback(), mail)
    fresh = sealed(event())
    old = [sealed(event(), at=NOW - 4000 - i) for i in range(5)]
    assert [200] * 8 == [post(app, one).status for one in (fresh, fresh, fresh, *old)]
    assert [False, True] == [notice.stale for notice in mail.notices]


def test_other_events_are_answered_and_not_told() -> None:
    """They are none of ours."""
    mail = Mail()
    assert 200 == post(CallbackApp(callback(), mail), sealed(event("change_contact"))).status
    assert [] == mail.notices


SIGNED = sealed(event())
BODY = SIGNED.body(to_user_name=CORP)
XML = {"content-type": "text/xml"}
ANSWERS: dict[str, tuple[int, str, Any, list[bytes | None], dict[str, str]]] = {
    "other method": (405, "PUT", SIGNED.query, [BODY], XML),
    "head": (405, "HEAD", SIGNED.query, [], {}),
    "no query": (400, "POST", b"", [BODY], XML),
    "check without text": (400, "GET", SIGNED.query, [], {}),
    "said twice": (400, "POST", b"nonce=1&nonce=2", [BODY], XML),
    "too many fields": (400, "POST", b"&".join(b"a%d=1" % i for i in range(30)), [BODY], XML),
    "odd query": (400, "POST", b"\xff\x00%ff%&&=&msg_signature=%00", [BODY], XML),
    "JSON": (415, "POST", SIGNED.query, [BODY], {"content-type": "application/json"}),
    "form": (415, "POST", SIGNED.query, [BODY], {"content-type": "application/x-www-form-urlencoded"}),
    "too long": (413, "POST", SIGNED.query, [None], XML | {"content-length": "65537"}),
    "far too long": (413, "POST", SIGNED.query, [None], {"content-length": "9" * 5000}),
    "never ending": (413, "POST", SIGNED.query, [b"<xml>" + b" " * 9_000] * 10_000, XML),
    "never coming": (408, "POST", SIGNED.query, [BODY[:10], None], XML),
    "broken": (400, "POST", SIGNED.query, [BODY[:-3]], XML),
    "unsigned": (403, "POST", SIGNED.query | {"nonce": "x"}, [BODY], XML),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_refusals(case: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each has its status and a phrase, and nothing else; nobody is told."""
    caplog.set_level(logging.DEBUG)
    status, method, query, chunks, headers = ANSWERS[case]
    mail = Mail()
    answer = ask(CallbackApp(callback(), mail, body_timeout=0.05), method, query, chunks, headers)
    assert answer is not None
    assert status == answer.status
    assert len(answer.body) < 40
    assert (status == 405) is ("allow" in answer.headers)
    assert [] == mail.notices
    assert "callback refused" in caplog.text
    assert [] == [secret for secret in SECRETS if secret in caplog.text]


@pytest.mark.parametrize(
    "headers",
    [{}, XML, {"content-type": "application/xml"}, {"Content-Type": "TEXT/XML;charset=GBK"}, {"content-length": "x"},
     {"content-type": "application/soap+xml"}, {"content-type": "text/plain"}],
)  # fmt: skip
def test_harmless_headers(headers: dict[str, str]) -> None:
    """What a proxy may make of the header is taken."""
    assert 200 == post(CallbackApp(callback(), Mail()), sealed(event()), headers).status


def test_queries_that_say_too_much() -> None:
    """A genuine query with a field twice, or with dozens of others, is refused: others may read it otherwise."""
    query = urlencode(SIGNED.query).encode()
    assert [200, 400, 400] == [
        found.status
        for more in (b"&agent=1", b"&nonce=1372623149", b"".join(b"&a%d=1" % i for i in range(30)))
        if (found := ask(CallbackApp(callback(), Mail()), "POST", query + more, [BODY], XML))
    ]


def test_the_body_is_waited_for_that_long(caplog: pytest.LogCaptureFixture) -> None:
    """Not a second longer: a stranger does not hold our memory."""
    caplog.set_level(logging.INFO)
    begin = time.monotonic()
    ask(CallbackApp(callback(), Mail(), body_timeout=0.01), "POST", SIGNED.query, [BODY[:10], None], XML)
    assert time.monotonic() - begin < 20
    assert "(slow)" in caplog.text


def test_one_path_only() -> None:
    """Where a path is given, the others are not there."""
    found = [post(CallbackApp(callback(), Mail(), path=path), SIGNED).status for path in (None, "/", "/kf")]
    assert [200, 200, 404] == found


def test_body_in_pieces() -> None:
    """Byte by byte is as good; a client that goes away gets no answer."""
    mail = Mail()
    app = CallbackApp(callback(), mail)
    answer = ask(app, "POST", SIGNED.query, [BODY[i : i + 1] for i in range(len(BODY))], XML)
    assert answer is not None
    assert (200, 1) == (answer.status, len(mail.notices))
    assert ask(app, "POST", SIGNED.query, [BODY[:50], b"gone"], XML) is None


def test_wrong_key_and_wrong_token_look_the_same() -> None:
    """Neither the answer nor its headers say what was wrong."""
    app = CallbackApp(callback(), Mail())
    wrong: list[dict[str, Any]] = [{"token": "x"}, {"key": AesKey("A" * 43)}, {"receive_id": "ww0"}]
    answers = [post(app, sealed(event(), **other)) for other in wrong] + [post(app, sealed(b"<xml>"))]
    assert [answers[0]] * 4 == answers


def test_whoever_is_told_fails(caplog: pytest.LogCaptureFixture) -> None:
    """The answer has gone out; the failure is logged, without secrets."""

    async def failing(_notice: Notice) -> None:
        raise LookupError("no such account")

    assert 200 == post(CallbackApp(callback(), failing), sealed(event())).status
    assert "no such account" in caplog.text
    assert [] == [secret for secret in SECRETS if secret in caplog.text]


def test_every_kind_of_function_is_told() -> None:
    """Functions, coroutine functions, and what only looks like one of them."""
    told: list[str] = []

    def plain(notice: Notice, more: str = "plain") -> None:
        told.append(f"{more} {notice.open_kfid} {threading.current_thread() is threading.main_thread()}")

    async def waits(notice: Notice) -> None:
        await asyncio.sleep(0)
        plain(notice, "waits")

    def gives(notice: Notice) -> object:
        return waits(notice)

    class Sheep:
        async def __call__(self, notice: Notice) -> None:
            plain(notice, "sheep")

    functions: list[Any] = [plain, functools.partial(plain, more="part"), waits, Sheep(), gives]
    for function in functions:
        assert 200 == post(CallbackApp(callback(), function), sealed(event())).status
    beside, here = "wk_shop False", "wk_shop True"
    assert [f"plain {beside}", f"part {beside}", f"waits {here}", f"sheep {here}", f"waits {here}"] == told


@pytest.mark.parametrize("sync", [True, False])
def test_a_slow_one_does_not_delay_the_answer(*, sync: bool) -> None:
    """The answer goes out before anybody is told, and others are answered meanwhile; a cancelled request tells, too."""
    answered: list[int] = []
    told: list[Notice] = []
    release = threading.Event()

    def slow(notice: Notice) -> None:
        assert answered
        release.wait(10)
        told.append(notice)

    async def slow_async(notice: Notice) -> None:
        await asyncio.to_thread(slow, notice)

    app = CallbackApp(callback(), slow if sync else slow_async)

    async def request(number: int, done: asyncio.Event) -> None:
        envelope = sealed(event(), nonce=str(number))
        messages = [{"type": "http.request", "body": envelope.body(to_user_name=CORP)}]
        query = urlencode(envelope.query).encode()

        async def receive() -> Any:
            return messages.pop()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                answered.append(number)
                done.set()

        await app({"type": "http", "path": "/", "method": "POST", "query_string": query, "headers": []}, receive, send)

    async def both() -> None:
        events = [asyncio.Event(), asyncio.Event()]
        tasks = [asyncio.create_task(request(number, done)) for number, done in enumerate(events)]
        async with asyncio.timeout(10):
            for done in events:
                await done.wait()
        assert [] == told
        tasks[0].cancel()
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*app._telling)

    asyncio.run(both())
    assert 2 == len(told)


def test_lifespan_and_websocket() -> None:
    """The server may start and stop it; a web socket is closed."""
    app = CallbackApp(callback(), Mail())
    sent: list[Any] = []

    async def run(kind: str, messages: list[dict[str, str]]) -> None:
        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": kind}, receive, send)

    asyncio.run(run("lifespan", [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]))
    asyncio.run(run("websocket", []))
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"] == sent


@pytest.fixture
def served() -> Iterator[tuple[str, Mail]]:
    """Serve the application with uvicorn; return its URL and whoever is told."""
    import uvicorn

    mail = Mail()
    app: Any = CallbackApp(callback(FrozenClock.at(NOW)), mail)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/any/path", mail
    server.should_exit = True
    thread.join()


def test_under_uvicorn(served: tuple[str, Mail]) -> None:
    """Over real HTTP: check, callback, retry on the same connection, a body without a length, one that is too long."""
    import httpx2

    url, mail = served
    envelope = sealed(event())
    body = envelope.body(to_user_name=CORP)
    echo = sealed(b"42")
    with httpx2.Client(params=envelope.query) as client:
        assert b"42" == client.get(url, params=echo.query | {"echostr": echo.encrypt}).content
        for content in (body, body, iter([body[:9], body[9:]])):
            assert (200, b"") == ((answer := client.post(url, content=content)).status_code, answer.content)
        assert 413 == client.post(url, content=b"x" * 70_000).status_code
        assert 405 == client.delete(url).status_code
        assert b"" == client.head(url).content
    assert 1 == len(mail.notices)


def test_mounted_in_starlette() -> None:
    """As a part of another application."""
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.testclient import TestClient

    mail = Mail()
    app = Starlette(routes=[Mount("/wecom", app=CallbackApp(callback(), mail))])
    envelope = sealed(event())
    with TestClient(app) as client:
        answer = client.post("/wecom/", params=envelope.query, content=envelope.body(to_user_name=CORP))
    assert (200, 1) == (answer.status_code, len(mail.notices))


def test_in_fastapi_in_two_lines() -> None:
    """The router stands beside the routes of the service, under a prefix if it likes, and out of its document."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from kfstate.wecom import callback_router

    mail = Mail()
    app = FastAPI()
    app.include_router(callback_router(callback(), mail, path="/kf"), prefix="/hooks")
    envelope, echo = sealed(event()), sealed(b"42")
    with TestClient(app) as client:
        answer = client.post("/hooks/kf", params=envelope.query, content=envelope.body(to_user_name=CORP))
        check = client.get("/hooks/kf", params=echo.query | {"echostr": echo.encrypt})
        assert 405 == client.put("/hooks/kf").status_code
        assert 404 == client.post("/hooks/other").status_code
    assert (200, b"42", 1) == (answer.status_code, check.content, len(mail.notices))
    assert {} == app.openapi()["paths"]
