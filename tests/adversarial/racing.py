"""Processes that write to the same conversation, each write decided on a version that was read before."""

import random

from kfstate.engine import Engine
from kfstate.errors import VersionConflictError
from kfstate.testing import Element, own_action
from tests.adversarial.processes import Say
from tests.adversarial.writers import KF, in_threads
from tests.servers.databases import NOW

__all__ = ["WHO", "entry", "race"]

WHO = "wm-race"


def entry(key: str) -> Element:
    """Return an own entry with this idempotency key."""
    return own_action(KF, WHO, NOW, actor="test", via="recall_msg", key=key)


def race(say: Say, url: str, name: str, threads: int, count: int) -> None:
    """Record ``count`` own entries per thread, each expecting the version after the last that this thread heard of.

    Says ``("done", version expected, key, position)`` or ``("lost", expected, current)`` of each attempt.
    """

    def work(own: str) -> None:
        chance, version = random.Random(own), 0
        for number in range(count):
            key = f"{own}-{number}"
            done = False
            while not done:
                try:
                    position = engine.record(entry(key), expected=version).position
                except VersionConflictError as error:
                    say(("lost", version, error.expected, error.current))
                    version = error.current if chance.random() < 0.9 else error.current + 1
                else:
                    say(("done", version, key, position))
                    version, done = version + 1, True

    with Engine(url, lock_timeout=60) as engine:
        in_threads([lambda own=f"{name}{number}": work(own) for number in range(threads)])  # type: ignore[misc]
