"""Waiting and running beside: with threads here; :mod:`kfstate.aio` brings the same for tasks of an event loop.

Code that has to wait for others (group commit, subscriptions) is written once, against these two shapes.
"""

import threading
from collections.abc import Callable
from typing import Protocol

__all__ = ["THREADS", "Concurrency", "Running", "Signal", "Threads"]


class Signal(Protocol):
    """A flag that others can wait for; as ``threading.Event``."""

    def set(self) -> None:
        """Raise the flag and wake whoever waits."""
        ...

    def clear(self) -> None:
        """Lower the flag."""
        ...

    def is_set(self) -> bool:
        """Tell whether the flag is up."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is up, at most ``timeout`` seconds; tell whether it is."""
        ...


class Running(Protocol):
    """Something that runs beside."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most ``timeout`` seconds; does nothing where it is itself that asks."""
        ...

    def is_alive(self) -> bool:
        """Tell whether it still runs."""
        ...


class Concurrency(Protocol):
    """How an engine waits, and how it runs something beside its caller."""

    leads_inline: bool
    """Whether a caller may store what others wait for by itself, because nobody can cancel it meanwhile."""

    def signal(self) -> Signal:
        """Return a new flag."""
        ...

    def spawn(self, run: Callable[[], None], *, name: str) -> Running:
        """Run a function beside the caller."""
        ...


class _Thread(threading.Thread):
    def join(self, timeout: float | None = None) -> None:
        if self is not threading.current_thread():
            super().join(timeout)


class Threads:
    """Waiting and running with threads."""

    leads_inline = True

    def signal(self) -> Signal:
        """Return a new flag."""
        return threading.Event()

    def spawn(self, run: Callable[[], None], *, name: str) -> Running:
        """Run a function in a thread that does not keep the process alive."""
        thread = _Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread


THREADS = Threads()
"""The default of every engine."""
