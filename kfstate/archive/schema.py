"""What the archive's Parquet files hold: the tables of the log, column by column, and the slice of a stream.

A file of entries is sorted by slice, stream, ``sort_second`` and position, so that a conversation stands in one piece,
in the order in which the fold takes its seconds. What can be erased stands in files of its own.
"""

from typing import Any

from kfstate.archive.arrow import np, pa
from kfstate.store.rows import ENTRY_COLUMNS
from kfstate.store.tables import kf_entry

__all__ = [
    "BRIEFS",
    "ENTRIES",
    "FOLDED",
    "NAMES",
    "PULLS",
    "SCHEMA_VERSION",
    "SHAPES",
    "SLICES",
    "SORTED_BY",
    "STREAMS",
    "WORDS",
    "cut",
    "group_of",
    "ranges",
    "slice_of",
    "slices_of",
    "spread",
]

SCHEMA_VERSION = 1
"""Number of this layout; a file of another one is not read."""

SLICES = 1024
"""Into so many slices the streams are dealt."""

SORTED_BY = ("slice", "stream", "sort_second", "position")
"""How the rows of a file of entries follow each other."""

_WORD = pa.dictionary(pa.int32(), pa.string())
_DIGEST = pa.binary(32)
_TYPES: dict[str, Any] = {
    "kind": _WORD,
    "via": _WORD,
    "as_kind": _WORD,
    "msgtype": _WORD,
    "code_kind": _WORD,
    "ref": pa.string(),
    "code": pa.string(),
    "actor": _WORD,
    "change_type": pa.int32(),
    "service_state": pa.int32(),
    "menu_click": pa.int16(),
    "counts": pa.int16(),
    "again": pa.int16(),
    "form": pa.int16(),
    "kind_version": pa.int16(),
    "origin": pa.int16(),
    "fail_type": pa.int32(),
    "reject_switch": pa.int16(),
    "receiving": pa.int16(),
    "stop_type": pa.int32(),
    "manage_privilege": pa.int16(),
    "ordinal": pa.int32(),
    "commitment": _DIGEST,
    "leaf": _DIGEST,
    "chain": _DIGEST,
}
"""The columns of ``kf_entry`` that are no 64-bit integer."""
_NULLABLE = frozenset(column.name for column in kf_entry.columns if column.nullable)

ENTRIES = pa.schema(
    [pa.field("slice", pa.int16(), nullable=False)]
    + [pa.field(name, _TYPES.get(name, pa.int64()), nullable=name in _NULLABLE) for name in ENTRY_COLUMNS]
)
"""``kf_entry``, with the slice before it. Text of few different values is dictionary-encoded."""

FOLDED = ENTRY_COLUMNS[:16]
"""The columns of :data:`ENTRIES` that the fold reads."""

_TOLD = ("stream", "sort_second", "position", "tie")
SHAPES = pa.schema([ENTRIES.field(name) for name in FOLDED if name not in _TOLD])
"""A shape: what an entry says to the fold beside its stream, its time, its position and its tie."""

BRIEFS = pa.schema(
    [ENTRIES.field(name) for name in ("slice", *_TOLD)] + [pa.field("shape", pa.int32(), nullable=False)]
)
"""Entries in brief, for the columnar fold: the shape is a row of the part's :data:`SHAPES`, from 0."""

_GROUP = 16_384

WORDS = pa.schema(
    [
        pa.field("slice", pa.int16(), nullable=False),
        pa.field("stream", pa.int64(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("salt", pa.binary(16)),
        pa.field("body", pa.large_binary()),
        pa.field("day", pa.int32()),
        pa.field("entry_key", pa.binary(16)),
        pa.field("content", pa.binary(16)),
    ]
)
"""``kf_payload`` and ``kf_identity``: what was said, and what a repeated entry is known by. Erasing clears it."""

STREAMS = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("corp_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("open_kfid", pa.string(), nullable=False),
        pa.field("customer", pa.int64(), nullable=False),
        pa.field("servicer", pa.int64(), nullable=False),
    ]
)
"""``kf_stream``."""

NAMES = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("corp_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("salt", pa.binary(16)),
        pa.field("value", pa.string()),
        pa.field("folded", pa.string()),
        pa.field("commitment", _DIGEST, nullable=False),
    ]
)
"""``kf_name``. Erasing nulls salt, value and folded."""

PULLS = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("corp_id", pa.string(), nullable=False),
        pa.field("open_kfid", pa.string(), nullable=False),
        pa.field("cursor_before", pa.string(), nullable=False),
        pa.field("cursor_after", pa.string(), nullable=False),
        pa.field("has_more", pa.int16(), nullable=False),
        pa.field("elements", pa.int32(), nullable=False),
        pa.field("pulled_at", pa.int64(), nullable=False),
        pa.field("date_at", pa.int64()),
        pa.field("software", pa.string(), nullable=False),
    ]
)
"""``kf_pull``."""


def group_of(rows: int) -> int:
    """Return the rows of a row group in a file of so many :data:`BRIEFS`: some slices can be read alone."""
    return max(_GROUP, -(-rows // 4))


def cut(rows: int, size: int) -> list[tuple[int, int]]:
    """Return ranges of slices, a power of two of them, each with about so many of the rows."""
    count = 1
    while count < SLICES and count * size < rows:
        count *= 2
    return ranges(count)


def ranges(count: int) -> list[tuple[int, int]]:
    """Return so many ranges of slices, that together are all of them."""
    return [(at * SLICES // count, (at + 1) * SLICES // count - 1) for at in range(count)]


_SPREAD = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio: neighbours fall far apart
_SHIFT = 64 - (SLICES - 1).bit_length()
_BITS = (1 << 64) - 1


def slice_of(stream: int) -> int:
    """Return the slice, 0 to 1023, of a stream: the top ten bits of its id times a constant.

    A stream keeps its id for ever, erased or not, in an imported log, too; so it keeps its slice.
    """
    return ((stream * _SPREAD) & _BITS) >> _SHIFT


def slices_of(streams: Any) -> Any:
    """Return :func:`slice_of` of an array of ids, as an array of the type that :data:`ENTRIES` has."""
    return (spread(streams) >> np.uint64(_SHIFT)).astype(np.int16)


def spread(streams: Any) -> Any:
    """Return a number of 64 bits for each of an array of ids, no two the same, in the order of the slices."""
    return np.asarray(streams).astype(np.uint64) * np.uint64(_SPREAD)
