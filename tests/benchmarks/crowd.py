"""Many writers at once on PostgreSQL, and one who reads behind them with a cursor and must not miss an entry."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from tests.benchmarks.subject import Stopwatch, settle

__all__ = ["BATCH", "COMMITS", "THREADS", "URL", "ReadAfter", "Write", "crowd", "database", "names"]

URL = "postgres.url"
"""The file with the server's URL (database ``postgres``)."""
THREADS = 16
COMMITS = 250
"""How many commits each writer makes."""
BATCH = 20

Write = Callable[[int, int], None]
"""Makes one commit: number of the writer, number of its commit."""
ReadAfter = Callable[[int], Sequence[int]]
"""Returns the positions after one, in the order in which the feed gives them."""


def database(folder: Path, name: str) -> str:
    """Make an empty database on the server, and return its URL."""
    url = (folder / URL).read_text(encoding="utf-8")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.replace("/postgres?", f"/{name}?")


def names(writer: int, commit: int) -> tuple[str, str]:
    """Return the customer that a writer speaks for, and the msgid: each writer has 25 customers, in turn."""
    return f"wm{writer:02}x{commit % 25:02}", f"m{writer:02}x{commit:05}"


def crowd(write: Write, read_after: ReadAfter, watch: Stopwatch, *, commits: int = COMMITS, entries: int = 1) -> int:
    """Let every writer make its commits, follow the feed meanwhile, and count what it never showed.

    Returns how many entries were written; ``watch.skipped`` is how many of them the reader missed.
    """
    write(THREADS, 0)
    over = threading.Event()
    seen: list[int] = []
    reader = threading.Thread(target=_follow, args=(read_after, seen, over))
    settle()
    reader.start()
    try:
        with watch.running(), ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(_commit, write, number, commits) for number in range(THREADS)]:
                done.result()
    finally:
        over.set()
        reader.join()
    watch.skipped = len(_all(read_after) - set(seen))
    return THREADS * commits * entries


def _commit(write: Write, writer: int, commits: int) -> None:
    for commit in range(commits):
        write(writer, commit)


def _follow(read_after: ReadAfter, seen: list[int], over: threading.Event) -> None:
    """Read on from the last position seen, until nothing comes after the writers are done."""
    while True:
        ended = over.is_set()
        found = read_after(seen[-1] if seen else 0)
        seen.extend(found)
        if ended and not found:
            return
        over.wait(0.01)


def _all(read_after: ReadAfter) -> set[int]:
    present: set[int] = set()
    while found := read_after(max(present, default=0)):
        present.update(found)
    return present
