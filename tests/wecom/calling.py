"""Requests to a callback's URL, made as WeCom makes them, and sent to an ASGI application without a server."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlencode

import attrs

from kfstate.testing import FrozenClock
from kfstate.wecom import Callback
from kfstate.wecom.crypto import AesKey, Sealed, encrypt

__all__ = [
    "CORP",
    "KEY",
    "NOW",
    "SECRETS",
    "TOKEN",
    "Asked",
    "Mail",
    "ask",
    "callback",
    "event",
    "post",
    "sealed",
    "told",
]

TOKEN = "uYvGpPz8kQ2bT5sWxN3r"  # noqa: S105 (made up)
KEY = "q7Zr1XyB0mJt4KcUe8VhLw2SgAoPd5NfIi9TbYkRx3D"
CORP = "ww1a2b3c4d5e6f7a8b"
PULL_TOKEN = "ENCApHxnGDNAVNY4"  # noqa: S105 (made up)
NOW = 1_760_000_000
SECRETS = (TOKEN, KEY, PULL_TOKEN)


def callback(clock: FrozenClock | None = None) -> Callback:
    """Return a callback at a time that stands still."""
    return Callback(token=TOKEN, aes_key=KEY, receive_id=CORP, clock=clock or FrozenClock.at(NOW))


def event(name: str = "kf_msg_or_event", more: str = "", *, account: str = "wk_shop", at: int = NOW) -> bytes:
    """Return a message as WeCom writes it, before it is encrypted."""
    ids = f"<Token><![CDATA[{PULL_TOKEN}]]></Token><OpenKfId><![CDATA[{account}]]></OpenKfId>" if account else ""
    return (
        f"<xml><ToUserName><![CDATA[{CORP}]]></ToUserName><CreateTime>{at}</CreateTime>"
        f"<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{name}]]></Event>{ids}{more}</xml>"
    ).encode()


def sealed(message: bytes, *, at: object = NOW, nonce: str = "1372623149", **other: Any) -> Sealed:
    """Return a message encrypted and signed; ``other`` goes before the right key, token and receive id."""
    given: dict[str, Any] = {"key": AesKey(KEY), "token": TOKEN, "receive_id": CORP} | other
    return encrypt(message, timestamp=str(at), nonce=nonce, **given)


@attrs.frozen
class Asked:
    """An answer, the headers by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@attrs.define
class Mail:
    """An ``on_notice`` that keeps what it is told."""

    notices: list[Any] = attrs.field(factory=list)

    async def __call__(self, notice: Any) -> None:
        """Keep a notice."""
        self.notices.append(notice)


App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


def ask(
    app: App,
    method: str = "POST",
    query: Mapping[str, str] | bytes = b"",
    chunks: Iterable[bytes | None] = (),
    headers: Mapping[str, str] | None = None,
) -> Asked | None:
    """Send one request and return the answer; None where there was none. A chunk that is None never comes."""
    return asyncio.run(_ask(app, method, query, list(chunks), headers or {}))


async def _ask(
    app: App, method: str, query: Mapping[str, str] | bytes, chunks: list[bytes | None], headers: Mapping[str, str]
) -> Asked | None:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        chunk = chunks.pop(0) if chunks else b""
        if chunk is None:
            await asyncio.Event().wait()
        if chunk == b"gone":
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "path": "/",
        "method": method,
        "query_string": query if isinstance(query, bytes) else urlencode(query).encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, receive, send)
    if not sent:
        return None
    start, body = sent
    return Asked(start["status"], {n.decode(): v.decode() for n, v in start["headers"]}, body["body"])


def post(app: App, message: Sealed, headers: Mapping[str, str] | None = None) -> Asked:
    """Post an encrypted message."""
    answer = ask(app, "POST", message.query, [message.body(to_user_name=CORP)], headers)
    assert answer is not None
    return answer


def told(error: BaseException) -> str:
    """Return all that a traceback tells below the frame that caught the error: lines, messages, variables, causes."""
    below = error.__traceback__.tb_next if error.__traceback__ else None
    return "".join(traceback.TracebackException(type(error), error, below, capture_locals=True).format())
