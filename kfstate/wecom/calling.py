"""How a call is made: with a token, within the limits, tried again where that is safe; the same for every call."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Generic, Literal, Protocol, TypeVar

import attrs
import msgspec

from kfstate.clock import Clock
from kfstate.concurrency import Concurrency
from kfstate.errors import ArgumentError, ClosedError, ReplyError, ReplyLostError, UnreachableError, WecomError
from kfstate.store.database import Database
from kfstate.wecom.rates import Rates
from kfstate.wecom.replying import reply
from kfstate.wecom.retrying import Retries, retried
from kfstate.wecom.secret import Secret
from kfstate.wecom.skew import Skew
from kfstate.wecom.tokens import Tokens, TokenSource, fetcher
from kfstate.wecom.transport import Answer, Params, Transport
from kfstate.wire import KfReply

__all__ = ["Call", "Calls", "Read"]

R = TypeVar("R", bound=KfReply)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_GOES_OUT: ContextVar[Callable[[], object] | None] = ContextVar("_GOES_OUT", default=None)


class Read(Protocol[T_co]):
    """Makes the result of a call out of the answer; the secrets are those that must not be shown."""

    def __call__(self, answer: Answer, secrets: Sequence[Secret]) -> T_co:
        """Return the result."""
        ...


@attrs.frozen
class Call(Generic[R]):
    """A call of the KF API: its name is its path below ``/cgi-bin/kf/``.

    ``needs`` are the members that its reply cannot do without. ``changes``: carried out twice it would do more than
    once, so it is never repeated blindly.
    """

    name: str
    kind: type[R]
    needs: Mapping[str, type] = attrs.field(factory=dict)
    method: Literal["GET", "POST"] = attrs.field(default="POST", kw_only=True)
    changes: bool = attrs.field(default=False, kw_only=True)

    def read(self, answer: Answer, secrets: Sequence[Secret]) -> R:
        """Return the reply that an answer is."""
        return reply(self.name, answer, self.kind, secrets, needs=self.needs)


class Calls:
    """Makes the calls of one app."""

    def __init__(
        self,
        corp_id: str,
        secret: Secret,
        *,
        transport: Transport,
        tokens: TokenSource | None,
        database: Database | None,
        clock: Clock,
        concurrency: Concurrency,
        retries: Retries,
    ) -> None:
        self.rates = Rates(clock)
        self._skew = Skew()
        self._secret, self._transport, self._clock, self._retries = secret, transport, clock, retries
        self._tokens = tokens or self._source(corp_id, database, concurrency)
        self._closing = concurrency.signal()

    @property
    def skew(self) -> int | None:
        """How far WeCom's clock is ahead, in microseconds; None: nobody knows yet."""
        return self._skew.value

    def close(self) -> None:
        """End whoever waits, and close the transport."""
        self._closing.set()
        self._transport.close()

    @contextmanager
    def telling(self, goes_out: Callable[[], object]) -> Iterator[None]:
        """Tell of every request of the calls inside, just before it goes out; what is raised then is raised."""
        before = _GOES_OUT.set(goes_out)
        try:
            yield
        finally:
            _GOES_OUT.reset(before)

    def make(
        self,
        call: Call[Any],
        body: Mapping[str, Any],
        read: Read[T],
        *,
        key: str = "",
        tried: Callable[[int], object] = int,
    ) -> T:
        """Return what ``read`` makes of WeCom's answer; ``tried`` is told the number of each attempt.

        Raises :class:`~kfstate.errors.WecomError`, :class:`~kfstate.errors.UnreachableError`,
        :class:`~kfstate.errors.ReplyError`, and for a call that changes something
        :class:`~kfstate.errors.ReplyLostError`.
        """
        query: dict[str, str] = {}
        content = None
        if call.method == "GET":
            query = {name: str(value) for name, value in body.items()}
        else:
            content = _encoded(call.name, body)

        def once(token: Secret) -> T:
            params: Params = {"access_token": token, **query}
            return self._once(call, params, content, partial(read, secrets=(token, self._secret)), key or call.name)

        def attempt(number: int) -> T:
            tried(number)
            token = self._tokens.get()
            try:
                return once(token)
            except WecomError as error:
                if error.retry != "token":
                    raise
            return once(self._tokens.get(token))

        if self._closing.is_set():
            raise ClosedError
        return retried(attempt, self._retries, self._pause)

    def _once(self, call: Call[Any], params: Params, content: bytes | None, read: Callable[[Answer], T], key: str) -> T:
        self.rates.ask(key)
        if (goes_out := _GOES_OUT.get()) is not None:
            goes_out()
        sent = self._clock.now()
        answer = self._sent(call, params, content)
        received = self._clock.now()
        try:
            result = read(answer)
        except WecomError as error:
            self._note(answer, sent, received)
            if error.retry != "limit":
                raise
            raise self.rates.refused(key, error) from None
        except ReplyError as error:
            # A status of 4xx says that the request was not carried out; anything else says nothing.
            if not call.changes or (400 <= error.status < 500 and error.status != 408):
                raise
            raise ReplyLostError(call.name, str(error)) from error
        self._note(answer, sent, received)  # of a reply only: a proxy has a clock of its own
        self.rates.accepted(key)
        return result

    def _sent(self, call: Call[Any], params: Params, content: bytes | None) -> Answer:
        """Send a request. What did not arrive, or only asked for something, is unreachable; else the reply is lost."""
        try:
            return self._transport.send(call.method, f"/cgi-bin/kf/{call.name}", params, content)
        except UnreachableError as error:
            failed: Exception = UnreachableError(call.name, error.reason)
        except ReplyLostError as error:
            kind = ReplyLostError if call.changes else UnreachableError
            failed = kind(call.name, error.reason)
        raise failed

    def _note(self, answer: Answer, sent: int, received: int) -> None:
        if (date_at := answer.date_at) is not None:
            self._skew.note(date_at, sent, received)

    def _pause(self, seconds: float) -> None:
        if self._closing.wait(seconds):
            raise ClosedError

    def _source(self, corp_id: str, database: Database | None, concurrency: Concurrency) -> TokenSource:
        fetch = fetcher(self._transport, corp_id, self._secret, clock=self._clock, rates=self.rates)
        if database is None:
            return Tokens(lambda _: fetch(), clock=self._clock, concurrency=concurrency)
        from kfstate.wecom.shared import SharedTokens  # noqa: PLC0415 (only this needs cryptography)

        shared = SharedTokens(
            database=database, corp_id=corp_id, secret=self._secret, fetch=fetch, clock=self._clock,
            concurrency=concurrency,
        )  # fmt: skip
        return Tokens(shared, clock=self._clock, concurrency=concurrency)


def _encoded(call: str, body: Mapping[str, Any]) -> bytes:
    # As UTF-8: WeCom refuses characters that are written as \uXXXX (40033).
    try:
        return msgspec.json.encode(body)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise ArgumentError(
            name=call, value=type(body).__name__, allowed=f"what JSON has a form for ({error})"
        ) from None
