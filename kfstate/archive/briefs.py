"""Entries in brief: what the columnar fold reads of a part instead of the entries themselves.

Most entries say the same as many others, but for when, in which conversation and at which position. What they say is
written once, as a shape, and the entries as five numbers.
"""

from pathlib import Path
from typing import Any

import attrs

from kfstate.archive.arrow import np, pa, pc
from kfstate.archive.parquet import read_table
from kfstate.archive.schema import BRIEFS, SHAPES, slices_of
from kfstate.errors import ArchiveError

__all__ = ["Briefs", "brief", "distinct", "read_briefs"]

_ROOM = 1 << 62
_READ = pa.schema(list(BRIEFS)[1:])


@attrs.frozen
class Briefs:
    """Columns of entries: ``shape`` is a row of shapes."""

    stream: Any
    second: Any
    position: Any
    tie: Any
    shape: Any


def brief(entries: Any) -> tuple[Any, Any]:
    """Return entries in brief, in their order, and their shapes, in the order in which they come up first.

    ``entries`` has the columns of ``schema.ENTRIES``, each in one piece.
    """
    number, first = distinct(entries)
    plain = [entries.column(name) for name in BRIEFS.names[:-1]]
    briefs = pa.Table.from_arrays([*plain, pa.array(number)], schema=BRIEFS)
    return briefs, entries.select(SHAPES.names).take(pa.array(first)).cast(SHAPES)


def distinct(table: Any) -> tuple[Any, Any]:
    """Return the number of each row's shape, and the rows in which they come up first.

    ``table`` has the columns of ``schema.SHAPES``, each in one piece.
    """
    codes, room = np.zeros(table.num_rows, np.int64), 1
    for name in SHAPES.names:
        numbers, count = _numbered(table.column(name))
        if room * count > _ROOM:
            codes, room = _numbered(pa.chunked_array([codes]))
        if count > 1:
            codes, room = codes * count + numbers, room * count
    shape, count = _numbered(pa.chunked_array([codes]))
    first = np.empty(count, np.int64)
    first[shape[::-1]] = np.arange(len(shape) - 1, -1, -1)
    order = np.argsort(first)
    number = np.empty(count, np.int32)
    number[order] = np.arange(count, dtype=np.int32)
    return number[shape], first[order]


def read_briefs(path: Path, slices: tuple[int, int], shapes: int, *, whole: bool) -> Briefs:
    """Return the rows of a file that are of some slices; ``whole``: it has no others.

    Raises :class:`~kfstate.errors.ArchiveError`, also where a row has none of so many ``shapes``: nobody looks later.
    """
    table = read_table(path, _READ, None if whole else slices)
    columns = [column.to_numpy() for column in table.columns]
    if not whole:
        found = slices_of(columns[0])
        inside = np.flatnonzero((slices[0] <= found) & (found <= slices[1]))
        begin, end = (inside[0], inside[-1] + 1) if inside.size else (0, 0)
        columns = [column[begin:end] for column in columns]
    briefs = Briefs(*columns)
    if briefs.shape.size and not 0 <= briefs.shape.min() <= briefs.shape.max() < shapes:
        raise ArchiveError(str(path), f"it has a shape beyond the {shapes} that there are")
    return briefs


def _numbered(column: Any) -> tuple[Any, int]:
    """Return a number from 0 for each value of a column, null among them, and how many there are."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column, null_encoding="encode")
    encoded = column.combine_chunks()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    count = len(encoded.dictionary)
    numbers = encoded.indices.fill_null(count).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers, count + (encoded.indices.null_count > 0)
