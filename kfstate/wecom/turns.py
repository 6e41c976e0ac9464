"""So many at a time: the others wait for their turn, first come, first served."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from kfstate.concurrency import Concurrency, Signal

__all__ = ["Turns"]


class Turns:
    """Lets ``most`` callers in at a time. A semaphore that waits as the engine does."""

    def __init__(self, concurrency: Concurrency, most: int) -> None:
        self._concurrency, self._free = concurrency, most
        self._waiting: deque[Signal] = deque()
        self._lock = threading.Lock()
        """Held for a few statements, never while something is waited for."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and have it inside the block."""
        mine = self._concurrency.signal()
        with self._lock:
            if self._free > 0:
                self._free -= 1
                mine.set()
            else:
                self._waiting.append(mine)
        try:
            mine.wait()
            yield
        finally:
            with self._lock:
                self._leave(mine)

    def _leave(self, mine: Signal) -> None:
        if not mine.is_set():  # cancelled while it waited
            self._waiting.remove(mine)
        elif self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
