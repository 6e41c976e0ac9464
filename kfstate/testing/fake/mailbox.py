"""What ``sync_msg`` reads: the entries of one account in the order of their arrival, kept for 3 days."""

import base64
import binascii
import hashlib
import heapq
from typing import NamedTuple

from kfstate.clock import SECOND
from kfstate.testing.builders import Element

__all__ = ["RETENTION", "Mailbox", "Read", "cursor_at", "position_of"]

RETENTION = 3 * 86_400
"""How long an entry can be read, in seconds after its ``send_time``."""


class Read(NamedTuple):
    """A page: its entries, the position behind it, and whether more can be read at once."""

    entries: list[Element]
    position: int
    more: bool


class Mailbox:
    """The entries of an account; positions count from 0 and never change.

    Attributes:
        written: Every entry once, for ever: what has happened, whether or not it can still be read.
    """

    def __init__(self) -> None:
        self.written: list[Element] = []
        self._entries: list[Element] = []
        self._first = 0
        self._held: list[tuple[int, int, Element]] = []
        self._serial = 0

    def put(self, element: Element, *, due: int | None = None, again: bool = False) -> None:
        """Add an entry, readable at once or from ``due`` on (microseconds). ``again``: it was written before."""
        if not again:
            self.written.append(element)
        if due is None:
            self._entries.append(element)
        else:
            self._serial += 1
            heapq.heappush(self._held, (due, self._serial, element))

    def release(self, now: int) -> bool:
        """Let those in whose time has come, and tell whether there were any."""
        due = bool(self._held) and self._held[0][0] <= now
        while self._held and self._held[0][0] <= now:
            self._entries.append(heapq.heappop(self._held)[2])
        return due

    @property
    def held(self) -> int:
        """How many entries are on their way."""
        return len(self._held)

    def read(self, position: int, limit: int, now: int) -> Read:
        """Return the entries from ``position`` on, or from the first that is kept; those too old are left out."""
        oldest = now // SECOND - RETENTION
        kept = 0
        while kept < len(self._entries) and self._entries[kept]["send_time"] < oldest:
            kept += 1
        del self._entries[:kept]
        self._first += kept
        start = max(position, self._first)
        end = min(start + limit, self._first + len(self._entries))
        found = self._entries[start - self._first : end - self._first] if end > start else []
        young = [element for element in found if element["send_time"] >= oldest]
        return Read(young, max(start, end), end < self._first + len(self._entries))


def cursor_at(open_kfid: str, generation: int, position: int) -> str:
    """Return the cursor of a position: at most 64 bytes, and of this account only."""
    text = f"{generation}.{position}.{_mark(open_kfid)}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_of(cursor: str, open_kfid: str) -> tuple[int, int] | None:
    """Return generation and position of a cursor; None: it is none of this account."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    generation, _, rest = text.partition(".")
    position, _, mark = rest.partition(".")
    if mark != _mark(open_kfid) or not generation.isdecimal() or not position.isdecimal():
        return None
    return int(generation), int(position)


def _mark(open_kfid: str) -> str:
    return hashlib.sha256(open_kfid.encode()).hexdigest()[:8]
