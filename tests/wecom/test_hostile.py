"""Ten thousand requests of strangers: none is let in, none breaks anything, none makes us tell a secret."""

import asyncio
import base64
import logging
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from wechatpy.work.crypto import WeChatCrypto  # type: ignore[import-untyped]

from kfstate import CallbackError, SettingsError
from kfstate.testing import FrozenClock
from kfstate.wecom import CallbackApp, Settings
from kfstate.wecom.crypto import AesKey, signature
from tests.wecom.calling import CORP, KEY, NOW, SECRETS, TOKEN, callback, event, sealed, told

__all__: list[str] = []

MOST = {"dev": 500, "ci": 5_000}.get(os.environ.get("KFSTATE_HYPOTHESIS", "dev"), 10_000)
"""Requests; there are half as many signed messages, and changed ciphertexts: 10,000 together."""
MANY = settings(max_examples=MOST, suppress_health_check=list(HealthCheck))
STATUSES = {200, 400, 403, 405, 408, 413, 415}

GENUINE = sealed(event())
BODY = GENUINE.body(to_user_name=CORP)
OTHERS = [
    sealed(event(), token=KEY),
    sealed(event(), receive_id="ww0"),
    sealed(event(), key=AesKey("B" * 43)),
    sealed(event("change_contact")),
    sealed(b"<xml>"),
    sealed(b'<!DOCTYPE x [<!ENTITY e "x">]><x>&e;</x>'),
    sealed(event(), at=1),
]
PARTS = [
    *(f"<![CDATA[{one.encrypt}]]>".encode() for one in [GENUINE, *OTHERS]),
    *(b"<Encrypt>", b"</Encrypt>", b"<Encrypt/>", b"<xml>", b"</xml>", b"<Encrypt x='&#0;'>", b"<![CDATA[", b"]]>"),
    *(b'<!DOCTYPE xml [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>', b"&c;", b"&#xD800;", b"<?xml version='1.1'?>"),
    *(b'<?xml version="1.0" encoding="unicode_escape"?>', b"<!--", b"-->", b"\x00", b"\xff\xfe"),
    *(b"<a>" * 3000, b" " * 70_000),
]  # fmt: skip

NAMES = st.sampled_from(["msg_signature", "timestamp", "nonce", "echostr", "x"])
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from([v for one in [GENUINE, *OTHERS] for v in (*one.query.values(), one.encrypt)]),
    st.sampled_from([str(NOW), "0", "-1", "9" * 5000, "nan", GENUINE.encrypt[:-1], GENUINE.encrypt + "A"]),
)
TAKEN = st.sampled_from([GENUINE, *OTHERS])


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    """Make a query: a genuine one, one with changes, or anything."""
    if draw(st.booleans()):
        return draw(
            st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda raw: quote_from_bytes(raw).encode()))
        )
    pairs = list(draw(TAKEN).query.items())
    pairs += draw(st.lists(st.tuples(NAMES, VALUES), max_size=2))
    if draw(st.booleans()):
        pairs = list((dict(pairs) | dict(draw(st.lists(st.tuples(NAMES, VALUES), max_size=2)))).items())
    return urlencode(pairs, errors="surrogatepass").encode()


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Make a body: a genuine one cut, flipped or stuffed, one put together from parts, or anything."""
    kind = draw(st.integers(0, 4))
    body = bytearray(draw(TAKEN).body(to_user_name=CORP))
    place = draw(st.integers(0, len(body) - 1))
    if kind == 0:
        return bytes(body)
    if kind == 1:
        return bytes(body[:place])
    if kind == 2:
        body[place] ^= draw(st.integers(1, 255))
        return bytes(body)
    if kind == 3:
        body[place:place] = draw(st.one_of(st.binary(max_size=50), st.sampled_from(PARTS)))
        return bytes(body)
    return b"".join(draw(st.lists(st.one_of(st.sampled_from(PARTS), st.binary(max_size=20)), max_size=8)))


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"content-type", b"Content-Length", b"content-length", b"x"]),
        st.one_of(st.binary(max_size=20), st.sampled_from([b"text/xml", b"application/json", b"5", b"9" * 30, b"-1"])),
    ),
    max_size=2,
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all of them."""
    with asyncio.Runner() as found:
        yield found


