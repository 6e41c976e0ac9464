"""A reader of the log that keeps its cursor, with what it saw, in a file of its own; to be killed at any moment."""

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from kfstate.engine import Engine
from kfstate.store.checkpoint import Checkpoint
from tests.adversarial.processes import Say

__all__ = ["seen", "tail"]


def tail(say: Say, url: str, file: str, last: int) -> None:
    """Read the log from where the file says up to position ``last``, and say every position that is in the file."""
    with Engine(url) as engine, closing(_open(file)) as kept:
        position = 0
        while position < last:
            found = kept.execute("SELECT position, chain FROM seen ORDER BY rowid DESC LIMIT 1").fetchone()
            cursor = Checkpoint(*found) if found else 0
            before = position
            with kept:
                for entry in engine.read_all(after=cursor, limit=7):
                    kept.execute("INSERT INTO seen VALUES (?, ?)", (entry.position, entry.chain))
                    position = entry.position
            say(position)
            if position == before:
                time.sleep(0.002)


def seen(file: Path) -> Iterable[tuple[int, str]]:
    """Return positions and chains in the order in which they were seen."""
    with closing(_open(str(file))) as kept:
        return [tuple(row) for row in kept.execute("SELECT position, chain FROM seen ORDER BY rowid")]


def _open(file: str) -> sqlite3.Connection:
    kept = sqlite3.connect(file)
    kept.execute("PRAGMA synchronous = OFF")
    kept.execute("CREATE TABLE IF NOT EXISTS seen (position INTEGER, chain TEXT)")
    return kept
