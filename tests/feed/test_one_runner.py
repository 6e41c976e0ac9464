"""One runner for each name: leases, hand-overs, fences; threads and processes that all want to."""

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from kfstate import Checkpoint, Event, LeaseLostError
from kfstate.clock import SECOND
from kfstate.engine import Engine
from kfstate.feed import lease as leases
from kfstate.feed.lease import Lease
from kfstate.testing import FrozenClock
from tests.adversarial.processes import beside, until
from tests.feed import runners
from tests.feed.words import PATIENCE, Noting, append, make_table, noted, view_of, when

__all__: list[str] = []

LENGTH = 30 * SECOND


def claim(engine: Engine, owner: str) -> Lease | None:
    """Claim the subscription ``a``."""
    with engine._writing() as conn:
        return leases.claim(conn, "a", owner, clock=engine._clock, length=LENGTH, restart=False)


def moved(engine: Engine, lease: Lease, to: Checkpoint) -> Lease:
    """Move the checkpoint, without locking first."""
    with engine._writing() as conn:
        return leases.move(conn, lease, to, now=engine._clock.now(), length=LENGTH)


def test_lease_keeps_others_out_until_it_ends(engine: Engine, clock: FrozenClock) -> None:
    """Nobody claims what is held; from the end of the lease on, or once it was given back, the next one does."""
    engine.subscribe("a", print)
    first = claim(engine, "one")
    assert first is not None
    clock.advance(29.9)
    assert None is claim(engine, "two")
    assert "running" == view_of(engine, "a").status
    clock.advance(0.1)
    assert "abandoned" == view_of(engine, "a").status
    second = claim(engine, "two")
    assert second is not None
    assert (first.epoch + 1, "two") == (second.epoch, view_of(engine, "a").owner)
    with engine._writing() as conn:
        leases.release(conn, second)
    assert claim(engine, "three") is not None


def test_renewing_keeps_it(engine: Engine, clock: FrozenClock) -> None:
    """A lease that is lengthened in time is not lost, however long it takes."""
    engine.subscribe("a", print)
    lease = claim(engine, "one")
    for _ in range(5):
        assert lease is not None
        clock.advance(20)
        with engine._writing() as conn:
            lease = leases.renew(conn, lease, now=clock.now(), length=LENGTH)
        assert None is claim(engine, "two")


@pytest.mark.parametrize("guard", ["lock", "move", "renew", "look"])
def test_stale_epoch_is_refused(engine: Engine, clock: FrozenClock, guard: str) -> None:
    """Whoever lost the lease can neither begin, nor commit, nor come back; each guard by itself says so."""
    engine.subscribe("a", print)
    append(engine, 1)
    first = claim(engine, "one")
    clock.advance(31)
    second = claim(engine, "two")
    assert first is not None
    assert second is not None
    to = next(iter(engine.read_all())).checkpoint
    ways: dict[str, Callable[[Lease], object]] = {
        "lock": lambda lease: in_transaction(engine, leases.lock, lease),
        "look": lambda lease: in_transaction(engine, leases.look, lease),
        "move": lambda lease: moved(engine, lease, to),
        "renew": lambda lease: renewed(engine, lease),
    }
    with pytest.raises(LeaseLostError) as caught:
        ways[guard](first)
    assert ("a", first.epoch, second.epoch) == (caught.value.name, caught.value.epoch, caught.value.current)
    ways[guard](second)
    with engine._writing() as conn:
        leases.release(conn, first)
    assert "two" == view_of(engine, "a").owner


def in_transaction(engine: Engine, ask: Callable[..., object], lease: Lease) -> None:
    """Ask in a transaction."""
    with engine._writing() as conn:
        ask(conn, lease)


def renewed(engine: Engine, lease: Lease) -> Lease:
    """Lengthen a lease."""
    with engine._writing() as conn:
        return leases.renew(conn, lease, now=engine._clock.now(), length=LENGTH)


@pytest.mark.parametrize("guard", ["lock", "move"])
def test_checkpoint_that_is_elsewhere_is_refused(engine: Engine, guard: str) -> None:
    """The same epoch with another position is refused as well: nothing is handled, or skipped, twice."""
    engine.subscribe("a", print)
    append(engine, 1)
    lease = claim(engine, "one")
    assert lease is not None
    first, second = engine.read_all()
    moved(engine, lease, first.checkpoint)
    ways: dict[str, Callable[[Lease], object]] = {
        "lock": lambda lease: in_transaction(engine, leases.lock, lease),
        "move": lambda lease: moved(engine, lease, second.checkpoint),
    }
    with pytest.raises(LeaseLostError):
        ways[guard](lease)
    assert 1 == view_of(engine, "a").position


def test_runner_that_lost_its_lease_in_its_handler_commits_nothing(engine: Engine, clock: FrozenClock) -> None:
    """A handler that slept through its lease: the other one has done the entry, and what this one did is undone.

    Outside of a transaction, because inside of one the row is locked, and nobody takes over.
    """
    append(engine, 1)
    calls: list[str] = []

    def sleeps(event: Event) -> None:
        calls.append(f"one {event.position}")
        if event.position == 1 and len(calls) == 1:
            clock.advance(100)
            engine.subscribe("a", lambda event: calls.append(f"two {event.position}")).run(until_idle=True)

    engine.subscribe("a", sleeps, transactional=False).run(until_idle=True)
    assert ["one 1", "two 1", "two 2"] == calls
    assert 2 == view_of(engine, "a").position


