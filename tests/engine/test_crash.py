"""``kill -9`` at any moment of an ingest, then the same ingest again: as if nothing had happened."""

import contextlib
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kfstate.engine import Engine
from kfstate.store.tables import metadata
from kfstate.testing import FrozenClock, pages, write_ndjson
from tests.engine.tables import rows

__all__: list[str] = []

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10
APART = {
    "kf_entry": {"pull", "commitment", "leaf", "chain"},
    "kf_payload": {"salt"},
    "kf_name": {"salt", "commitment"},
    "kf_pull": {"id"},
    "kf_projection": {"chain", "began_at", "began_from", "updated_at"},
}
"""What another run writes otherwise: how often it pulled, what is random, and hashes over that."""


def told(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return what must be equal of every table."""
    found = {}
    with Engine(f"sqlite:///{database}", clock=FrozenClock.at(4_000_000_000)) as engine:
        assert None is engine.verify().damage
        assert (0, 0) == (engine.behind(), engine.check().different)
        for name, table in sorted(metadata.tables.items()):
            if name == "kf_log_head":
                continue
            columns = ", ".join(column.name for column in table.columns if column.name not in APART.get(name, ()))
            distinct = "DISTINCT " if name == "kf_pull" else ""  # the ingest that was killed pulled some pages twice
            found[name] = rows(engine, f"SELECT {distinct}{columns} FROM {name} ORDER BY {columns}")
    return found


def run(database: Path, file: Path, *, lines: int | None = None, seconds: float | None = None) -> bool:
    """Ingest until some transactions are reported, or some time is over, then kill; tell whether it came to its end."""
    command = [sys.executable, str(Path(__file__).with_name("ingester.py")), str(database), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}) as child:
        assert child.stdout is not None
        if lines is not None:
            for _ in range(lines):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)
        elif seconds is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(seconds)
            child.send_signal(signal.SIGKILL)
        child.communicate()
    assert child.returncode in {0, -signal.SIGKILL}
    return child.returncode == 0


@pytest.mark.slow
def test_kill_9_and_again(tmp_path: Path) -> None:
    """Killed many times, at any moment, opening and first set-up included: in the end every table is the same."""
    file = tmp_path / "pages.ndjson"
    with file.open("w", encoding="utf-8") as sink:
        write_ndjson(sink, pages(5, 60, page_size=20, shuffled=True))
    undisturbed = tmp_path / "undisturbed.db"
    assert run(undisturbed, file)
    expected = told(undisturbed)
    assert len(expected["kf_entry"]) > 500
    chance, killed, rounds = random.Random(9), 0, 0
    while killed < KILLS:
        database = tmp_path / f"killed{rounds}.db"
        rounds += 1
        while not run(
            database,
            file,
            lines=chance.randrange(1, 30) if killed % 2 else None,
            seconds=chance.uniform(0.2, 0.9),
        ):
            killed += 1
            if killed >= KILLS:
                assert run(database, file)
                break
        found = told(database)
        for name, there in expected.items():
            assert there == found[name], name
