"""The callback's URL as an ASGI application: for uvicorn as it is, for any framework by mounting it."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import attrs

from kfstate.errors import CallbackError
from kfstate.wecom.callback import Callback, Notice
from kfstate.wecom.repeats import Repeats

__all__ = ["CallbackApp", "OnNotice"]

OnNotice = Callable[[Notice], Awaitable[object] | object]
"""What is told of a callback. It runs after the answer: a coroutine function on the loop, any other in a thread."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_logger = logging.getLogger("kfstate")
_TYPES = ("text/xml", "application/xml", "text/plain", "application/octet-stream")
_FIELDS = 20


class _ClientGoneError(Exception):
    """The client has gone away before its request was here."""


@attrs.frozen
class _Answer:
    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


class CallbackApp:
    """Answer WeCom's GET check and its POSTs; tell ``on_notice`` of each callback once, after the answer.

    ``path``: the only one that is answered, as it is or below where the application is mounted; without it all are,
    for whoever mounts the application has chosen one.
    ``max_body`` is in bytes, ``body_timeout`` in seconds: WeCom itself waits for five.
    """

    def __init__(
        self,
        callback: Callback,
        on_notice: OnNotice,
        *,
        path: str | None = None,
        max_body: int = 65_536,
        body_timeout: float = 5.0,
    ) -> None:
        self._callback = callback
        self._on_notice = on_notice
        self._path = path
        self._max_body = max_body
        self._body_timeout = body_timeout
        self._repeats = Repeats(callback.clock)
        self._telling: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the server."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        notice = None
        try:
            answer, notice = await self._answered(scope, receive)
        except CallbackError as error:
            level = logging.WARNING if error.status == HTTPStatus.FORBIDDEN else logging.INFO
            _logger.log(level, "callback refused: %s", error)
            answer = _refusal(error)
        except _ClientGoneError:
            return
        try:
            await _send(send, answer)
        finally:
            if notice is not None and self._repeats.is_new(notice):
                await self._tell(notice)

    async def _answered(self, scope: Scope, receive: Receive) -> tuple[_Answer, Notice | None]:
        if self._path is not None and not _is_at(scope, self._path):
            raise CallbackError("path", "there is nothing at this path", HTTPStatus.NOT_FOUND)
        if scope["method"] not in {"GET", "POST"}:
            raise CallbackError("method", "the method is neither GET nor POST", HTTPStatus.METHOD_NOT_ALLOWED)
        query = _query(scope["query_string"])
        if scope["method"] == "GET":
            return _Answer(200, self._callback.echo(query), ((b"content-type", b"text/plain"),)), None
        notice = self._callback.notice(query, await self._body(scope["headers"], receive))
        if not notice.concerns_kf:
            _logger.debug("callback of another kind, left alone: %s", notice)
            return _Answer(200), None
        if notice.stale:
            _logger.warning("callback signed long ago, or in the future: is the clock right? %s", notice)
        return _Answer(200), notice

    async def _body(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> bytes:
        """Return the body; refuse one that is too large before it is here, and one that does not come."""
        given = {name.lower(): value.decode("latin-1") for name, value in headers}
        kind = given.get(b"content-type", "").partition(";")[0].strip().lower()
        if kind and kind not in _TYPES and not kind.endswith("+xml"):
            raise CallbackError("type", "the body is said not to be XML", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        too_large = CallbackError("size", f"the body is larger than {self._max_body} bytes", 413)
        length = given.get(b"content-length", "")
        if length.isdecimal() and (len(length) > 18 or int(length) > self._max_body):
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _ClientGoneError
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > self._max_body:
                        raise too_large
        except TimeoutError:
            raise CallbackError("slow", "the body did not come in time", HTTPStatus.REQUEST_TIMEOUT) from None
        return bytes(body)

    async def _tell(self, notice: Notice) -> None:
        """Tell of a notice, to the end, even where the request is cancelled meanwhile."""
        task = asyncio.get_running_loop().create_task(self._told(notice))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        await asyncio.shield(task)

    async def _told(self, notice: Notice) -> None:
        try:
            if _is_async(self._on_notice):
                said = self._on_notice(notice)
            else:
                said = await asyncio.to_thread(self._on_notice, notice)
            if inspect.isawaitable(said):
                await said
        except Exception:
            _logger.exception("on_notice failed; nobody was woken by %s", notice)


def _is_at(scope: Scope, path: str) -> bool:
    """Tell whether a request is for a path: as it came in, or below where the application is mounted, or mounted there.

    Servers and frameworks put ``root_path`` before ``path``; some, and older ones, take it away.
    """
    root, full = scope.get("root_path", "").rstrip("/"), scope["path"]
    below = _below(root, full)
    outer = _below(scope.get("app_root_path", "").rstrip("/"), full)
    return path in {full, below, outer} or (below in {"", "/"} and root.endswith(path))


def _below(root: str, path: str) -> str:
    return path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path


def _is_async(function: OnNotice) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _query(text: bytes) -> Mapping[str, str]:
    """Return the query, decoded; refuse one that says something twice, for others may read the other one."""
    try:
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise CallbackError("query", f"the query has more than {_FIELDS} fields", 400) from None
    if len(dict(pairs)) != len(pairs):
        raise CallbackError("query", "the query says something twice", 400)
    return dict(pairs)


def _refusal(error: CallbackError) -> _Answer:
    headers = [(b"content-type", b"text/plain")]
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append((b"allow", b"GET, POST"))
    if error.reason in {"size", "slow"}:
        headers.append((b"connection", b"close"))  # the rest of the body is not wanted
    return _Answer(error.status, HTTPStatus(error.status).phrase.encode(), tuple(headers))


async def _send(send: Send, answer: _Answer) -> None:
    headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
