"""Subscriptions: every entry, in order, exactly once; retries, dead letters, refusals."""

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from kfstate import (
    ArgumentError,
    CheckpointError,
    Event,
    PoisonEntryError,
    TransactionError,
    UnknownDeadLetterError,
    UnknownSubscriptionError,
    Upcaster,
)
from kfstate.engine import Engine
from kfstate.store.dialect import query
from kfstate.testing import FrozenClock
from tests.engine.story import own
from tests.feed.words import Noting, append, make_table, noted, view_of, when
from tests.servers.databases import NOW

__all__: list[str] = []

TWICE = {"attempts": 2, "backoff": 0.001}


def test_every_entry_once_in_order(engine: Engine) -> None:
    """A subscription catches up in batches, then goes on where it was; handlers and checkpoint commit together."""
    make_table(engine)
    append(engine, *range(7))
    note = Noting()
    subscription = engine.subscribe("a", note, batch=3)
    subscription.run(until_idle=True)
    assert list(range(1, 9)) == note.calls
    append(engine, 8, 9)
    engine.subscribe("a", note, start="now").run(until_idle=True)
    assert [(position, "") for position in range(1, 11)] == noted(engine)
    view = view_of(engine, "a")
    assert (10, 0, "stopped", None, 0) == (view.position, view.lag, view.status, view.owner, view.dead_letters)
    assert view.checkpoint == list(engine.read_all())[-1].checkpoint


def test_start(engine: Engine) -> None:
    """A new subscription begins at the beginning, now, after a position or a checkpoint; the log must have it."""
    append(engine, 1, 2, 3)
    third = list(engine.read_all())[2]
    for start, expected in (("beginning", [1, 2, 3, 4]), ("now", []), (2, [3, 4]), (third.checkpoint, [4])):
        seen: list[int] = []
        name = f"from {expected}"
        engine.subscribe(name, lambda event, seen=seen: seen.append(event.position), start=start).run(until_idle=True)  # type: ignore[arg-type,misc]
        assert expected == seen
    with pytest.raises(CheckpointError):
        engine.subscribe("beyond", print, start=9)
    for name in ("", "x" * 65):
        with pytest.raises(ArgumentError, match="1 to 64 bytes"):
            engine.subscribe(name, print)


def test_lag_is_told(engine: Engine, clock: FrozenClock) -> None:
    """The lag is that of the entries, and the age of the oldest that is not handled."""
    engine.subscribe("a", print, start="now")
    append(engine, 1)
    clock.advance(5)
    append(engine, 2)
    clock.advance(2)
    view = view_of(engine, "a")
    assert (2, 7.0) == (view.lag, round(view.lag_seconds, 3))


def test_failing_entry_becomes_a_dead_letter(engine: Engine) -> None:
    """An entry that fails is tried as often as it may, alone; what its handler wrote is undone; the rest goes on."""
    make_table(engine)
    append(engine, *range(5))
    note = Noting(fails=[3, 5])
    engine.subscribe("a", note, **TWICE).run(until_idle=True)  # type: ignore[arg-type]
    assert [1, 2, 4, 6] == [position for position, _ in noted(engine)]
    assert [2, 2] == [note.calls.count(3), note.calls.count(5)]
    first, second = engine.dead_letters("a")
    assert ("a:3", "a", 3, "dead", "ValueError", "no to 3", 2) == (
        first.id, first.name, first.position, first.status, first.error, first.message, first.attempts,
    )  # fmt: skip
    assert "Noting" in first.traceback or "no to 3" in first.traceback
    assert [second] == list(engine.dead_letters(after=("a", 3)))
    assert [first] == list(engine.dead_letters(limit=1))
    assert [] == list(engine.dead_letters("b"))
    assert 2 == view_of(engine, "a").dead_letters


