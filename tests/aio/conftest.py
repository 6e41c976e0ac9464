"""A database for engines that are awaited, and the same database for one that is not."""

from pathlib import Path

import pytest

from kfstate import Engine
from kfstate.testing import FrozenClock
from tests.engine.worlds import NOW

__all__ = ["driven"]


def driven(url: str) -> str:
    """Return the URL with the asyncio driver that SQLAlchemy is to use: what an embedder writes."""
    name, colon, rest = url.partition(":")
    drivers = {"sqlite": "aiosqlite", "postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}
    return f"{name.split('+')[0]}+{drivers[name.split('+')[0]]}{colon}{rest}"


@pytest.fixture
def clock() -> FrozenClock:
    """The time of the engines under test."""
    return FrozenClock.at(NOW)


@pytest.fixture
def url(tmp_path: Path, clock: FrozenClock) -> str:
    """An empty database of one's own."""
    made = f"sqlite:///{tmp_path}/kf.db"
    Engine(made, clock=clock).close()
    return made
