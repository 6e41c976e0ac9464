"""A log with every kind of entry, with repeats, corrections and late entries, and some of it erased."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database

from kfstate.engine import Engine
from kfstate.store import dialect
from kfstate.store.dialect import query
from kfstate.store.tables import metadata
from kfstate.testing import FrozenClock
from tests.engine.worlds import ASIDE, NOW, OURS, REWRITING, STRANGE, play, seeded

__all__ = ["LOG", "WORDS", "dump", "live", "make", "sqlite"]

LOG = ("kf_log_head", "kf_entry", "kf_payload", "kf_name", "kf_stream", "kf_identity", "kf_pull", "kf_machine")
"""What an archive has to bring back."""
WORDS = ASIDE + STRANGE + OURS + REWRITING


def live(url: str, *, size: int = 150, seed: int = 7, at: int = NOW) -> None:
    """Let a log live through a random history."""
    clock = FrozenClock.at(at)
    with Engine(url, clock=clock) as engine:
        play(engine, clock, seeded(random.Random(seed), size, WORDS))


def make(url: str, *, size: int = 150) -> None:
    """Make a log, and erase a customer, some payloads and their content digests."""
    live(url, size=size)
    database = dialect.open_database(url, lock_timeout=1)
    with dialect.begin(database, write=True) as conn:
        query(conn, "UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE id = 1")
        query(conn, "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position IN (3, 5)")
        query(conn, "UPDATE kf_identity SET content = NULL WHERE position IN (3, 5)")
    database.dispose()


def dump(url: str, tables: Iterable[str] = LOG) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the tables of a log, in the order of their keys."""
    database = dialect.open_database(url, lock_timeout=1)
    try:
        return {name: _rows(database, name) for name in tables}
    finally:
        database.dispose()


def _rows(database: Database, name: str) -> list[tuple[Any, ...]]:
    table = metadata.tables[name]
    with dialect.begin(database, write=False) as conn:
        return [tuple(row) for row in conn.execute(table.select().order_by(*table.primary_key))]


def sqlite(path: Path) -> str:
    """Return the URL of a file."""
    return f"sqlite:///{path}"