def test_entries_of_a_batch_before_the_failing_one_are_rolled_back_first(engine: Engine) -> None:
    """The batch is undone as a whole, then done again one by one: nothing twice."""
    make_table(engine)
    append(engine, *range(3))
    note = Noting(fails=[4])
    engine.subscribe("a", note, **TWICE).run(until_idle=True)  # type: ignore[arg-type]
    assert [1, 2, 3, 4, 1, 2, 3, 4] == note.calls
    assert [1, 2, 3] == [position for position, _ in noted(engine)]


def test_requeue(engine: Engine) -> None:
    """A dead letter is handled again, by whoever runs the subscription, and goes when it could be; else it stays."""
    make_table(engine)
    append(engine, *range(3))
    note = Noting(fails=[3])
    subscription = engine.subscribe("a", note, **TWICE)  # type: ignore[arg-type]
    subscription.run(until_idle=True)
    engine.requeue("a:3")
    assert ["requeued"] == [letter.status for letter in engine.dead_letters()]
    subscription.run(until_idle=True)
    assert [("dead", 4)] == [(letter.status, letter.attempts) for letter in engine.dead_letters()]
    note.fails.clear()
    engine.requeue("a:3")
    subscription.run(until_idle=True)
    assert [] == list(engine.dead_letters())
    assert [1, 2, 3, 4] == [position for position, _ in noted(engine)]
    for unknown in ("a:3", "a", "b:1", "a:x", "", f"a:{10**30}"):
        with pytest.raises(UnknownDeadLetterError):
            engine.requeue(unknown)


def test_requeued_letter_has_the_event_of_its_entry(engine: Engine) -> None:
    """The second time the handler gets the same event, steps included."""
    append(engine, 1, 2)
    seen: list[Event] = []

    def fail(event: Event) -> None:
        seen.append(event)
        if len(seen) == 2:
            raise ValueError

    subscription = engine.subscribe("a", fail, transactional=False, attempts=1)
    subscription.run(until_idle=True)
    engine.requeue("a:2")
    subscription.run(until_idle=True)
    assert [1, 2, 3, 2] == [event.position for event in seen]
    assert seen[1] == seen[3]


