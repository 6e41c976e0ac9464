"""Short stories that a process tells to a database and dies in: append and project, checkpoint, build and switch.

Each may be told again after a kill, and says what was acknowledged.
"""

from collections.abc import Callable, Mapping

from sqlalchemy import Column, Integer, MetaData, String, Table

from kfstate.engine import Engine
from kfstate.feed import Event
from kfstate.intake import CursorMove
from kfstate.store.dialect import query
from kfstate.testing import correction, own_action, page, session_status_change
from tests.adversarial.killing import Killing
from tests.adversarial.processes import Say
from tests.adversarial.writers import KF, message
from tests.servers.databases import NOW

__all__ = ["HANDLED", "LEASE", "STORIES", "append", "handling", "tell"]

HANDLED = Table("handled", MetaData(), Column("position", Integer), Column("by_whom", String(20)))
"""What a handler of ours writes: no key, so that a second time would be seen."""
LEASE = 0.1
"""Seconds that the next runner of a subscription waits for one that was killed."""
Story = Callable[[Engine, Say, int], None]


def append(engine: Engine, say: Say, number: int) -> None:
    """A page with its cursor, over two conversations; an own entry with a key; one that rewrites what was folded."""
    who = 10 * number
    held = engine.claim(KF)
    elements = [
        message(f"{number}-1", who),
        session_status_change(1, KF, f"wm{who}", NOW + 2_000, new="li", msg_code=f"code{number}", msgid=f"{number}-2"),
        message(f"{number}-3", who + 1),
    ]
    move = CursorMove(expected=held.cursor, epoch=held.epoch)
    engine.ingest(page(elements, next_cursor=str(number)), account=KF, cursor=move)
    say("page")
    engine.record(
        own_action(KF, f"wm{who}", NOW + 2_001, actor="test", via="recall_msg", key=f"{number}-4"), expected="exists"
    )
    say("own")
    engine.record(correction(KF, f"wm{who}", NOW + 1_500, actor="test", key=f"{number}-5", service_state=2))
    say("late")


def handling(by: str, done: Callable[[int], None] = lambda _: None) -> Callable[[Event], None]:
    """Return a handler that writes down what it was called for, in the transaction of its checkpoint."""

    def handle(event: Event) -> None:
        assert event.connection is not None
        query(event.connection, "INSERT INTO handled VALUES (?, ?)", (event.position, by))
        done(event.position)

    return handle


def follow(engine: Engine, say: Say, number: int) -> None:
    """A subscription runs until nothing is left to do, two entries at a time."""
    subscription = engine.subscribe("s", handling(str(number)), batch=2, lease=LEASE, poll=0.02)
    subscription.run(until_idle=True)
    say("idle")


def build(engine: Engine, say: Say, _number: int) -> None:
    """The projections are built anew beside the live ones."""
    engine.projections.build()
    say("built")


def switch(engine: Engine, say: Say, _number: int) -> None:
    """A build that is ready becomes live, and then again the one that was."""
    engine.projections.switch()
    say("switched")
    engine.projections.back()
    say("back")


STORIES: Mapping[str, Story] = {"append": append, "build": build, "follow": follow, "switch": switch}


def tell(say: Say, url: str, story: str, number: int, at: int | None) -> None:
    """Tell a story and be killed before statement ``at`` of it; say how many there were where it came to its end."""
    killing = Killing()
    with Engine(url, lock_timeout=20) as engine:
        killing.arm(at)
        STORIES[story](engine, say, number)
        say(killing.disarm())
