"""What WeCom said of limits: a call that it refused is not made again before the limit has passed.

WeCom publishes no numbers for the KF calls, only that a limit lasts about as long as what it counts (a minute, an hour,
a day). So the first refusal of a call stops it for a minute, and each one after that for twice as long.
"""

import threading

import attrs

from kfstate.clock import SECOND, Clock
from kfstate.errors import RateLimitError, WecomError
from kfstate.wecom.replying import limited

__all__ = ["Rates"]

_AT_ONCE = 45033
"""Too many at the same time: over as soon as the others are."""


@attrs.frozen
class _Stop:
    error: WecomError
    until: int
    length: int


@attrs.define
class Rates:
    """The calls that are stopped, of one client. ``first`` and ``longest`` are microseconds.

    ``key`` says what WeCom counts together: the call, and for ``sync_msg`` whether it had a token.
    """

    clock: Clock
    first: int = 60 * SECOND
    longest: int = 3600 * SECOND
    _stops: dict[str, _Stop] = attrs.field(factory=dict, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    def ask(self, key: str) -> None:
        """Raise :class:`~kfstate.errors.RateLimitError` where this call is stopped."""
        stop = self._stops.get(key)
        if stop is not None and self.clock.now() < stop.until:
            raise limited(stop.error, stop.until, local=True)

    def refused(self, key: str, error: WecomError) -> RateLimitError:
        """Stop a call that WeCom refused with a code of a limit, and return what to raise."""
        now = self.clock.now()
        with self._lock:
            before = self._stops.get(key)
            if error.errcode == _AT_ONCE:
                length = SECOND
            elif before is None:
                length = self.first
            elif now < before.until:  # it was under way when the one before was refused
                length = before.length
            else:
                length = min(2 * max(before.length, self.first // 2), self.longest)
            self._stops[key] = _Stop(error, now + length, length)
        return limited(error, now + length)

    def accepted(self, key: str) -> None:
        """Forget what was refused: the limit has passed."""
        if key in self._stops:
            with self._lock:
                self._stops.pop(key, None)

    def stopped(self) -> dict[str, int]:
        """Return the calls that are stopped now, and until when."""
        now = self.clock.now()
        return {key: stop.until for key, stop in tuple(self._stops.items()) if now < stop.until}
