"""How a command that goes on and on is ended."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["rest", "told_to_end"]


@contextmanager
def told_to_end(*signals: signal.Signals) -> Iterator[list[int]]:
    """Give what is filled by these signals, so that whoever works comes to an end in good order.

    Ctrl-C raises KeyboardInterrupt wherever the main thread is: also where it has just taken a lock, which nobody
    gives back then. Where it shares locks with other threads, it has to be told in this way.
    """
    told: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    # No Event: its lock may be held by the very thread that the handler interrupts, which would then wait for itself.
    before = {one: signal.signal(one, lambda number, _: told.append(number)) for one in signals}
    try:
        yield told
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def rest(seconds: float, told: Sequence[int]) -> None:
    """Wait for so many seconds, or until one is told to end."""
    while seconds > 0 and not told:
        threading.Event().wait(min(seconds, 0.2))
        seconds -= 0.2
