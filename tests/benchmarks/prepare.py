"""Makes what the subjects work on, before anything is timed: pages, and the logs that kfstate makes of them."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from kfstate import Engine
from tests.benchmarks.crowd import URL
from tests.benchmarks.data import LOG, PAGES, Stream, split, take
from tests.benchmarks.lines import BASE, LARGE, SERVER, SMALL
from tests.benchmarks.ours import PAGES_A_ROUND, WARM_UP, url
from tests.servers.processes import make

__all__ = ["most_open", "postgresql", "prepare"]

FILL = "fill.ndjson"


def prepare(work: Path, *, entries: int, large: int, rounds: int, said: Callable[[str], None]) -> None:
    """Make the folder of the base, and with ``large`` those of the growth lines.

    ``large`` is how many entries the large log has, 0 for none. What an earlier run left in the folder goes.
    """
    for folder in (BASE, SMALL, LARGE):
        shutil.rmtree(work / folder, ignore_errors=True)
        (work / folder).mkdir(parents=True)
    said(f"{entries:,} entries of pages")
    stream = split()
    with (work / BASE / PAGES).open("w", encoding="utf-8") as file:
        take(stream, entries, file)
    said(f"a log of {entries:,} entries")
    fill(work / BASE / LOG, work / BASE / PAGES)
    if large:
        grow(work, stream, entries=entries, large=large, rounds=rounds, said=said)


def grow(work: Path, stream: Stream, *, entries: int, large: int, rounds: int, said: Callable[[str], None]) -> None:
    """Make a small log and a large one, each with the pages that come next."""
    further = (rounds + 1) * (WARM_UP + PAGES_A_ROUND) * 1000
    said(f"{large + further - entries:,} further entries of pages")
    with (work / LARGE / FILL).open("w", encoding="utf-8") as filling:
        with (work / SMALL / PAGES).open("w", encoding="utf-8") as file:
            written = take(stream, further, file, filling)
        take(stream, large - entries - written, filling)
    with (work / LARGE / PAGES).open("w", encoding="utf-8") as file:
        take(stream, further, file)
    for folder in (SMALL, LARGE):
        shutil.copyfile(work / BASE / LOG, work / folder / LOG)
    said(f"a log of {large:,} entries")
    fill(work / LARGE / LOG, work / LARGE / FILL)


@contextmanager
def postgresql(work: Path, *, said: Callable[[str], None]) -> Iterator[None]:
    """Run a PostgreSQL server that writes to the disk what it commits, and note its URL where the subjects look."""
    said("a PostgreSQL server")
    with TemporaryDirectory(prefix="kfstate-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        server = make("pg18", folder)
        with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write("fsync = on\nfull_page_writes = on\n")
        server.start()
        try:
            (work / SERVER).mkdir(parents=True, exist_ok=True)
            (work / SERVER / URL).write_text(f"postgresql://postgres@/postgres?host={folder}", encoding="utf-8")
            yield
        finally:
            server.stop()


def fill(database: Path, pages: Path) -> None:
    """Ingest a file."""
    with Engine(url(database)) as engine:
        engine.ingest(pages)


def most_open(database: Path) -> tuple[int, int, int]:
    """Return entries, conversations, and how many of those are open at once at most: between first entry and last."""
    connection = sqlite3.connect(database)
    sql = (
        "SELECT MIN(e.position), MAX(e.position) FROM kf_entry e JOIN kf_conversation c ON c.stream = e.stream "
        "GROUP BY e.stream"
    )
    spans = connection.execute(sql).fetchall()
    (entries,) = connection.execute("SELECT COUNT(*) FROM kf_entry").fetchone()
    connection.close()
    now = most = 0
    for _, change in sorted([(first, 1) for first, _ in spans] + [(last, -1) for _, last in spans]):
        now += change
        most = max(most, now)
    return entries, len(spans), most
