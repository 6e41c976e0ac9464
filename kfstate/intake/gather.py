"""Group commit: concurrent appends of one process share a transaction, and each gets its own result or error.

Nobody waits for a window to fill: who finds no leader leads at once, and what piled up while a leader committed is the
next gather, led by the first of those who wait. A leader's own result never waits for a later gather. Every caller
waits for its own request, so no more of them are queued than there are callers, and a slow store slows them down.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import attrs

from kfstate.concurrency import Concurrency, Signal
from kfstate.errors import ClosedError, LockTimeoutError, OutcomeUnknownError

__all__ = ["Gathering", "Request", "Take"]

T = TypeVar("T")


@attrs.define(eq=False)
class Request(Generic[T]):
    """One caller's append: what it wants, and what became of it."""

    wanted: T
    size: int
    done: Signal
    taken: bool = False
    """Whether it is in somebody's gather: from then on its outcome is waited for, however long."""
    leads: bool = False
    """Whether the caller is to lead the next gather."""
    committing: bool = False
    """Whether it may be stored, though nobody was told so yet: it must not be stored again."""
    answered: bool = False
    outcome: object = None
    """The result, or the exception."""

    def answer(self, outcome: object) -> None:
        """Give the caller its result, or the exception that it is to raise."""
        self.outcome, self.answered = outcome, True


class Take(Protocol[T]):
    """Takes what waits, in its order. Called once the log is locked, so that what came in meanwhile is taken, too."""

    def __call__(self, most: int = ...) -> list[Request[T]]:
        """Return at most so many requests, and at least one."""
        ...


Store = Callable[[Take[T]], None]
"""Opens a transaction, takes requests, stores them together, and answers every one."""


class Gathering(Generic[T]):
    """The queue of one engine's appends. Share it between threads, or between the tasks of a loop."""

    def __init__(
        self,
        store: Store[T],
        concurrency: Concurrency,
        *,
        patience: float,
        at_once: int = 256,
        entries: int = 2_000,
    ) -> None:
        """Gather at most ``at_once`` requests with ``entries`` entries, and at least one.

        ``patience`` is how many seconds a request waits for its turn.
        """
        self._store = store
        self._concurrency = concurrency
        self._patience = patience
        self._at_once, self._entries = at_once, entries
        self._lock = threading.Lock()  # held for a few statements in memory, never while anything is waited for
        self._queue: deque[Request[T]] = deque()
        self._leading = False
        self._closed = False
        self._idle = concurrency.signal()
        self._idle.set()

    def submit(self, wanted: T, size: int) -> object:
        """Have something stored, and return its outcome once the transaction is committed.

        Raises what is wrong with it; :class:`~kfstate.errors.LockTimeoutError` where its turn does not come: then it
        was withdrawn, and nothing of it is stored; :class:`~kfstate.errors.ClosedError`.
        """
        request = Request(wanted, size, self._concurrency.signal())
        until = time.monotonic() + self._patience
        try:
            self._enter(request)
            if request.leads:
                self._begin(request)
            self._wait(request, until)
        except BaseException:
            self._withdraw(request)
            raise
        if isinstance(request.outcome, BaseException):
            raise request.outcome
        return request.outcome

    def close(self) -> None:
        """Take no more, and wait until what was submitted before is done."""
        with self._lock:
            self._closed = True
        self._idle.wait()

    def _enter(self, request: Request[T]) -> None:
        """Queue a request, and let its caller lead where nobody does."""
        with self._lock:
            if self._closed:
                raise ClosedError
            self._queue.append(request)
            if not self._leading:
                request.leads = True  # before all else: whoever is interrupted after it passes the lead on
                self._leading = True
                self._idle.clear()

    def _begin(self, request: Request[T]) -> None:
        if self._concurrency.leads_inline:
            self._lead(request)
            return
        try:
            request.leads = False
            # As a task of its own: a caller that is cancelled must not take the others' transaction with it.
            self._concurrency.spawn(self._lead_on, name="kfstate-append")
        except BaseException:
            self._leave()
            raise

    def _wait(self, request: Request[T], until: float) -> None:
        """Wait until a request is answered; lead when asked to; withdraw it when its turn does not come in time."""
        while not request.answered:
            came = request.done.wait(None if request.taken else max(0.0, until - time.monotonic()))
            if request.leads:
                self._lead(request)
            elif not came and not request.taken and self._withdraw(request):
                raise self._too_late()

    def _withdraw(self, request: Request[T]) -> bool:
        """Take a request out of the queue, if nobody took it yet; pass leadership on if it was offered."""
        with self._lock:
            leads, request.leads = request.leads, False
            waits = not request.taken and request in self._queue
            if waits:
                self._queue.remove(request)
        if leads:
            self._hand_over()
        return waits

    def _too_late(self) -> LockTimeoutError:
        return LockTimeoutError(waited=round(self._patience, 3), blocker="earlier appends of this engine")

    def _lead(self, request: Request[T]) -> None:
        """Store one gather, then let the first of those who wait lead."""
        try:
            request.leads = False
            request.done.clear()
            self._gather()
        finally:
            self._hand_over()

    def _lead_on(self) -> None:
        """Store gather after gather until nobody waits."""
        while True:
            with self._lock:
                if not self._queue:
                    self._leading = False
                    self._idle.set()
                    return
            try:
                self._gather()
            except BaseException:
                self._leave()
                raise

    def _hand_over(self) -> None:
        with self._lock:
            if not self._queue:
                self._leading = False
                self._idle.set()
                return
            heir = self._queue[0]
            heir.leads = True
            heir.done.set()

    def _leave(self) -> None:
        """Answer those who wait when the task that leads is cancelled: the loop is going down."""
        with self._lock:
            left = tuple(self._queue)
            self._queue.clear()
            self._leading = False
            self._idle.set()
        for request in left:
            request.answer(ClosedError())
            request.done.set()

    def _gather(self) -> None:
        taken: list[Request[T]] = []

        def take(most: int = self._at_once) -> list[Request[T]]:
            taken.extend(self._take(most))
            return taken

        try:
            self._store(take)
        except Exception as error:  # noqa: BLE001 (whoever waits must hear of it)
            for request in taken or take(1):
                if not request.answered:
                    request.answer(error)
        finally:
            left = [request for request in taken if not request.answered]
            if left:  # the leader was interrupted
                self._put_back(left)
            for request in taken:
                if request.answered:
                    request.done.set()

    def _take(self, most: int) -> list[Request[T]]:
        taken: list[Request[T]] = []
        entries = 0
        with self._lock:
            while self._queue and len(taken) < most:
                entries += self._queue[0].size
                if taken and entries > self._entries:
                    break
                request = self._queue.popleft()
                request.taken = True
                taken.append(request)
        return taken

    def _put_back(self, left: list[Request[T]]) -> None:
        """Queue again what was not stored; what may have been is answered so."""
        with self._lock:
            for request in reversed(left):
                if request.committing:
                    request.answer(OutcomeUnknownError(waited=0.0, reason="who committed it was interrupted"))
                    continue
                request.taken = False
                self._queue.appendleft(request)
