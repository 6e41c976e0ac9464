"""An archive in several tasks, and workers that find this checkout."""

import os
import sys
from pathlib import Path

import pytest

from kfstate.archive import exporting, parquet
from kfstate.archive.columnar import slices, tasks
from kfstate.archive.exporting import export
from kfstate.store.database import Database
from tests.archive.world import make, sqlite
from tests.cli.runner import ROOT

__all__: list[str] = []


@pytest.fixture(autouse=True)
def _workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers find what this process does."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log with entries of every kind as an archive, which is cut as one that is many times as large."""
    for module, name, value in ((exporting, "_FILE", 40), (slices, "_ROWS", 10)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(parquet, "group_of", lambda _: 10)
    monkeypatch.setattr(slices, "group_of", lambda _: 1)
    make(sqlite(tmp_path / "log.db"))
    database = Database(sqlite(tmp_path / "log.db"))
    export(database, tmp_path / "archive", size=150)
    database.close()
    assert len(tasks(tmp_path / "archive")) > 1
    return tmp_path / "archive"
