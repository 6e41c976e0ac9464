"""A crew whose tasks never end, to be killed: ``python -m tests.store.sleeper URL FOLDER``; notes who sleeps."""

import os
import sys
import time
from pathlib import Path

from kfstate.concurrency import THREADS
from kfstate.store.crew import Crew
from kfstate.store.database import Database

__all__ = ["main", "sleep"]


def sleep(database: Database, folder: str) -> None:
    """Note this process, and sleep."""
    assert not database.closed
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


def main(url: str, folder: str) -> None:
    """Have two processes sleep."""
    with Crew(Database(url), 2, THREADS.signal) as crew:
        for _ in crew.in_order(sleep, [folder] * 9):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
