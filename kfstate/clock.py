"""The only reader of time.

Every other module takes a :class:`Clock`, so that tests, replays and simulations decide what time it is.
"""

import time
from typing import Protocol

__all__ = ["SECOND", "Clock", "SystemClock"]

SECOND = 1_000_000
"""Microseconds in a second: every ``*_at`` of kfstate counts microseconds since 1970-01-01 UTC."""


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> int:
        """Return the time in microseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> int:
        """Return the machine's time in microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000
