"""How far WeCom's clock is ahead of ours, by the ``Date`` of its replies."""

from kfstate.clock import SECOND

__all__ = ["BELIEVED", "Skew"]

BELIEVED = 3600 * SECOND
"""Clocks that differ by more than this are believed only where several replies say so."""
_REPLIES = 3
_QUICK = 2 * SECOND
"""A reply that took longer says too little of its own."""


class Skew:
    """What the replies say. ``value`` is None before the first, in microseconds."""

    def __init__(self) -> None:
        self.value: int | None = None
        self._doubted: list[int] = []

    def note(self, date_at: int, sent: int, received: int) -> None:
        """Take note of a reply that was dated, between two times of our clock.

        ``Date`` has whole seconds, so that a reply gives a least and a most. What was known stays where that is
        possible; else it is moved as little as needed where the reply took its time, and to the least where it came at
        once: an entry of ours that seemed to come after what it came before could end a session in which the customer
        has just written.
        """
        least, most = date_at - received, date_at + SECOND - sent
        before = self.value
        if before is not None and least <= before < most:
            self._doubted = []
            return
        if received - sent <= _QUICK:
            found = least
        elif before is None:
            found = date_at - (sent + received) // 2
        else:
            found = least if before < least else date_at - sent
        if abs(found - (before or 0)) > BELIEVED and not self._is_confirmed(found):
            return
        self.value, self._doubted = found, []

    def _is_confirmed(self, found: int) -> bool:
        """Tell whether the replies before said the same of a clock that is far off."""
        if self._doubted and abs(self._doubted[-1] - found) > 2 * _QUICK:
            self._doubted = []
        self._doubted.append(found)
        return len(self._doubted) >= _REPLIES
