"""The archive's tables as Parquet files: rows into columns, each table as it is read best, and read again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kfstate.archive import layout
from kfstate.archive.arrow import pa, pq
from kfstate.archive.layout import File
from kfstate.archive.schema import SCHEMA_VERSION, SLICES, group_of
from kfstate.errors import ArchiveError, CorruptLogError

__all__ = ["read_table", "table_from", "table_of", "write_table"]

_GROUP = 65_536
_RANDOM = {"commitment", "leaf", "chain", "salt", "entry_key", "content"}
"""Columns that nothing can make smaller."""
_BRIEFLY: dict[str, Any] = {
    "compression": "none",
    "use_dictionary": ["slice", "stream"],
    "column_encoding": {"sort_second": "DELTA_BINARY_PACKED", "position": "DELTA_BINARY_PACKED"},
    "write_statistics": ["slice"],
}
"""How entries in brief are written: as small as can be read at the speed of memory, and some slices alone."""


def table_of(schema: Any, rows: Sequence[tuple[Any, ...]], *, at: int = 0) -> Any:
    """Return rows as an Arrow table of this schema, as :func:`table_from` does."""
    return table_from(schema, list(zip(*rows, strict=True)), at=at) if rows else schema.empty_table()


def table_from(schema: Any, columns: Sequence[tuple[Any, ...]], *, at: int = 0) -> Any:
    """Return columns as an Arrow table of this schema.

    Raises :class:`~kfstate.errors.CorruptLogError` where a column holds what it cannot hold, at the position that its
    row has; where rows have none, it is ``at``.
    """
    arrays: list[Any] = []
    for column, field in zip(columns, schema, strict=True):
        try:
            arrays.append(_array(column, field))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            if "position" in schema.names:
                row = next((row for row, value in enumerate(column) if not _fits(value, field)), 0)
                where: int = schema.names.index("position")
                at = columns[where][row]
            raise CorruptLogError(at, f"{field.name} holds what it cannot hold ({error})") from error
    return pa.Table.from_arrays(arrays, schema=schema)


def _fits(value: Any, field: Any) -> bool:
    try:
        _array((value,), field)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _array(column: tuple[Any, ...], field: Any) -> Any:
    kind, size = field.type, len(column)
    if field.nullable and column[0] is None and column[-1] is None and column.count(None) == size:
        return pa.nulls(size, kind)
    fixed = pa.types.is_fixed_size_binary(kind) and not (field.nullable and None in column)
    if fixed and list(map(len, column)).count(kind.byte_width) == size:  # one of another length would shift the others
        return pa.FixedSizeBinaryArray.from_buffers(kind, size, [None, pa.py_buffer(b"".join(column))])
    return pa.array(column, kind)


def write_table(
    path: Path, name: str, table: Any, told: dict[str, Any], slices: tuple[int, int] = (0, SLICES - 1)
) -> File:
    """Write a file of a part, under a name made from its digest, and return what the manifest says of it."""
    briefly = _BRIEFLY | {"row_group_size": group_of(table.num_rows)}
    written = briefly if name == "briefs" else _written(table.schema)
    told = told | {"table": name, "slices": slices}
    table = table.replace_schema_metadata({"kfstate": json.dumps(told)})
    new = path / f"{name}-{slices[0]:04}.new"
    pq.write_table(table, new, **written)
    digest = layout.digest_of(new)
    final = f"{name}-{slices[0]:04}-{digest[:12]}.parquet"
    new.rename(path / final)
    return File(final, name, table.num_rows, digest, *slices)


def _written(schema: Any) -> dict[str, Any]:
    """Return how a table is written: small, but for what nothing can make smaller."""
    squeezed = {name: "none" if name in _RANDOM else "zstd" for name in schema.names}
    return {
        "compression": squeezed,
        "compression_level": {name: 1 for name, how in squeezed.items() if how == "zstd"},
        "use_dictionary": [field.name for field in schema if pa.types.is_dictionary(field.type)],
        "write_statistics": [name for name in squeezed if name not in _RANDOM | {"body"}],
        "row_group_size": _GROUP,
    }


def read_table(path: Path, schema: Any = None, slices: tuple[int, int] | None = None) -> Any:
    """Read a file, in one thread: these columns, and the row groups alone that hold any of these slices.

    Raises :class:`~kfstate.errors.ArchiveError` where the file cannot be read, or is not what it should be.
    """
    try:
        with pq.ParquetFile(path) as file:
            told = json.loads((file.metadata.metadata or {}).get(b"kfstate", b"{}"))
            if told.get("schema") != SCHEMA_VERSION:
                raise ArchiveError(str(path), f"schema {told.get('schema')} is not known to this release")
            groups = list(range(file.num_row_groups)) if slices is None else _groups(file, slices)
            table = file.read_row_groups(groups, None if schema is None else schema.names, use_threads=False)
        return table.replace_schema_metadata(None) if schema is None else table.select(schema.names).cast(schema)
    except (OSError, KeyError, ValueError, AttributeError, pa.ArrowException) as error:
        raise ArchiveError(str(path), "it cannot be read") from error


def _groups(file: Any, slices: tuple[int, int]) -> list[int]:
    first, last = slices
    bounds = [file.metadata.row_group(group).column(0).statistics for group in range(file.num_row_groups)]
    return [group for group, bound in enumerate(bounds) if bound.min <= last and bound.max >= first]
