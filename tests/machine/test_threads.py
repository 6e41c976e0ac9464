"""One machine serves every conversation of every thread."""

import random
import threading

from kfstate.machine import Entry, SessionMachine, SessionState, fold
from tests.machine.random_histories import seeded

__all__: list[str] = []

THREADS = 4


def test_threads_share_the_machines() -> None:
    """Four threads that fold and feed different conversations at once get what each would get alone."""
    stories = [[seeded(random.Random(100 * number + at), 60) for at in range(8)] for number in range(THREADS)]
    fed: list[list[SessionState]] = [[] for _ in range(THREADS)]
    folded: list[list[SessionState]] = [[] for _ in range(THREADS)]
    start = threading.Barrier(THREADS)
    SessionMachine._built = None  # the first use builds it, and all come at once

    def work(number: int) -> None:
        start.wait()
        for story in stories[number]:
            machine = SessionMachine()
            for made in story:
                machine.feed(made)
            fed[number].append(machine.state)
            folded[number].append(fold(story)[-1].state)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, own in enumerate(stories):
        assert [alone(story) for story in own] == fed[number]
        assert [fold(story)[-1].state for story in own] == folded[number]


def alone(story: list[Entry]) -> SessionState:
    """Feed a story with nobody else about."""
    machine = SessionMachine()
    for made in story:
        machine.feed(made)
    return machine.state
