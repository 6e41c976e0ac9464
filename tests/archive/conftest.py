"""One log for the tests that only read it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kfstate.store.database import Database
from tests.archive.world import make, sqlite

__all__: list[str] = []


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where a log is that no test changes."""
    url = sqlite(tmp_path_factory.mktemp("source") / "log.db")
    make(url)
    return url


@pytest.fixture
def log(source: str) -> Iterator[Database]:
    """That log, to be read."""
    database = Database(source)
    yield database
    database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where an archive is to be."""
    return tmp_path / "archive"


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """Where nothing is yet."""
    return sqlite(tmp_path / "restored.db")
