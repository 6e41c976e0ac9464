"""What is done with ``eventsourcing``, whichever way it is used."""

import random
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from tests.benchmarks.data import LOOKUPS, PAGES
from tests.benchmarks.subject import Stopwatch, settle
from tests.benchmarks.talk import ids

__all__ = ["App", "Open", "ingest", "replay", "state"]


class App(Protocol):
    """An application of ``eventsourcing``: the two things that are measured."""

    def take(self, page: bytes, /) -> int:
        """Store a page."""
        ...

    def one(self, name: str, /) -> int:
        """Get one conversation."""
        ...


class Open(Protocol):
    """Opens a database."""

    def __call__(self, path: Path, /, *, keep: bool) -> AbstractContextManager[App]:
        """Open it."""
        ...


def _fill(application: Open, folder: Path, path: Path, watch: Stopwatch, pages: int | None = None) -> int:
    done = 0
    with application(path, keep=True) as app, (folder / PAGES).open("rb") as file:
        settle()
        with watch.running():
            for line in islice(file, pages):
                done += app.take(line)
    return done


def _names(application: Open, folder: Path, name: str) -> list[str]:
    """Make the database of the pages, once, and return the names of its conversations."""
    path = folder / name
    if not path.is_file():
        _fill(application, folder, path, Stopwatch())
    return ids(path)


def ingest(application: Open, folder: Path, watch: Stopwatch, *, pages: int | None = None) -> int:
    """Decode and append pages (only the first ones where a number is given), with one projection."""
    with TemporaryDirectory(dir=folder) as scratch:
        return _fill(application, folder, Path(scratch) / "theirs.db", watch, pages)


def replay(application: Open, folder: Path, watch: Stopwatch, *, name: str) -> int:
    """Get every aggregate from the repository."""
    wanted = _names(application, folder, name)
    done = 0
    with application(folder / name, keep=False) as app:
        settle()
        with watch.running():
            for one in wanted:
                done += app.one(one)
    return done


def state(application: Open, folder: Path, watch: Stopwatch, *, name: str) -> int:
    """Get one aggregate from the repository, again and again."""
    chosen = random.Random(1).choices(_names(application, folder, name), k=LOOKUPS + 200)
    with application(folder / name, keep=False) as app:
        for one in chosen[:200]:
            app.one(one)
        settle()
        with watch.running():
            for one in chosen[200:]:
                app.one(one)
    return LOOKUPS
