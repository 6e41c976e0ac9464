"""An engine on an empty database of each kind, and words to talk about subscriptions."""

from collections.abc import Iterator

import pytest

from kfstate.engine import Engine
from kfstate.testing import FrozenClock
from tests.engine.story import Teller
from tests.servers.databases import NOW

__all__: list[str] = []


@pytest.fixture
def clock() -> FrozenClock:
    """The time of the engine under test."""
    return FrozenClock.at(NOW)


@pytest.fixture
def engine(url: str, clock: FrozenClock) -> Iterator[Engine]:
    """An engine on an empty database."""
    with Engine(url, clock=clock) as made:
        yield made


@pytest.fixture
def tell(engine: Engine, clock: FrozenClock) -> Teller:
    """What tells stories to the engine."""
    return Teller(engine, clock)
