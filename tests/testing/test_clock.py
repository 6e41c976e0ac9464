"""The frozen clock."""

from kfstate.clock import Clock
from kfstate.testing import FrozenClock


def test_stands_still_until_moved() -> None:
    """It shows the same time until it is told to move."""
    clock: Clock = FrozenClock(5)
    assert [5, 5] == [clock.now(), clock.now()]


def test_advances_by_seconds() -> None:
    """``advance`` takes seconds, shows microseconds and returns the new time."""
    clock = FrozenClock.at(100)
    assert 101_500_000 == clock.advance(1.5)
    assert 101_500_000 == clock.now()


def test_can_be_set_back() -> None:
    """``set`` shows any time, earlier ones included."""
    clock = FrozenClock(9)
    clock.set(3)
    assert 3 == clock.now()
