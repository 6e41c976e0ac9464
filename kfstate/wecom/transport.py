"""One request to WeCom, one answer: the shape of what carries them. :mod:`kfstate.wecom.http` is the default."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Protocol

import attrs

from kfstate.clock import SECOND
from kfstate.store.greenlets import awaited
from kfstate.wecom.secret import Secret

__all__ = ["Answer", "AsyncTransport", "AwaitedTransport", "Params", "Transport"]

Params = Mapping[str, str | Secret]
"""What stands behind the ``?`` of a URL; a transport reveals the secrets among it only to the wire."""


@attrs.frozen
class Answer:
    """What came back: the names of ``headers`` are in lower case, ``body`` is decompressed. Neither is ever printed."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")

    @property
    def date_at(self) -> int | None:
        """When WeCom sent it, by its ``Date`` header, in microseconds; None where there is none that can be read."""
        try:
            date = parsedate_to_datetime(self.headers["date"])
            return round(date.timestamp()) * SECOND
        except (KeyError, ValueError, TypeError, OverflowError):
            return None


class Transport(Protocol):
    """Carries requests to WeCom. It is shared by threads, repeats nothing, and follows no redirect."""

    def send(self, method: str, path: str, params: Params, body: bytes | None) -> Answer:
        """Send a request to the path below WeCom's host, and return the answer, whatever its status.

        Raises :class:`~kfstate.errors.UnreachableError` where nothing of the request can have arrived, and
        :class:`~kfstate.errors.ReplyLostError` wherever it can. ``call`` of the error is the path.
        """
        ...

    def close(self) -> None:
        """Give back every connection."""
        ...


class AsyncTransport(Protocol):
    """A :class:`Transport` for asyncio."""

    async def send(self, method: str, path: str, params: Params, body: bytes | None) -> Answer:
        """As :meth:`Transport.send`."""
        ...

    async def close(self) -> None:
        """As :meth:`Transport.close`."""
        ...


class AwaitedTransport:
    """An :class:`AsyncTransport` for code that runs inside a greenlet."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def send(self, method: str, path: str, params: Params, body: bytes | None) -> Answer:
        """Wait for the answer."""
        return awaited(self._transport.send(method, path, params, body))

    def close(self) -> None:
        """Wait until it is closed."""
        awaited(self._transport.close())
