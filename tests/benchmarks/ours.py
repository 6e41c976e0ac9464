"""kfstate, through what it shows to embedders."""

import random
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from kfstate import Engine
from kfstate.projections.replaying import states
from kfstate.store.dialect import begin, open_database
from kfstate.testing.clock import FrozenClock
from tests.benchmarks.data import LOG, LOOKUPS, PAGES, picks
from tests.benchmarks.subject import Stopwatch, settle

__all__ = ["grow", "hold", "ingest", "rebuild", "replay", "state"]

PAGES_A_ROUND = 10
WARM_UP = 2


def url(path: Path) -> str:
    """Return the URL of a database file."""
    return f"sqlite:///{path}"


def ingest(folder: Path, watch: Stopwatch) -> int:
    """Decode and append pages, with the chain and all projections."""
    with TemporaryDirectory(dir=folder) as scratch, Engine(url(Path(scratch) / "ours.db")) as engine:
        settle()
        with watch.running():
            report = engine.ingest(folder / PAGES)
    return report.entries


def replay(folder: Path, watch: Stopwatch) -> int:
    """Read the log and fold it to the last state of every conversation."""
    return _replay(folder, watch)


def hold(folder: Path, watch: Stopwatch) -> int:
    """Replay with a database cache of 1 MB, so that what memory there is is the fold's."""
    return _replay(folder, watch, "PRAGMA cache_size = -1000")


def _replay(folder: Path, watch: Stopwatch, *settings: str) -> int:
    database = open_database(url(folder / LOG))
    with begin(database, write=False) as conn:
        for setting in settings:
            conn.exec_driver_sql(setting).close()
        settle()
        with watch.running():
            for _ in states(conn):
                pass
        head: int = conn.exec_driver_sql("SELECT MAX(position) FROM kf_entry").scalar_one()
    database.dispose()
    return head


def rebuild(folder: Path, watch: Stopwatch) -> int:
    """Fold the whole log again into empty projections."""
    with TemporaryDirectory(dir=folder) as scratch:
        copy = Path(scratch) / "ours.db"
        shutil.copyfile(folder / LOG, copy)
        with Engine(url(copy)) as engine:
            settle()
            with watch.running():
                return engine.rebuild()


def state(folder: Path, watch: Stopwatch) -> int:
    """Ask for one conversation, again and again."""
    chosen = random.Random(1).choices(picks(folder), k=LOOKUPS + 200)
    with Engine(url(folder / LOG)) as engine:
        seconds = [view.since for view in engine.conversations(as_of_log=True, limit=100) if view.since]
    clock = FrozenClock.at(max(seconds).timestamp())
    with Engine(url(folder / LOG), clock=clock) as engine:
        for open_kfid, customer, _ in chosen[:200]:
            engine.state(open_kfid, customer)
        settle()
        with watch.running():
            for open_kfid, customer, _ in chosen[200:]:
                engine.state(open_kfid, customer)
    return LOOKUPS


def grow(folder: Path, watch: Stopwatch) -> int:
    """Ingest the next pages into a log that has some already, a few of them before the watch starts."""
    lines = (folder / PAGES).read_bytes().splitlines(keepends=True)
    fresh, rest = lines[: WARM_UP + PAGES_A_ROUND], lines[WARM_UP + PAGES_A_ROUND :]
    with Engine(url(folder / LOG)) as engine:
        engine.ingest(b"".join(fresh[:WARM_UP]))
        settle()
        with watch.running():
            report = engine.ingest(b"".join(fresh[WARM_UP:]))
    (folder / PAGES).write_bytes(b"".join(rest))
    return report.entries
