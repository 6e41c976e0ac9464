"""One run of the tests: a folder that its servers live in, and a keeper that stops them when the run is over."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TextIO

__all__ = ["Run", "detached"]

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "KFSTATE_TEST_RUN"
_STALE = 60.0
_LONGEST = 60
"""Paths of sockets have little more than 100 bytes."""


class Run:
    """The folder of a run, shared by all its processes."""

    def __init__(self, folder: Path) -> None:
        """Take part in the run that has this folder."""
        self.folder = folder
        self._alive: TextIO | None = None

    @classmethod
    def current(cls) -> "Run":
        """Return the run that this process belongs to."""
        return _current()

    @classmethod
    def begin(cls) -> "Run":
        """Begin a run. It ends with :meth:`end`, or with the process, whichever comes first."""
        import fcntl

        temporary = tempfile.gettempdir() if len(tempfile.gettempdir()) < _LONGEST else "/tmp"  # noqa: S108
        _sweep(Path(temporary))
        run = cls(Path(tempfile.mkdtemp(prefix="kfstate-", dir=temporary)))
        run.folder.chmod(0o755)  # servers run as another user where the tests run as root
        run._alive = (run.folder / "alive").open("w")
        fcntl.lockf(run._alive, fcntl.LOCK_EX)  # the process's own: no child inherits it
        os.environ[VARIABLE] = str(run.folder)
        return run

    def end(self) -> None:
        """End the run, and wait until its servers have stopped."""
        if self._alive is not None:
            self._alive.close()
            self._alive = None
        del os.environ[VARIABLE]
        if not (self.folder / "keeper").exists():
            shutil.rmtree(self.folder, ignore_errors=True)
        until = time.monotonic() + 30
        while self.folder.exists() and time.monotonic() < until:
            _pause()

    @contextmanager
    def alone(self, name: str) -> Iterator[Path]:
        """Do something that only one process of the run may do at a time; gives a folder of that name."""
        import fcntl

        with (self.folder / f"{name}.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            place = self.folder / name
            place.mkdir(exist_ok=True)
            yield place

    def keep(self) -> None:
        """See to it that somebody stops the servers when the run is over."""
        with self.alone("keeper") as place:
            if (place / "log").exists():
                return
            with (place / "log").open("w") as log:
                command = [sys.executable, str(Path(__file__).with_name("keeper.py")), str(self.folder)]
                detached(
                    subprocess.Popen(
                        command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                    )
                )


def _sweep(temporary: Path) -> None:
    """Remove the folders of runs that were killed before they had a keeper."""
    import fcntl

    for file in temporary.glob("kfstate-*/alive"):
        with suppress(OSError), file.open("r+") as alive:
            if file.stat().st_mtime < time.time() - _STALE and [file] == list(file.parent.iterdir()):
                fcntl.lockf(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(file.parent)


_detached: list[subprocess.Popen[bytes]] = []


def detached(process: subprocess.Popen[bytes]) -> None:
    """Let a process run on when nobody holds it any more; the keeper ends it."""
    _detached.append(process)


@cache
def _current() -> Run:
    return Run(Path(os.environ[VARIABLE]))  # asked once: a test may change the environment


def _pause() -> None:
    time.sleep(0.02)
