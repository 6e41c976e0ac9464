"""Entries in brief: what the columnar fold reads of a part instead of the entries themselves.

Most entries say the same as many others, but for when, in which conversation and at which position. What they say is
written once, as a shape, and the entries as five numbers.
"""

from typing import Any

from kfstate.archive.arrow import np, pa, pc
from kfstate.archive.schema import BRIEFS, SHAPES

__all__ = ["brief"]

_ROOM = 1 << 62


def brief(entries: Any) -> tuple[Any, Any]:
    """Return entries in brief, in their order, and their shapes, in the order in which they come up first.

    ``entries`` has the columns of ``schema.ENTRIES``, each in one piece.
    """
    codes, room = np.zeros(entries.num_rows, np.int64), 1
    for name in SHAPES.names:
        numbers, count = _numbered(entries.column(name))
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
    plain = [entries.column(name) for name in BRIEFS.names[:-1]]
    briefs = pa.Table.from_arrays([*plain, pa.array(number[shape])], schema=BRIEFS)
    return briefs, entries.select(SHAPES.names).take(pa.array(first[order])).cast(SHAPES)


def _numbered(column: Any) -> tuple[Any, int]:
    """Return a number from 0 for each value of a column, null among them, and how many there are."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column, null_encoding="encode")
    encoded = column.combine_chunks()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    count = len(encoded.dictionary)
    numbers = encoded.indices.fill_null(count).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers, count + (encoded.indices.null_count > 0)
