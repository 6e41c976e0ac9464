"""A clock that several processes share, and that a test can put forward."""

import mmap
import time
from pathlib import Path

from kfstate.clock import SECOND

__all__ = ["SharedClock"]


class SharedClock:
    """The machine's time, and as much more as stands in a file."""

    def __init__(self, file: Path) -> None:
        """Read the file on; make it where it is not there."""
        if not file.exists():
            file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._ahead = mmap.mmap(opened.fileno(), 8)

    def now(self) -> int:
        """Return the time in microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000 + int.from_bytes(self._ahead[:8], "little")

    def advance(self, seconds: float) -> None:
        """Put it forward, for every process; nobody should be in the middle of a call."""
        ahead = int.from_bytes(self._ahead[:8], "little") + round(seconds * SECOND)
        self._ahead[:8] = ahead.to_bytes(8, "little")
