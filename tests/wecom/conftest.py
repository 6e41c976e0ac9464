"""A fake WeCom with an engine, seen from where calls are made, or from where states are read."""

from collections.abc import Iterator

import pytest

from kfstate.testing import FrozenClock
from tests.wecom.desk import Desk, desk_on
from tests.wecom.watching import START, Shop, opened

__all__: list[str] = []


@pytest.fixture
def clock() -> FrozenClock:
    """The time of everything."""
    return FrozenClock.at(START)


@pytest.fixture
def shop(url: str, clock: FrozenClock) -> Iterator[Shop]:
    """A shop on an empty database."""
    with opened(url, clock) as made:
        yield made


@pytest.fixture
def desk(url: str) -> Iterator[Desk]:
    """A fake WeCom and an engine."""
    yield from desk_on(url)
