"""Leases: one holder at a time, and whoever lost one is told."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import IntegrityError

from kfstate.clock import SECOND
from kfstate.errors import LeaseLostError
from kfstate.store import lease as leases
from kfstate.store.database import Database
from kfstate.store.lease import LeaseKey
from kfstate.testing import FrozenClock

__all__: list[str] = []

KEY = LeaseKey("ww1", "sync", "wkA")
LENGTH = 30 * SECOND


@pytest.fixture
def clock() -> FrozenClock:
    """The time of both holders."""
    return FrozenClock.at(1_767_225_600)


@pytest.fixture
def base(url: str) -> Iterator[Database]:
    """A database with the tables."""
    database = Database(url)
    yield database
    database.close()


def claim(database: Database, owner: str, clock: FrozenClock, key: LeaseKey = KEY) -> leases.Lease | None:
    """Try to become the holder."""
    with database.writing() as conn:
        return leases.claim(conn, key, owner, clock=clock, length=LENGTH)


def test_one_holder_at_a_time(base: Database, clock: FrozenClock) -> None:
    """A lease that is held is nobody else's, one that was given back is; others are not touched."""
    first = claim(base, "a", clock)
    assert first is not None
    assert (1, "a", clock.now() + LENGTH) == (first.epoch, first.owner, first.until)
    assert claim(base, "b", clock) is None
    assert claim(base, "b", clock, LeaseKey("ww1", "sync", "wka")) is not None
    with base.writing() as conn:
        leases.release(conn, first)
    second = claim(base, "b", clock)
    assert second is not None
    assert 2 == second.epoch


def test_a_lease_runs_out(base: Database, clock: FrozenClock) -> None:
    """The lease of a holder that died is taken over when it has run out, and the dead one is fenced off."""
    first = claim(base, "a", clock)
    assert first is not None
    clock.advance(29.9)
    assert claim(base, "b", clock) is None
    clock.advance(0.1)
    assert claim(base, "b", clock) is not None
    with pytest.raises(LeaseLostError) as caught, base.writing() as conn:
        leases.check(conn, first)
    assert ("sync wkA", 1, 2) == (caught.value.name, caught.value.epoch, caught.value.current)
    with base.writing() as conn:
        leases.release(conn, first)
    assert claim(base, "c", clock) is None


def test_a_lease_can_be_renewed(base: Database, clock: FrozenClock) -> None:
    """A holder that lives keeps it; one that lost it cannot."""
    first = claim(base, "a", clock)
    assert first is not None
    clock.advance(20)
    with base.writing() as conn:
        first = leases.renew(conn, first, clock=clock, length=LENGTH)
    clock.advance(20)
    assert claim(base, "b", clock) is None
    clock.advance(20)
    assert claim(base, "b", clock) is not None
    with pytest.raises(LeaseLostError), base.writing() as conn:
        leases.renew(conn, first, clock=clock, length=LENGTH)


def test_many_want_it_for_the_first_time(base: Database, clock: FrozenClock) -> None:
    """Of many that claim a lease that was never claimed, one gets it."""
    got: list[leases.Lease] = []
    barrier = threading.Barrier(6)

    def want(owner: str) -> None:
        barrier.wait()
        try:
            lease = claim(base, owner, clock)
        except IntegrityError:
            return
        if lease is not None:
            got.append(lease)

    threads = [threading.Thread(target=want, args=(f"{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [1] == [lease.epoch for lease in got]


def test_a_clock_that_ran_ahead(base: Database, clock: FrozenClock) -> None:
    """A lease that lasts much longer than leases do holds nobody up; one of a clock a little ahead does."""
    for ahead, held in ((0, True), (89, True), (91, False), (3600, False)):
        key = LeaseKey("ww1", "sync", f"wk{ahead}")
        first = claim(base, "a", FrozenClock.at(1_767_225_600 + ahead), key)
        assert first is not None
        with base.reading() as conn:
            assert leases.is_held(conn, key, now=clock.now(), length=LENGTH) is held
        second = claim(base, "b", clock, key)
        assert (second is None) is held
        if second is not None:
            assert 2 == second.epoch
            with pytest.raises(LeaseLostError), base.writing() as conn:
                leases.check(conn, first)
