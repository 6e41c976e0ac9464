"""Access tokens: fetched once for all threads, before they expire, and again where WeCom refuses one."""

import copy
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from kfstate.clock import SECOND, Clock
from kfstate.concurrency import THREADS, Concurrency, Signal
from kfstate.errors import KfstateError, RateLimitError, ReplyError, ReplyLostError, UnreachableError, WecomError
from kfstate.wecom.masking import excerpt
from kfstate.wecom.rates import Rates
from kfstate.wecom.replying import members_of
from kfstate.wecom.secret import Secret
from kfstate.wecom.transport import Answer, Transport

__all__ = ["GETTOKEN", "Fetch", "FetchedToken", "Obtain", "TokenSource", "Tokens", "fetcher"]

_logger = logging.getLogger("kfstate")
GETTOKEN = "gettoken"
_PATH = "/cgi-bin/gettoken"
_AGAIN = 30 * SECOND
"""After WeCom refused the secret, it is not asked again for so long: too many wrong tries block the IP for an hour."""
_SAME = 5 * SECOND
"""After WeCom gave the very token again that it had refused, it is not asked for another one for so long."""


@attrs.frozen
class FetchedToken:
    """A token, and until when it is good; times are in microseconds."""

    token: Secret
    fetched_at: int
    expires_at: int

    def refresh_at(self, early: int) -> int:
        """Return from when on a new one is fetched: ``early`` before it expires, in the second half of its life."""
        life = self.expires_at - self.fetched_at
        return self.expires_at - min(early, life // 2)


class TokenSource(Protocol):
    """Where a client gets its access tokens; an embedder with a token service of its own brings its own.

    It is shared by threads.
    """

    def get(self, refused: Secret | None = None) -> Secret:
        """Return an access token; another one than ``refused``, which WeCom has just refused, if it can be had."""
        ...


Fetch = Callable[[], FetchedToken]
"""Asks WeCom for a token."""
Obtain = Callable[[Secret | None], FetchedToken]
"""Gets a token from wherever, other than the one that was refused."""


def fetcher(transport: Transport, corp_id: str, secret: Secret, *, clock: Clock, rates: Rates) -> Fetch:
    """Return what asks WeCom for the token of an app: ``gettoken``, once, without repeating it.

    It raises :class:`~kfstate.errors.WecomError`, :class:`~kfstate.errors.ReplyError` and
    :class:`~kfstate.errors.UnreachableError`: a token that was not fetched changes nothing.
    """

    def fetch() -> FetchedToken:
        rates.ask(GETTOKEN)
        began = clock.now()
        answer = _asked(transport, corp_id, secret)
        if isinstance(answer, UnreachableError):
            raise answer
        got = _granted(answer, began, (secret,))
        if isinstance(got, FetchedToken):
            rates.accepted(GETTOKEN)
            return got
        if isinstance(got, WecomError) and got.retry == "limit":
            raise rates.refused(GETTOKEN, got)
        raise got

    return fetch


def _asked(transport: Transport, corp_id: str, secret: Secret) -> Answer | UnreachableError:
    try:
        return transport.send("GET", _PATH, {"corpid": corp_id, "corpsecret": secret}, None)
    except (ReplyLostError, UnreachableError) as error:
        return UnreachableError(GETTOKEN, error.reason)


def _granted(answer: Answer, began: int, secrets: Sequence[Secret]) -> FetchedToken | WecomError | ReplyError:
    """Return the token, or what to raise: not from here, where a traceback would show it."""
    members = members_of(GETTOKEN, answer, secrets)
    if isinstance(members, ReplyError):
        # What came may be half of a token.
        holds = b"token" in answer.body.lower()
        return attrs.evolve(members, value=f"{len(answer.body)} bytes, not shown") if holds else members
    if isinstance(members, WecomError):
        return members
    token, lasts = members.get("access_token"), members.get("expires_in")
    if not isinstance(token, str) or not token:
        return ReplyError(GETTOKEN, answer.status, "$.access_token", type(token).__name__, "a text is needed")
    if not isinstance(lasts, int) or isinstance(lasts, bool) or lasts <= 0:
        shown = excerpt(str(lasts), (Secret(token),))
        return ReplyError(GETTOKEN, answer.status, "$.expires_in", shown, "a number of seconds is needed")
    return FetchedToken(Secret(token), began, began + lasts * SECOND)


@attrs.define(eq=False)
class _Flight:
    """A token that is being obtained, by one thread for all that wait."""

    over: Signal
    token: FetchedToken | None = None
    error: KfstateError | None = None


class Tokens:
    """A :class:`TokenSource` that keeps the token in memory: of all who ask at a time, one obtains it for all.

    ``early`` is how many seconds before a token expires the next one is fetched; meanwhile the others go on with the
    one they have.
    """

    def __init__(
        self, obtain: Obtain, *, clock: Clock, concurrency: Concurrency = THREADS, early: float = 300.0
    ) -> None:
        self._obtain, self._clock, self._concurrency = obtain, clock, concurrency
        self._early = round(early * SECOND)
        self._lock = threading.Lock()
        """Held for a few statements, never while something is waited for."""
        self._token: FetchedToken | None = None
        self._refresh_at = 0
        self._flight: _Flight | None = None
        self._refusal: tuple[WecomError, int] | None = None
        self._bad: Secret | None = None
        """What WeCom refused, until there is another one."""
        self._insisted_until = 0

    def get(self, refused: Secret | None = None) -> Secret:
        """Return the token. See :class:`TokenSource`."""
        while True:
            with self._lock:
                kept = self._kept(refused)
                if kept is not None:
                    return kept
                # Whoever asks without saying so must not be given what WeCom refused to the one before.
                bad = self._bad if refused is None else refused
                flight, leads = self._flight, self._flight is None
                if flight is None:
                    flight = self._flight = _Flight(self._concurrency.signal())
            if leads:
                self._lead(flight, bad)
            else:
                flight.over.wait()
            if flight.token is not None:
                return flight.token.token
            if flight.error is not None:
                # Each waiter raises one of its own: a traceback belongs to one thread.
                raise copy.copy(flight.error) if not leads else flight.error
            # Whoever led was cancelled.

    def _kept(self, refused: Secret | None) -> Secret | None:
        """Return the token at hand, if it will do; raise where WeCom has just refused to give one."""
        now, token = self._clock.now(), self._token
        if token is not None and now < token.expires_at:
            if refused is not None and token.token == refused:
                self._bad = refused
            if token.token == self._bad:
                if now < self._insisted_until:
                    return token.token
            # One that is about to expire does for those who come while another one refreshes it.
            elif now < self._refresh_at or self._flight is not None:
                return token.token
        if self._refusal is not None and now < self._refusal[1]:
            raise copy.copy(self._refusal[0])
        return None

    def _lead(self, flight: _Flight, refused: Secret | None) -> None:
        try:
            flight.token = self._obtain(refused)
        except KfstateError as error:
            flight.error = error
        finally:
            with self._lock:
                self._flight = None
                self._land(flight)
            flight.over.set()

    def _land(self, flight: _Flight) -> None:
        """Keep what came of a flight."""
        now, old = self._clock.now(), self._token
        if flight.token is not None:
            self._token, self._refusal = flight.token, None
            # Not at once, even where it is about to expire: another process is fetching the next one, or failed to.
            self._refresh_at = max(flight.token.refresh_at(self._early), now + _SAME)
            if flight.token.token == self._bad:
                self._insisted_until = now + _SAME
            else:
                self._bad = None
        elif flight.error is not None:
            if old is not None and now < old.expires_at and old.token != self._bad:
                _logger.warning("the token was not refreshed early: %s", flight.error, extra={"action": "token"})
                self._refresh_at = now + _AGAIN
                flight.token, flight.error = old, None
            elif isinstance(flight.error, WecomError) and flight.error.retry != "busy":
                until = flight.error.retry_at if isinstance(flight.error, RateLimitError) else now + _AGAIN
                self._refusal = (flight.error, until)