async def send_in(app: CallbackApp, request: tuple[str, bytes, bytes, Any], piece: int) -> list[Any]:
    """Send a request in pieces; return what the application sends back."""
    method, query, body, headers = request
    pieces = [body[i : i + piece] for i in range(0, len(body), piece)] or [b""]
    messages = [{"type": "http.request", "body": one, "more_body": True} for one in pieces] + [{"type": "http.request"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/", "method": method, "query_string": query, "headers": headers}
    await app(scope, receive, send)
    return sent


def is_genuine(query: bytes, body: bytes) -> bool:
    """Tell by other means whether a request is one that may be let in: some ciphertext of ours is in it whole."""
    return any(one.msg_signature.encode() in query and one.encrypt.encode() in body for one in (GENUINE, *OTHERS[3:]))


@MANY
@given(
    method=st.sampled_from(["POST", "POST", "POST", "POST", "GET", "HEAD", "PUT", "\x00"]),
    query=queries(),
    body=bodies(),
    headers=HEADERS,
    piece=st.sampled_from([1, 7, 1000, 100_000]),
)
@example(method="POST", query=urlencode(GENUINE.query).encode(), body=BODY, headers=[], piece=1)
def test_requests(
    runner: asyncio.Runner,
    *,
    method: str,
    query: bytes,
    body: bytes,
    headers: list[tuple[bytes, bytes]],
    piece: int,
) -> None:
    """Every request has one small answer; only what was signed, encrypted and meant for us tells anybody."""
    records: list[str] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: records.append(logging.Formatter().format(record))  # type: ignore[method-assign]
    logger = logging.getLogger("kfstate")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    heard: list[Any] = []
    try:
        app = CallbackApp(callback(), heard.append)
        sent = runner.run(send_in(app, (method, query, body, headers), max(piece, len(body) // 200)))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    start, rest = sent
    assert start["status"] in STATUSES
    assert len(rest["body"]) < 100
    accepted = method == "POST" and start["status"] == 200
    assert not accepted or is_genuine(query, body)
    assert accepted or not heard
    assert (start["status"] == 200) is (not records or "refused" not in records[-1])
    seen = repr(sent) + "".join(records) + repr(heard)
    assert [] == [secret for secret in SECRETS if secret in seen]


@settings(MANY, max_examples=MOST // 2)
@given(message=st.one_of(st.binary(max_size=200), st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=9).map(
    lambda text: text.encode("utf-8", "replace"))), max_size=9).map(b"".join)))  # fmt: skip
def test_signed_messages(message: bytes) -> None:
    """Whatever was signed and encrypted for us is read, or refused in the one way."""
    envelope = sealed(message[:60_000])
    receiver = callback()
    try:
        notice = receiver.notice(envelope.query, envelope.body(to_user_name=CORP))
    except CallbackError as error:
        refused: CallbackError | None = error
    else:
        refused = None
        assert not notice.concerns_kf
    if refused is not None:
        assert (403, "message") == (refused.status, refused.reason)
        assert [] == [secret for secret in SECRETS if secret in told(refused)]


@settings(MANY, max_examples=MOST // 2)
@given(place=st.integers(0, 10_000), change=st.integers(1, 255))
def test_changed_ciphertexts(place: int, change: int) -> None:
    """Whoever has the token but not the key learns nothing: wechatpy and we agree on what opens."""
    raw = bytearray(base64.b64decode(GENUINE.encrypt))
    raw[place % len(raw)] ^= change
    ciphertext = base64.b64encode(raw).decode()
    query = GENUINE.query | {"msg_signature": signature(TOKEN, GENUINE.timestamp, GENUINE.nonce, ciphertext)}
    body = f"<xml><Encrypt>{ciphertext}</Encrypt></xml>".encode()
    try:
        callback().notice(query, body)
    except CallbackError as error:
        assert 403 == error.status  # noqa: PT017 (it may also pass)
    else:
        oracle = WeChatCrypto(TOKEN, KEY, CORP)
        parts = (query["msg_signature"], query["timestamp"], query["nonce"])
        assert oracle.decrypt_message({"Encrypt": ciphertext}, *parts)


LINES = [
    *(b'secret = "hunter2"', b'secrt = "hunter2"', b'token = "hunter2', b'token = ["hunter2"]', b'aes_key = "hunter2"'),
    *(b'db = "postgresql://u:hunter2@/x"', b'db = "a://:hunter2@:x/"', b'callback = "hunter2"', b"\xff", b"=", b"\n"),
    *(
        b"[callback]",
        b"[[sync]]",
        b"accounts = [1]",
        b"port = true",
        b"interval = nan",
        b"timeout = 1" + b"0" * 5000,
        b"a.b.c = 1979-05-27",
    ),
]


@settings(MANY, max_examples=max(100, MOST // 10))
@given(text=st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(LINES), max_size=8).map(b"\n".join)))
def test_settings_files(text: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file is read, or refused with an error that names it; a secret in it is shown nowhere."""
    path = tmp_path_factory.getbasetemp() / "hostile.toml"
    path.write_bytes(text)
    try:
        found = Settings.load(path, environment={})
    except SettingsError as error:
        seen = told(error) + str(error) + repr(error)
        named = str(path) in str(error)
    else:
        seen, named = repr(found) + repr(found.shown()), True
    assert named
    assert "hunter2" not in seen


def test_a_frozen_clock_is_enough() -> None:
    """What is genuine stays genuine at any time: only staleness depends on it."""
    for at in (0, NOW, 10 * NOW):
        receiver = callback(FrozenClock.at(at))
        assert receiver.notice(GENUINE.query, BODY).concerns_kf
