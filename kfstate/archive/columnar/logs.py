# ruff: noqa: S608 (the SQL is put together from constants)
"""The columnar replay of the log in a database, read by position in ranges, by this process or by several.

Rows become numbers while they are read. What is out of order is put in order in memory, which is faster than to read
stream by stream.
"""

from functools import partial
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from kfstate.archive.arrow import np
from kfstate.archive.briefs import Briefs
from kfstate.archive.columnar.folding import FINAL, fold_briefs, joined, without
from kfstate.archive.columnar.packing import pack_shapes
from kfstate.archive.columnar.rules import Ints
from kfstate.archive.parquet import table_of
from kfstate.archive.schema import SHAPES
from kfstate.concurrency import THREADS
from kfstate.machine import MACHINE, Machine
from kfstate.store.crew import Crew
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

    Raises :class:`~kfstate.errors.CorruptLogError` where an entry is missing, :class:`~kfstate.errors.ArgumentError`
    where no other process can see the database, or there is to be none.
    """
    database = Database(url)
    try:
        with database.reading() as conn:
            head = read_head(conn).position
        upper = head if until is None else min(until, head)
        if upper < 1:
            return FINAL.empty_table()
        ranges = pairwise([*range(0, upper, _RANGE), upper])
        with Crew(database, processes, THREADS.signal) as crew:
            briefs, shapes = joined(crew.in_order(_range, ranges), upper)
        with database.reading() as conn:
            others = [row[0] for row in query(conn, "SELECT id FROM kf_stream WHERE kind <> 'conversation'")]
            return without(fold_briefs(briefs, shapes, partial(stream_entries, conn, until=upper), machine), others)
    finally:
        database.close()


def _range(database: Database, range_: tuple[int, int]) -> tuple[Briefs, Ints]:
    with database.reading() as conn:
        return _read(conn, *range_)


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
