"""The log into Parquet files: part after part, each whole or not there."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.archive import layout
from kfstate.archive.arrow import np, pa, pq
from kfstate.archive.layout import File, Part
from kfstate.archive.pieces import AT, Marks, Piece, unload
from kfstate.archive.schema import ENTRIES, NAMES, PULLS, SCHEMA_VERSION, SLICES, STREAMS, WORDS, slices_of
from kfstate.errors import CheckpointError, CorruptLogError
from kfstate.store.canonical import first_link
from kfstate.store.dialect import query
from kfstate.store.head import read_head
from kfstate.store.rows import Head

__all__ = ["PART", "Exported", "export", "write_table"]

PART = 262_144
"""So many entries make a part, unless the caller says otherwise; an export holds one in memory."""

_FILE = 65_536
"""A part has a file for about so many entries: as many slices share one as are needed."""
_RANDOM = {"commitment", "leaf", "chain", "salt", "entry_key", "content"}
"""Columns that nothing can make smaller."""
Reading = Callable[[], AbstractContextManager[Connection]]


@attrs.frozen
class Exported:
    """What an export did: ``parts`` and ``entries`` are new; the archive now ends at ``position`` with ``chain``."""

    parts: int
    entries: int
    position: int
    chain: str


def export(
    reading: Reading,
    folder: Path,
    *,
    until: int | None = None,
    size: int = PART,
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Write what an archive does not have yet, up to ``until`` (default: the head), in parts of ``size`` entries.

    Each part is read in a transaction of its own. An export that was broken off goes on with the part that it was at.
    ``progress`` is called with the number of entries of each part.

    Raises :class:`~kfstate.errors.CheckpointError` where the archive is of another log, or this one lost its tail;
    :class:`~kfstate.errors.ArchiveError` where the archive is damaged, or somebody else writes to it.
    """
    with layout.writing(folder):
        parts = layout.read_parts(folder)
        known = len(parts)
        with reading() as conn:
            log = read_head(conn)
            _check_log(conn, log, parts)
        upper = log.position if until is None else min(until, log.position)
        position = parts[-1].last if parts else 0
        while position < upper:
            marks = Marks(*parts[-1].marks) if parts else Marks()
            with reading() as conn:
                piece = unload(conn, position, size, marks, until=upper)
            if piece is None:
                raise CorruptLogError(position + 1, "the entry is missing")
            before = parts[-1].chain if parts else first_link(log.log_id, log.created_at).hex()
            parts.append(_write(folder, piece, log, before))
            position = piece.last
            if progress is not None:
                progress(len(piece.entries))
    new = parts[known:]
    chain = parts[-1].chain if parts else first_link(log.log_id, log.created_at).hex()
    return Exported(len(new), sum(part.last - part.first + 1 for part in new), position, chain)


def _check_log(conn: Connection, log: Head, parts: Sequence[Part]) -> None:
    if not parts:
        return
    last = parts[-1]
    found = query(conn, "SELECT chain FROM kf_entry WHERE position = ?", (last.last,))
    chain = bytes(found[0][0]).hex() if found else ""
    if (log.log_id.hex(), log.created_at, chain) != (last.log_id, last.created_at, last.chain):
        raise CheckpointError(last.last, chain, last.chain)


def _write(folder: Path, piece: Piece, log: Head, before: str) -> Part:
    told = {
        "schema": SCHEMA_VERSION, "log_id": log.log_id.hex(), "created_at": log.created_at, "first": piece.first,
        "last": piece.last, "before": before, "chain": piece.chain.hex(),
    }  # fmt: skip
    with layout.new_part(folder, piece.first) as (path, made):
        files = [*_sliced(path, piece, told)]
        for name, schema, rows in (
            ("streams", STREAMS, piece.streams), ("names", NAMES, piece.names), ("pulls", PULLS, piece.pulls),
        ):  # fmt: skip
            if rows:
                files.append(write_table(path, name, table_of(schema, rows), told))
        made.append(
            Part(
                log_id=log.log_id.hex(),
                created_at=log.created_at,
                first=piece.first,
                last=piece.last,
                before=before,
                chain=piece.chain.hex(),
                recorded_at=piece.entries[-1][AT["recorded_at"]],
                marks=attrs.astuple(piece.marks),
                machines=tuple((row[0], row[1], row[2], row[3]) for row in piece.machines),
                files=tuple(files),
            )
        )
    return made[0]


def table_of(schema: Any, rows: Sequence[tuple[Any, ...]]) -> Any:
    """Return rows as an Arrow table of this schema."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _sliced(path: Path, piece: Piece, told: dict[str, Any]) -> Iterator[File]:
    """Write entries and words, sorted, each file with a range of slices."""
    entries, words = _entries(piece), _words(piece)
    slices, streams = (entries[name].to_numpy() for name in ("slice", "stream"))
    order = np.lexsort((entries["sort_second"].to_numpy(), streams, slices))  # stable: positions stay in order
    by_words = np.lexsort((streams, slices))
    files = 1
    while files < SLICES and files * _FILE < len(order):
        files *= 2
    for at in range(files):
        first, last = at * SLICES // files, (at + 1) * SLICES // files - 1
        begin, end = np.searchsorted(slices[order], [first, last + 1])
        if begin < end:
            yield write_table(path, "entries", entries.take(order[begin:end]), told, (first, last))
            yield write_table(path, "words", words.take(by_words[begin:end]), told, (first, last))


def _entries(piece: Piece) -> Any:
    chunk = 20_000
    schema = pa.schema(list(ENTRIES)[1:])
    tables = [table_of(schema, piece.entries[at : at + chunk]) for at in range(0, len(piece.entries), chunk)]
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    return table.add_column(0, ENTRIES.field("slice"), pa.array(slices_of(table["stream"].to_numpy())))


def _words(piece: Piece) -> Any:
    first, rows = piece.first, len(piece.entries)
    if [row[0] for row in piece.payloads] != list(range(first, first + rows)):
        missing = set(range(first, first + rows)) - {row[0] for row in piece.payloads}
        raise CorruptLogError(min(missing, default=first), "the payload's row is missing")
    day: list[Any] = [None] * rows
    key, content = [*day], [*day]
    for day_, key_, position, content_ in piece.identities:
        at = position - first
        day[at], key[at], content[at] = day_, key_, content_
    streams = [row[1] for row in piece.entries]
    _, salts, bodies = zip(*piece.payloads, strict=True)
    columns = [slices_of(streams), streams, range(first, first + rows), salts, bodies, day, key, content]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, WORDS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=WORDS)


def write_table(
    path: Path, name: str, table: Any, told: dict[str, Any], slices: tuple[int, int] = (0, SLICES - 1)
) -> File:
    """Write a file of a part, under a name made from its digest, and return what the manifest says of it."""
    words = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    squeezed = {field.name: "none" if field.name in _RANDOM else "zstd" for field in table.schema}
    levels = {name: 1 for name, how in squeezed.items() if how == "zstd"}
    told = told | {"table": name, "slices": slices}
    table = table.replace_schema_metadata({"kfstate": json.dumps(told)})
    new = path / f"{name}-{slices[0]:04}.new"
    pq.write_table(
        table, new, compression=squeezed, compression_level=levels,
        use_dictionary=words, write_statistics=[name for name in squeezed if name not in _RANDOM | {"body"}],
        row_group_size=_FILE,
    )  # fmt: skip
    digest = layout.digest_of(new)
    final = f"{name}-{slices[0]:04}-{digest[:12]}.parquet"
    new.rename(path / final)
    return File(final, name, table.num_rows, digest, *slices)
