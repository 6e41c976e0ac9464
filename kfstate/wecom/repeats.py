"""Callbacks that come again: WeCom's own retries, and whoever sends again what he has seen."""

import threading

from kfstate.clock import SECOND, Clock
from kfstate.wecom.callback import Notice

__all__ = ["Repeats"]

_MOST = 10_000


class Repeats:
    """What was heard lately, in this process; genuine callbacks only, so that nobody else fills the memory.

    A callback whose signature was heard already wakes nobody again. Stale ones count as one per account and span:
    a replay of many old callbacks is one pull, and a service whose clock is wrong still hears them.
    """

    def __init__(self, clock: Clock, *, span: int = 600 * SECOND, stale_span: int = 10 * SECOND) -> None:
        self._clock = clock
        self._span = span
        self._stale_span = stale_span
        self._heard: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def is_new(self, notice: Notice) -> bool:
        """Tell whether this notice has to wake somebody, and remember it."""
        now = self._clock.now()
        with self._lock:
            new = self._note(("signature", notice.msg_signature), now, self._span)
            if notice.stale:
                new = self._note(("stale", f"{notice.event} {notice.open_kfid}"), now, self._stale_span) and new
            while len(self._heard) > _MOST:
                del self._heard[next(iter(self._heard))]
        return new

    def _note(self, key: tuple[str, str], now: int, span: int) -> bool:
        before = self._heard.get(key)
        if before is not None and abs(now - before) < span:
            return False
        self._heard.pop(key, None)  # the dictionary is in the order of hearing
        self._heard[key] = now
        return True
