"""A clock that stands still until it is told to move."""

from kfstate.clock import SECOND

__all__ = ["FrozenClock"]


class FrozenClock:
    """A :class:`kfstate.clock.Clock` for tests: it shows the same time until it is moved."""

    __slots__ = ("_now",)

    def __init__(self, now: int = 0) -> None:
        """Start at ``now`` (microseconds since 1970-01-01 UTC)."""
        self._now = now

    def __repr__(self) -> str:
        return f"FrozenClock({self._now})"

    @classmethod
    def at(cls, seconds: float) -> "FrozenClock":
        """Return a clock that shows ``seconds`` since 1970-01-01 UTC, the unit of ``send_time``."""
        return cls(round(seconds * SECOND))

    def now(self) -> int:
        """Return the time shown, in microseconds since 1970-01-01 UTC."""
        return self._now

    def set(self, now: int) -> None:
        """Show ``now`` (microseconds since 1970-01-01 UTC), earlier times included."""
        self._now = now

    def advance(self, seconds: float) -> int:
        """Move on by ``seconds`` and return the new time in microseconds."""
        self._now += round(seconds * SECOND)
        return self._now
