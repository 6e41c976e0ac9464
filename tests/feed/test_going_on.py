"""What does not stop a subscription, and how soon it stops when it is to."""

import threading

import pytest

from kfstate import Event
from kfstate.engine import Engine
from kfstate.errors import ConnectionLostError
from kfstate.feed.running import Subscription
from kfstate.store.dialect import query
from tests.feed.words import PATIENCE, append, view_of, when

__all__: list[str] = []


def refused(engine: Engine, name: str) -> None:
    """Have a subscription put everything aside, and requeue it all."""

    def refuse(_event: Event) -> None:
        raise ValueError

    engine.subscribe(name, refuse, attempts=1).run(until_idle=True)
    for letter in list(engine.dead_letters()):
        engine.requeue(letter.id)


def project_to(engine: Engine, position: int) -> None:
    """Say that the projections are there."""
    with engine._writing() as conn:
        query(
            conn,
            "UPDATE kf_projection SET position = ?, chain = (SELECT chain FROM kf_entry WHERE position = ?)",
            (position, position),
        )


def test_letter_beyond_the_projections_waits(engine: Engine) -> None:
    """A letter whose steps are not there yet is left for later, and the others are handled."""
    append(engine, 1, 2)
    refused(engine, "a")
    project_to(engine, 2)
    seen: list[int] = []
    subscription = engine.subscribe("a", lambda event: seen.append(event.position))
    subscription.run(until_idle=True)
    assert ([1, 2], ["requeued"]) == (seen, [letter.status for letter in engine.dead_letters()])
    project_to(engine, 3)
    subscription.run(until_idle=True)
    assert ([1, 2, 3], []) == (seen, list(engine.dead_letters()))


def test_letter_of_another_log_is_put_aside(engine: Engine) -> None:
    """A letter about an entry that is not in this log goes back, and says why; the rest goes on."""
    append(engine, 1, 2)
    refused(engine, "a")
    with engine._writing() as conn:
        query(conn, "UPDATE kf_dead_letter SET chain = ? WHERE position = 2", (b"x" * 32,))
    seen: list[int] = []
    engine.subscribe("a", lambda event: seen.append(event.position)).run(until_idle=True)
    (letter,) = engine.dead_letters()
    assert ([1, 3], "a:2", "dead", "CheckpointError") == (seen, letter.id, letter.status, letter.error)
    assert None is view_of(engine, "a").error


@pytest.mark.parametrize("transactional", [True, False])
def test_lost_acknowledgement(engine: Engine, *, transactional: bool) -> None:
    """A commit of which nothing was heard is found, and the runner goes on at once from there."""
    append(engine, 1, 2)
    seen: list[int] = []
    lost: list[int] = []

    def handle(event: Event) -> None:
        seen.append(event.position)

    def lose() -> None:
        if seen == [1] and not lost:
            lost.append(1)
            raise ConnectionLostError("the acknowledgement")

    engine._database.committed.append(lose)
    with engine.subscribe("a", handle, batch=1, lease=600.0, poll=0.02, transactional=transactional):
        assert when(lambda: view_of(engine, "a").position == 3)
    assert ([1, 2, 3], [1]) == (seen, lost)


def test_close_waits_for_a_run_in_another_thread(url: str) -> None:
    """Closing an engine ends what runs in other threads, after its entry, with its lease given back."""
    begun, go_on = threading.Event(), threading.Event()
    ends: list[str] = []

    def handle(_event: Event) -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    def run(subscription: Subscription) -> None:
        try:
            subscription.run()
            ends.append("returned")
        finally:
            ends.append("ended")

    engine = Engine(url)
    append(engine, 1, 2)
    runner = threading.Thread(target=run, args=[engine.subscribe("a", handle, batch=1)])
    runner.start()
    assert begun.wait(PATIENCE)
    timer = threading.Timer(0.3, go_on.set)
    timer.start()
    engine.close()
    runner.join()
    timer.join()
    with Engine(url) as other:
        view = view_of(other, "a")
    assert (["returned", "ended"], "stopped", None, 1) == (ends, view.status, view.owner, view.position)


def test_stop_among_letters(engine: Engine) -> None:
    """Stopping waits for one letter, not for all of them."""
    append(engine, 1, 2, 3)
    refused(engine, "a")
    seen: list[int] = []

    def handle(event: Event) -> None:
        seen.append(event.position)
        subscription.stop()

    subscription = engine.subscribe("a", handle)
    subscription.run()
    assert ([1], 3) == (seen, len(list(engine.dead_letters())))
