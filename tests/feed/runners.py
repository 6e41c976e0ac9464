"""What other processes do in these tests: run a subscription, or listen to nobody."""

import threading

from kfstate import Event
from kfstate.engine import Engine
from tests.adversarial.processes import Say
from tests.feed.words import Noting, append

__all__ = ["follow", "hang", "write"]


def follow(say: Say, url: str, who: str, lease: float, batch: int) -> None:
    """Run the subscription ``a`` until killed; say each position."""
    with Engine(url) as engine:
        note = Noting(who, before=lambda event: say(event.position))
        engine.subscribe("a", note, lease=lease, poll=0.02, batch=batch).run()


def hang(say: Say, url: str, lease: float) -> None:
    """Run the subscription ``a``, but never come back from its handler, in the middle of a transaction."""

    def never(event: Event) -> None:
        Noting("hung")(event)
        say(event.position)
        threading.Event().wait()

    with Engine(url) as engine:
        engine.subscribe("a", never, lease=lease, batch=1).run()


def write(say: Say, url: str, first: int, count: int) -> None:
    """Append entries one by one."""
    with Engine(url) as engine:
        for number in range(first, first + count):
            append(engine, number)
    say("done")
