"""Wait until a run of the tests is over, then stop its servers and remove its folder: ``python keeper.py FOLDER``.

A process of its own, so that the servers go also where the tests were interrupted or killed. Standard library only.
"""

import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SIGNALS = {"postmaster.pid": signal.SIGINT, "mariadbd.pid": signal.SIGKILL}
"""What ends each server fast: what MariaDB writes on its way out nobody reads any more."""


def servers(folder: Path) -> Iterator[tuple[int, signal.Signals]]:
    """Yield the process of every server of the run, and what ends it."""
    for name, ending in SIGNALS.items():
        for file in folder.rglob(name):
            with suppress(OSError, ValueError):
                process = int(file.read_text().split()[0])
                if ours(process, folder):
                    yield process, ending


def ours(process: int, folder: Path) -> bool:
    """Tell whether a process runs, and in the run's folder: numbers of processes come again."""
    try:
        os.kill(process, 0)
        return not Path("/proc/self").exists() or Path(f"/proc/{process}/cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


def stop(folder: Path) -> None:
    """Stop every server."""
    for patience in range(200):
        running = list(servers(folder))
        if not running and patience > 5:  # one that was just being started may show up late
            return
        for process, ending in running:
            with suppress(ProcessLookupError):
                if patience % 50 == 0:
                    os.kill(process, ending if patience < 100 else signal.SIGKILL)
        time.sleep(0.05)


def main(folder: Path) -> None:
    """Wait, stop, remove."""
    with (folder / "alive").open("w") as alive:
        fcntl.lockf(alive, fcntl.LOCK_EX)  # until the run gives it back, or is gone
        stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