@pytest.mark.databases("servers")
def test_nobody_takes_over_in_the_middle_of_a_transaction(url: str) -> None:
    """A transactional handler that outlives its lease keeps the row: the other one waits, and does nothing twice."""
    begun, go_on = threading.Event(), threading.Event()
    with Engine(url) as one, Engine(url) as two:
        make_table(one)
        append(one, 1)

        def slow(event: Event) -> None:
            if event.position == 2:
                begun.set()
                assert go_on.wait(PATIENCE)

        first, second = Noting("one", before=slow), Noting("two")
        with one.subscribe("a", first, lease=0.2, poll=0.02):
            assert begun.wait(PATIENCE)
            with two.subscribe("a", second, lease=0.2, poll=0.02):
                assert not when(lambda: bool(second.calls), patience=1.0)
                go_on.set()
                append(one, 2)
                assert when(lambda: view_of(one, "a").position == 3)
        assert [1, 2, 3] == [position for position, _ in noted(one)]


def test_standby_goes_on_at_once_when_the_first_one_stops(url: str) -> None:
    """After a clean stop nobody waits for the end of a lease."""
    with Engine(url) as one, Engine(url) as two:
        make_table(one)
        first, second = Noting("one"), Noting("two")
        leading = one.subscribe("a", first, lease=3_600.0, poll=0.05)
        leading.start()
        append(one, 1)
        assert when(lambda: view_of(one, "a").position == 2)
        with two.subscribe("a", second, lease=3_600.0, poll=0.05):
            leading.stop()
            append(one, 2, 3)
            assert when(lambda: view_of(one, "a").position == 4)
        assert ([1, 2], [3, 4]) == (first.calls, second.calls)


def test_nobody_takes_over_what_failed(url: str) -> None:
    """A subscription that was to stop at an error stays stopped beside a standby, until somebody runs it anew."""
    with Engine(url) as one, Engine(url) as two:
        make_table(one)
        failing = Noting("one", fails=[2])
        leading = one.subscribe("a", failing, lease=60.0, poll=0.02, on_error="stop", attempts=1)
        leading.start()
        assert when(lambda: view_of(one, "a").position == 1)
        second = Noting("two")
        with two.subscribe("a", second, poll=0.02):
            assert not when(lambda: bool(second.calls), patience=0.3)
            append(one, 1)
            assert when(lambda: view_of(one, "a").status == "failed")
            assert not when(lambda: bool(second.calls), patience=0.5)
        with pytest.raises(ValueError, match="no to 2"):
            leading.stop()
        two.subscribe("a", second).run(until_idle=True)
        assert [2] == second.calls


def test_until_idle_waits_for_whoever_runs_it(url: str) -> None:
    """A one-shot run beside a running one ends when everything is handled, by whomever."""
    with Engine(url) as one, Engine(url) as two:
        make_table(one)
        append(one, *range(20))
        with one.subscribe("a", Noting("one"), batch=1):
            two.subscribe("a", Noting("two"), poll=0.02).run(until_idle=True)
            assert 21 == len(noted(two))


@pytest.mark.slow
def test_eight_runners_in_threads(url: str) -> None:
    """Eight runners want the same name while entries come in: each entry takes effect exactly once, in order."""
    with ExitStack() as stack:
        engines = [stack.enter_context(Engine(url)) for _ in range(4)]
        make_table(engines[0])
        for number in range(8):
            note = Noting(str(number))
            engine = engines[number % 4]
            stack.enter_context(engine.subscribe("a", note, lease=0.5, poll=0.02, batch=3))
        append(engines[0], *range(60))
        assert when(lambda: view_of(engines[0], "a").position == 61)
        assert list(range(1, 62)) == [position for position, _ in noted(engines[0])]


@pytest.mark.slow
def test_eight_processes_and_the_leader_killed(url: str) -> None:
    """Eight processes, whose leader is killed again and again: exactly once, in order, none left out."""
    with Engine(url) as engine, ExitStack() as stack:
        make_table(engine)
        engine.subscribe("a", print)
        children = {
            str(number): stack.enter_context(beside(runners.follow, url, str(number), 0.5, 4)) for number in range(8)
        }
        stack.enter_context(beside(runners.write, url, 0, 80))
        for killed in range(1, 6):
            until(lambda killed=killed: len(noted(engine)) >= 8 * killed)  # type: ignore[misc]
            leader = noted(engine)[-1][1]
            if leader in children:
                children.pop(leader).kill()
        assert when(lambda: view_of(engine, "a").position == 81)
        found = noted(engine)
        assert list(range(1, 82)) == [position for position, _ in found]
        assert 2 <= len({who for _, who in found})


@pytest.mark.slow
def test_killed_in_the_middle_of_its_transaction(url: str) -> None:
    """A runner that dies in its handler leaves nothing behind, and the next one handles the entry."""
    with Engine(url) as engine:
        make_table(engine)
        engine.subscribe("a", print)
        with beside(runners.hang, url, 0.3) as hanging:
            assert 1 == hanging.hear()
            hanging.kill()
        engine.subscribe("a", Noting("next"), lease=0.3, poll=0.02).run(until_idle=True)
        assert [(1, "next")] == noted(engine)
