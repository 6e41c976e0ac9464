"""Engines on empty databases. ``url``, and so ``engine`` and ``tell``, are on every database; ``fresh`` is on SQLite.

What a test of a contract uses is the former; what takes many examples uses the latter.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest

from kfstate.engine import Engine
from kfstate.testing import FrozenClock
from tests.engine.story import Teller
from tests.engine.worlds import NOW, opened

__all__ = ["Fresh"]


class Fresh(Protocol):
    """Opens an engine on an empty database."""

    def __call__(self, name: str = "log") -> AbstractContextManager[tuple[Engine, FrozenClock]]:
        """Open it under this name; what was there is gone."""
        ...


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, with the machine of this release."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    with Engine(f"sqlite:///{path}", clock=FrozenClock.at(NOW)) as engine:
        assert 1 == engine.position()
    return path


@pytest.fixture(scope="session")
def fresh(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """What opens engines on empty databases; for tests that open one for each example."""
    folder = tmp_path_factory.mktemp("logs")

    def opening(name: str = "log") -> AbstractContextManager[tuple[Engine, FrozenClock]]:
        return opened(template, folder / f"{name}.db")

    return opening


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
