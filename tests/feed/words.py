"""What tests of subscriptions say often."""

import threading
from collections.abc import Callable, Sequence

from sqlalchemy import text

from kfstate import Event
from kfstate.engine import Engine
from kfstate.feed.status import SubscriptionView
from kfstate.testing import page
from tests.engine.story import said

__all__ = ["PATIENCE", "Noting", "append", "make_table", "noted", "view_of", "when"]

PATIENCE = 30.0
"""Seconds until a test gives up waiting."""


def append(engine: Engine, *numbers: int) -> list[int]:
    """Append a message for each number, in a commit of its own; return the positions."""
    return [
        engine.ingest(page([said(number, msgid=f"m{number}", user=f"wm{number % 3}")])).position for number in numbers
    ]


def view_of(engine: Engine, name: str) -> SubscriptionView:
    """Return what is seen of a subscription."""
    return next(view for view in engine.subscriptions() if view.name == name)


def make_table(engine: Engine) -> None:
    """Make the table that :class:`Noting` writes to: without a key, so that what is done twice is seen twice."""
    with engine._writing() as conn:
        conn.execute(text("CREATE TABLE noted (position BIGINT NOT NULL, who VARCHAR(64) NOT NULL)"))


def noted(engine: Engine) -> list[tuple[int, str]]:
    """Return what was written, by position."""
    with engine._reading() as conn:
        return [
            (row[0], row[1]) for row in conn.execute(text("SELECT position, who FROM noted ORDER BY position, who"))
        ]


class Noting:
    """A handler that writes each position into a table, in its transaction, and fails where it is told to."""

    def __init__(
        self, who: str = "", fails: Sequence[int] = (), before: Callable[[Event], object] | None = None
    ) -> None:
        """Write under a name, and fail at some positions."""
        self.who, self.fails, self.before = who, set(fails), before
        self.calls: list[int] = []

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        self.calls.append(event.position)
        if self.before is not None:
            self.before(event)
        assert event.connection is not None
        event.connection.execute(
            text("INSERT INTO noted (position, who) VALUES (:position, :who)"),
            {"position": event.position, "who": self.who},
        )
        if event.position in self.fails:
            message = f"no to {event.position}"
            raise ValueError(message)


def when(holds: Callable[[], bool], *, patience: float = PATIENCE) -> bool:
    """Wait until something holds; tell whether it came to hold."""
    waiting = threading.Event()
    for _ in range(round(patience / 0.01)):
        if holds():
            return True
        waiting.wait(0.01)
    return False