def test_stop_on_error(engine: Engine) -> None:
    """Told to stop, it ends with the handler's error at that entry, says so, and goes on from there when run again."""
    make_table(engine)
    append(engine, *range(3))
    note = Noting(fails=[3])
    subscription = engine.subscribe("a", note, on_error="stop", **TWICE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no to 3"):
        subscription.run(until_idle=True)
    view = view_of(engine, "a")
    assert ("failed", "ValueError: no to 3", 2) == (view.status, view.error, view.position)
    note.fails.clear()
    subscription.run(until_idle=True)
    assert [1, 2, 3, 4] == [position for position, _ in noted(engine)]
    assert ("stopped", None) == (view_of(engine, "a").status, view_of(engine, "a").error)


def test_error_beside_is_raised_by_stop(engine: Engine) -> None:
    """What ended a subscription that ran beside is not lost."""
    append(engine, 1)
    subscription = engine.subscribe("a", lambda _: 1 / 0, on_error="stop", attempts=1)
    subscription.start()
    assert when(lambda: view_of(engine, "a").status == "failed")
    with pytest.raises(ZeroDivisionError):
        subscription.stop()


def test_error_that_the_handler_hides_is_its_own(engine: Engine) -> None:
    """A handler that breaks the transaction, and swallows the error, has its entry put aside, and no other."""
    make_table(engine)
    append(engine, 1, 2)

    def hide(event: Event) -> None:
        assert event.connection is not None
        event.connection.execute(text("INSERT INTO noted VALUES (:position, 'h')"), {"position": event.position})
        if event.position == 2:
            try:
                event.connection.execute(text("SELECT nothing FROM nowhere"))
            except Exception:  # noqa: BLE001 (as people do)
                return

    engine.subscribe("a", hide, **TWICE).run(until_idle=True)  # type: ignore[arg-type]
    positions = [position for position, _ in noted(engine)]
    dead = [letter.position for letter in engine.dead_letters()]
    assert [1, 2, 3] == sorted(positions + dead)
    assert {1, 3} <= set(positions)


def test_transaction_of_its_own_is_refused_at_once(engine: Engine) -> None:
    """A handler that asks the engine for another transaction would wait for itself; it is told instead."""
    make_table(engine)
    append(engine, 1)
    entry = own(5, "own_action", via="x")

    def record(event: Event) -> None:
        if event.entry.kind == "customer_message":
            engine.record(entry)

    engine.subscribe("a", record, attempts=1).run(until_idle=True)
    assert [(2, "TransactionError")] == [(letter.position, letter.error) for letter in engine.dead_letters()]
    assert TransactionError.__name__ == next(engine.dead_letters()).error


def test_handler_may_append_in_its_transaction(engine: Engine) -> None:
    """What a handler records on its connection is committed with the checkpoint, and comes in its turn."""
    append(engine, 1)
    seen: list[str] = []

    def record(event: Event) -> None:
        seen.append(event.entry.kind)
        if event.entry.kind == "customer_message":
            engine.record(own(5, "own_action", via="x", key=f"k{event.position}"), connection=event.connection)

    engine.subscribe("a", record).run(until_idle=True)
    assert ["machine_activated", "customer_message", "own_action"] == seen


def test_poison_entry_is_put_aside(url: str, clock: FrozenClock) -> None:
    """An entry that cannot be shown is named in a dead letter, after one attempt; the handler never sees it."""

    def throws(_payload: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("gone")

    with Engine(url, clock=clock, upcasters=[Upcaster("own_action", 1, 2, throws)]) as engine:
        append(engine, 1)
        engine.record(own(5, "own_action", via="x"))
        append(engine, 2)
        seen: list[int] = []
        engine.subscribe("a", lambda event: seen.append(event.position)).run(until_idle=True)
        assert [1, 2, 4] == sorted(set(seen))
        (letter,) = engine.dead_letters()
        assert (3, PoisonEntryError.__name__, 1) == (letter.position, letter.error, letter.attempts)
        assert "upcaster of own_action 1: KeyError" in letter.message
    with Engine(url, clock=clock) as engine:
        engine.requeue(letter.id)
        engine.subscribe("a", lambda event: seen.append(event.position)).run(until_idle=True)
        assert [3] == seen[-1:]


def test_texts_that_databases_refuse_are_told_anyway(engine: Engine) -> None:
    """NUL, half characters and endless messages do not keep an entry from being put aside."""
    append(engine, 1)

    def odd(_event: Event) -> None:
        raise ValueError("\0 \ud800 客户" + "x" * 100_000)

    engine.subscribe("a", odd, attempts=1, start="beginning").run(until_idle=True)
    assert ["客户" in letter.message for letter in engine.dead_letters()] == [True, True]


def test_not_transactional(engine: Engine) -> None:
    """A handler outside of the transaction has no connection, may use the engine, and is called at least once."""
    append(engine, 1, 2)
    seen: list[tuple[int, object, int]] = []

    def handle(event: Event) -> None:
        seen.append((event.position, event.connection, view_of(engine, "a").position))
        if event.position == 2 and len(seen) == 2:
            raise ValueError

    engine.subscribe("a", handle, transactional=False, backoff=0.001).run(until_idle=True)
    assert [(1, None, 0), (2, None, 1), (2, None, 1), (3, None, 2)] == seen


def test_subscription_waits_for_the_projections(engine: Engine) -> None:
    """Where the projections are behind, entries come with their steps, later; never without them."""
    append(engine, 1, 2)
    with engine._writing() as conn:
        query(conn, "UPDATE kf_projection SET position = 2 WHERE name = 'shipped'")
    with_steps: list[int] = []
    without: list[int] = []
    both = engine.subscribe("a", lambda event: with_steps.append(event.position))
    both.run(until_idle=True)
    engine.subscribe("b", lambda event: without.append(event.position), steps=False).run(until_idle=True)
    assert ([1, 2], [1, 2, 3]) == (with_steps, without)
    with engine._writing() as conn:
        query(conn, "UPDATE kf_projection SET position = 3 WHERE name = 'shipped'")
    both.run(until_idle=True)
    assert [1, 2, 3] == with_steps


@pytest.mark.databases("sqlite")
def test_log_that_lost_its_tail_is_refused(url: str, tmp_path: Path, clock: FrozenClock) -> None:
    """A subscription whose entries are gone fails, also when others have taken their positions, and skips none."""
    file, backup = Path(url.removeprefix("sqlite:///")), tmp_path / "backup.db"
    with Engine(url, clock=clock) as engine:
        append(engine, 1)
    shutil.copy(file, backup)
    with Engine(url, clock=clock) as engine:
        append(engine, 2, 3)
        engine.subscribe("a", lambda _: None).run(until_idle=True)
        with engine._reading() as conn:
            rows = query(conn, "SELECT * FROM kf_subscription")
    shutil.copy(backup, file)
    with Engine(url, clock=clock) as engine:
        with engine._writing() as conn:  # what an application restores apart, or another database holds
            query(conn, f"INSERT INTO kf_subscription VALUES ({', '.join('?' * len(rows[0]))})", rows[0])
        seen: list[int] = []
        subscription = engine.subscribe("a", lambda event: seen.append(event.position))
        for more in (4, 5, 6), (7, 8, 9):
            with pytest.raises(CheckpointError):
                subscription.run(until_idle=True)
            assert ("failed", []) == (view_of(engine, "a").status, seen)
            append(engine, *more)
        engine.unsubscribe("a")
        engine.subscribe("a", lambda event: seen.append(event.position), start=2).run(until_idle=True)
        assert [3, 4, 5, 6, 7, 8] == seen


def test_unsubscribe(engine: Engine) -> None:
    """A subscription that is removed is gone with its dead letters; who runs it ends, and says why."""
    append(engine, 1)
    subscription = engine.subscribe("a", lambda _: 1 / 0, attempts=1, poll=0.02)
    subscription.start()
    assert when(lambda: view_of(engine, "a").dead_letters == 2)
    engine.unsubscribe("a")
    assert when(lambda: subscription.error is not None)
    with pytest.raises(UnknownSubscriptionError):
        subscription.stop()
    assert ([], []) == (engine.subscriptions(), list(engine.dead_letters()))
    with pytest.raises(UnknownSubscriptionError):
        engine.unsubscribe("a")


def test_running_twice_is_refused(engine: Engine) -> None:
    """One subscription object runs once at a time."""
    with engine.subscribe("a", lambda _: None) as subscription:
        for again in (subscription.run, subscription.start):
            with pytest.raises(RuntimeError):
                again()
    subscription.run(until_idle=True)


def test_stop_from_inside(engine: Engine) -> None:
    """A handler may stop its own subscription; the entry that it handles is done."""
    append(engine, 1, 2, 3)
    seen: list[int] = []

    def handle(event: Event) -> None:
        seen.append(event.position)
        if event.position == 2:
            subscription.stop()

    subscription = engine.subscribe("a", handle, batch=1)
    subscription.start()
    assert when(lambda: view_of(engine, "a").status == "stopped" and len(seen) == 2)
    subscription.stop()
    assert 2 == view_of(engine, "a").position


def test_closing_the_engine_stops_what_runs_beside(url: str) -> None:
    """No thread of an engine that was closed is left."""
    with Engine(url, clock=FrozenClock.at(NOW)) as engine:
        append(engine, 1)
        handled = threading.Event()
        engine.subscribe("a", lambda _: handled.set()).start()
        assert handled.wait(30)
    assert when(lambda: not any(thread.name.startswith("kfstate") for thread in threading.enumerate()))
