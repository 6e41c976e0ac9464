"""Requests over HTTP with httpx2, for threads and for asyncio."""

import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

import attrs
import httpx2

from kfstate.errors import ReplyLostError, UnreachableError
from kfstate.store.greenlets import awaited, through
from kfstate.version import __version__
from kfstate.wecom.masking import excerpt
from kfstate.wecom.secret import Secret, revealed
from kfstate.wecom.transport import Answer, Params

__all__ = ["WECOM", "AsyncHttpTransport", "HttpTransport", "Timeouts"]

WECOM = "https://qyapi.weixin.qq.com"
_NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)
"""What happens before a byte of the request is sent."""
_FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError)


@attrs.frozen(kw_only=True)
class Timeouts:
    """Seconds: to connect, to wait for the next bytes either way, and for the whole body of an answer."""

    connect: float = 5.0
    silence: float = 15.0
    body: float = 60.0

    @classmethod
    def of(cls, timeout: float) -> "Timeouts":
        """Return those of a call that may take so many seconds before it is answered."""
        return cls(connect=min(timeout, 5.0), silence=timeout, body=max(timeout, 60.0))


class _Url(httpx2.URL):
    """A URL whose query is not printed: httpx2 logs every URL, and WeCom wants its secrets in them."""

    def __str__(self) -> str:
        return str(self.copy_with(query=b"***")) if self.query else super().__str__()

    def __repr__(self) -> str:
        return f"URL({str(self)!r})"


class HttpTransport:
    """A :class:`~kfstate.wecom.transport.Transport` over HTTP.

    ``client`` may be an embedder's own, with proxies, certificates and limits; it is then left open. An answer of more
    than ``max_body`` bytes is given up.
    """

    def __init__(
        self,
        base_url: str = WECOM,
        *,
        client: Any = None,
        timeouts: Timeouts | None = None,
        max_body: int = 64 * 1024 * 1024,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._own = client is None
        self._client: Any = self._made() if client is None else client
        self._timeouts, self._max_body = timeouts or Timeouts(), max_body

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base_url!r})"

    def send(self, method: str, path: str, params: Params, body: bytes | None) -> Answer:
        """Send a request. See :meth:`kfstate.wecom.transport.Transport.send`."""
        got = self._exchange(method, path, params, body)
        if isinstance(got, Answer):
            return got
        # Raised out here, and not from httpx2's error: that one holds the URL, and its frames the body.
        raise got

    def close(self) -> None:
        """Close the connections, unless the client is the embedder's."""
        if self._own:
            self._close_client()

    def _exchange(
        self, method: str, path: str, params: Params, body: bytes | None
    ) -> Answer | UnreachableError | ReplyLostError:
        try:
            response = self._sent(self._request(method, path, params, body))
            try:
                return self._read(response, path)
            finally:
                self._close_response(response)
        except _FAILURES as error:
            return _failure(path, error, [value for value in params.values() if isinstance(value, Secret)])

    def _request(self, method: str, path: str, params: Params, body: bytes | None) -> httpx2.Request:
        headers = {"accept": "application/json", "user-agent": f"kfstate/{__version__}"}
        if body is not None:
            headers["content-type"] = "application/json; charset=utf-8"
        silence = self._timeouts.silence
        request: httpx2.Request = self._client.build_request(
            method,
            f"{self._base_url}{path}",
            params={name: revealed(value) for name, value in params.items()},
            content=body,
            headers=headers,
            timeout=httpx2.Timeout(silence, connect=self._timeouts.connect),
        )
        request.url = _Url(request.url)
        return request

    def _read(self, response: httpx2.Response, path: str) -> Answer | ReplyLostError:
        parts: list[bytes] = []
        size, until = 0, time.monotonic() + self._timeouts.body
        with closing(self._parts(response)) as coming:
            for part in coming:
                size += len(part)
                if size > self._max_body:
                    return ReplyLostError(path, f"the answer has more than {self._max_body} bytes")
                if time.monotonic() > until:
                    return ReplyLostError(path, f"the answer takes more than {self._timeouts.body:g} seconds")
                parts.append(part)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, b"".join(parts))

    def _made(self) -> Any:
        return httpx2.Client()

    def _sent(self, request: httpx2.Request) -> httpx2.Response:
        response: httpx2.Response = self._client.send(request, stream=True, follow_redirects=False)
        return response

    def _parts(self, response: httpx2.Response) -> Generator[bytes, None, None]:
        yield from response.iter_bytes()

    def _close_response(self, response: httpx2.Response) -> None:
        response.close()

    def _close_client(self) -> None:
        self._client.close()


class AsyncHttpTransport(HttpTransport):
    """The same with httpx2's client for asyncio, for code that runs inside a greenlet."""

    def _made(self) -> Any:
        return httpx2.AsyncClient()

    def _sent(self, request: httpx2.Request) -> httpx2.Response:
        response: httpx2.Response = awaited(self._client.send(request, stream=True, follow_redirects=False))
        return response

    def _parts(self, response: httpx2.Response) -> Generator[bytes, None, None]:
        parts: Any = response.aiter_bytes()
        try:
            while (part := awaited(_following(parts))) is not None:
                yield part
        finally:
            awaited(parts.aclose())

    def _close_response(self, response: httpx2.Response) -> None:
        awaited(through(response.aclose()))

    def _close_client(self) -> None:
        awaited(through(self._client.aclose()))


async def _following(parts: Any) -> bytes | None:
    part: bytes | None = await anext(parts, None)
    return part


def _failure(path: str, error: Exception, secrets: list[Secret]) -> UnreachableError | ReplyLostError:
    name = type(error).__name__
    if isinstance(error, _NOT_SENT):
        said = excerpt(str(error), secrets)
        return UnreachableError(path, f"{name}: {said}" if said else name)
    # No more than the name: what the error says may quote the answer.
    return ReplyLostError(path, name)
