"""Appends that wait for each other on purpose: everything that comes while the log is held goes into one gather."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from kfstate.engine import Engine
from kfstate.intake import appends
from kfstate.store.head import lock_head

__all__ = ["Call", "gathers", "held", "outcomes", "together", "wait_for"]


@attrs.define
class Call:
    """One call in a thread of its own, and what became of it."""

    run: Callable[[], Any]
    result: Any = None
    error: BaseException | None = None
    thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the thread."""
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.result = self.run()
        except BaseException as error:  # noqa: BLE001 (the test looks at it)
            self.error = error

    @property
    def outcome(self) -> Any:
        """The error, or the result."""
        return self.result if self.error is None else self.error


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.002)):
        if condition():
            return
        pause.wait(0.002)
    message = "it never came"
    raise AssertionError(message)


@contextmanager
def held(engine: Engine) -> Iterator[None]:
    """Hold the head of the log, as another process might."""
    with engine._writing() as conn:
        lock_head(conn)
        yield


def together(engine: Engine, runs: Sequence[Callable[[], Any]]) -> list[Call]:
    """Make calls that go into one gather, in this order; return when all have ended."""
    gathering = engine._appends._gathering
    calls = [Call(run) for run in runs]
    with held(engine):
        for number, call in enumerate(calls, 1):
            call.thread.start()
            wait_for(lambda number=number: len(gathering._queue) == number)  # type: ignore[misc]
    for call in calls:
        call.thread.join(30)
        assert not call.thread.is_alive()
    return calls


def outcomes(calls: Sequence[Call]) -> list[Any]:
    """Return results and the types of errors, call by call."""
    return [call.result if call.error is None else type(call.error) for call in calls]


@contextmanager
def gathers(patch: Any) -> Iterator[list[int]]:
    """Count how many parts each transaction of the engine had."""
    sizes: list[int] = []
    whole = appends.append_and_project

    def counted(conn: Any, parts: Sequence[Any], **options: Any) -> Any:
        sizes.append(len(parts))
        return whole(conn, parts, **options)

    with patch.context() as patched:
        patched.setattr(appends, "append_and_project", counted)
        yield sizes
