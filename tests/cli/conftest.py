"""What the tests of the command line share: a folder of their own, no settings from outside, a database of samples."""

import os
from pathlib import Path

import pytest

from kfstate import samples
from kfstate.engine import Engine

__all__: list[str] = []


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run each test in an empty folder, without the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(("KFSTATE_", "LC_", "NO_COLOR", "FORCE_COLOR"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database that holds the shipped samples; nobody writes to it."""
    path = tmp_path_factory.mktemp("sampled") / "samples.db"
    with Engine(f"sqlite:///{path}") as engine:
        engine.ingest(samples.paths())
    return path
