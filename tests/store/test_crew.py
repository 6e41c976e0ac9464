"""Processes that work beside one end with it, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kfstate.concurrency import THREADS
from kfstate.errors import WorkerLostError
from kfstate.store.crew import Crew
from kfstate.store.database import Database

ROOT = Path(__file__).parents[2]


@pytest.mark.databases("sqlite")
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["killed", "Ctrl-C"])
def test_none_is_left(url: str, tmp_path: Path, how: str) -> None:
    """Killed, it takes them with it; Ctrl-C ends all at once, and only one of them says so."""
    command = [sys.executable, "-m", "tests.store.sleeper", url, str(tmp_path / "asleep")]
    (tmp_path / "asleep").mkdir()
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as main:
        until(lambda: 2 == len(asleep(tmp_path)))
        if how == "killed":
            main.kill()
        else:
            os.killpg(main.pid, signal.SIGINT)
        said = main.communicate(timeout=20)[1]
    assert (0 if how == "killed" else 1) == said.count("Traceback (most recent call last)"), said
    until(lambda: not any(runs(pid) for pid in asleep(tmp_path)))
    assert 2 == len(asleep(tmp_path))


@pytest.mark.databases("sqlite")
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("way", ["each", "in_order"])
def test_one_is_killed(url: str, way: str) -> None:
    """That is an error of ours, whoever waits for the result; there is none to begin with anything more."""
    with Crew(Database(url), 2, THREADS.signal) as crew:
        with pytest.raises(WorkerLostError) as caught:
            list(getattr(crew, way)(killed, ["x"]))
        assert 2 == caught.value.processes
        with pytest.raises(WorkerLostError, match="memory"):
            crew.each(killed, ["y"])


def killed(_: Database, __: str) -> None:
    """End this process as a system does that has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)


def asleep(folder: Path) -> list[int]:
    """Return the processes that have begun with a task."""
    return [int(path.name) for path in (folder / "asleep").iterdir()]


def runs(pid: int) -> bool:
    """Tell whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.is_file() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def until(there: Callable[[], bool]) -> None:
    """Wait for something, 20 seconds at most."""
    for _ in range(1000):
        if there():
            return
        time.sleep(0.02)
    raise AssertionError("it took too long")
