"""What the subjects work on: pages from kfstate's simulator, written before anything is timed.

Pages of 1,000 elements, as a first pull brings them, customers drawn with recency; late, repeated, conflicting and
unknown elements among them. No own entries: those come one by one, and would cut the pages.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from kfstate.testing.builders import Element
from kfstate.testing.simulation import pages, write_ndjson

__all__ = ["LOG", "LOOKUPS", "PAGES", "PROJECTED", "Stream", "picks", "split", "take"]

SEED = "benchmarks"
PAGES = "pages.ndjson"
"""The pages that a subject ingests."""
LOG = "log.db"
"""The database that kfstate made of the pages."""
LOOKUPS = 3_000
"""How many single conversations a round asks for."""
PROJECTED = (
    "kf_step",
    "kf_conversation",
    "kf_session",
    "kf_segment",
    "kf_servicer",
    "kf_account",
    "kf_anomaly",
    "kf_message_fate",
    "kf_code",
)
Stream = Iterator[Element]


def split() -> Stream:
    """Begin the world's pages: the same ones every time, without end."""
    return pages(SEED, 1_000_000_000, own_entries=False)


def take(stream: Stream, entries: int, *files: IO[str]) -> int:
    """Write at least so many entries, in whole pages, to each of the files; return how many."""
    written = 0
    for page in stream:
        for file in files:
            write_ndjson(file, [page])
        written += len(page["msg_list"])
        if written >= entries:
            break
    return written


def picks(folder: Path) -> list[tuple[str, str, int]]:
    """Return account, customer and stream of every conversation of the log."""
    kept = folder / "picks.json"
    if not kept.is_file():
        connection = sqlite3.connect(folder / LOG)
        sql = (
            "SELECT c.open_kfid, n.value, c.stream FROM kf_conversation c JOIN kf_name n ON n.id = c.customer "
            "ORDER BY c.stream"
        )
        kept.write_text(json.dumps(connection.execute(sql).fetchall()), encoding="utf-8")
        connection.close()
    return [(open_kfid, customer, stream) for open_kfid, customer, stream in json.loads(kept.read_bytes())]
