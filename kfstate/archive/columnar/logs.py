# ruff: noqa: S608 (the SQL is put together from constants)
"""The columnar replay of the log in a database, read by position: by this process, or in ranges by a pool.

Rows become numbers while they are read. What is out of order is put in order in memory, which is faster than to read
stream by stream.
"""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from kfstate.archive.arrow import np
from kfstate.archive.columnar.folding import FINAL, Briefs, fold_briefs, joined, without
from kfstate.archive.columnar.packing import pack_shapes
from kfstate.archive.columnar.rules import Ints
from kfstate.archive.parquet import table_of
from kfstate.archive.schema import SHAPES
from kfstate.machine import MACHINE, Machine
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.head import read_head
from kfstate.store.read import check_whole, stream_entries

__all__ = ["fold_log"]

_NUMBERS = ("position", "stream", "sort_second", "tie")
_SQL = (
    f"SELECT {', '.join((*_NUMBERS, *SHAPES.names))} FROM kf_entry "
    "WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
)
_BATCH = 2_000
_RANGE = 250_000
"""So many entries are read by one process in one go."""


def fold_log(url: str | URL, machine: Machine = MACHINE, *, until: int | None = None, processes: int = 1) -> Any:
    """Fold the log in a database, up to position ``until`` (default: the head), as ``fold_archive`` folds an archive.

    One table of states. Memory holds 40 bytes for each entry: where that is too much, make an archive. With more than
    one process each reads ranges of the log.

    Raises :class:`~kfstate.errors.CorruptLogError` where an entry is missing.
    """
    database = Database(url)
    try:
        with database.reading() as conn:
            head = read_head(conn).position
            upper = head if until is None else min(until, head)
            if upper < 1:
                return FINAL.empty_table()
            parts = [_read(conn, 0, upper)] if processes == 1 else _ranges(database.engine.url, upper, processes)
            others = [row[0] for row in query(conn, "SELECT id FROM kf_stream WHERE kind <> 'conversation'")]
            return without(
                fold_briefs(*joined(parts, upper), partial(stream_entries, conn, until=upper), machine), others
            )
    finally:
        database.close()


def _ranges(url: URL, upper: int, processes: int) -> Iterator[tuple[Briefs, Ints]]:
    cuts = [*range(0, upper, _RANGE), upper]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(partial(_range, url), cuts[:-1], cuts[1:])


def _range(url: URL, after: int, until: int) -> tuple[Briefs, Ints]:
    database = Database(url)
    try:
        with database.reading() as conn:
            return _read(conn, after, until)
    finally:
        database.close()


class _Numbers(dict[tuple[Any, ...], int]):
    """A number for each shape, from 0, given when it is first asked for."""

    def __missing__(self, shape: tuple[Any, ...]) -> int:
        self[shape] = number = len(self)
        return number


def _read(conn: Connection, after: int, until: int) -> tuple[Briefs, Ints]:
    """Read the entries after a position, in brief, and their shapes."""
    known, size = _Numbers(), until - after
    numbers, shape = np.empty((size, len(_NUMBERS)), np.int64), np.empty(size, np.int32)
    first, rest = itemgetter(slice(len(_NUMBERS))), itemgetter(slice(len(_NUMBERS), None))
    done = 0
    while done < size and (rows := query(conn, _SQL, (after, until, _BATCH))):
        check_whole(after, rows)
        after, end = rows[-1][0], done + len(rows)
        flat = chain.from_iterable(map(first, rows))
        numbers[done:end] = np.fromiter(flat, np.int64, len(rows) * len(_NUMBERS)).reshape(-1, len(_NUMBERS))
        shape[done:end] = np.fromiter(map(known.__getitem__, map(rest, rows)), np.int32, len(rows))
        done = end
    position, stream, second, tie = np.ascontiguousarray(numbers[:done].T)
    return Briefs(stream, second, position, tie, shape[:done]), pack_shapes(table_of(SHAPES, list(known)))
