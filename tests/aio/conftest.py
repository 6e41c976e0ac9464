"""The clock of the engines under test, and connections to their database that are not theirs."""

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kfstate.testing import FrozenClock
from tests.engine.worlds import NOW

__all__ = ["embedder"]


def embedder(url: str) -> AsyncEngine:
    """Return connections of an embedder's own, through SQLAlchemy alone."""
    found = make_url(url)
    drivers = {"sqlite": "aiosqlite", "postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}
    name = found.get_backend_name()
    level = {} if name == "sqlite" else {"isolation_level": "READ COMMITTED"}
    return create_async_engine(found.set(drivername=f"{name}+{drivers[name]}"), **level)


@pytest.fixture
def clock() -> FrozenClock:
    """The time of the engines under test."""
    return FrozenClock.at(NOW)
