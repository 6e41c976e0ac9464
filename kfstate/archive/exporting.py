"""The log into Parquet files: part after part, each whole or not there."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.archive import layout
from kfstate.archive.arrow import np, pa, pq
from kfstate.archive.briefs import brief
from kfstate.archive.layout import File, Part
from kfstate.archive.pieces import AT, Marks, Piece, identities, unload
from kfstate.archive.results import Exported
from kfstate.archive.schema import ENTRIES, GROUP, NAMES, PULLS, SCHEMA_VERSION, SLICES, STREAMS, WORDS, slices_of
from kfstate.errors import CheckpointError, CorruptLogError
from kfstate.store.canonical import first_link
from kfstate.store.dialect import query
from kfstate.store.head import read_head
from kfstate.store.rows import Head

__all__ = ["PART", "check_log", "export", "write_table"]

PART = 262_144
"""So many entries make a part, unless the caller says otherwise; an export holds one in memory."""

_FILE = 65_536
"""A part has a file for about so many entries: as many slices share one as are needed."""
_RANDOM = {"commitment", "leaf", "chain", "salt", "entry_key", "content"}
"""Columns that nothing can make smaller."""
Reading = Callable[[], AbstractContextManager[Connection]]


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
            check_log(conn, log, parts)
        upper = log.position if until is None else min(until, log.position)
        position = parts[-1].last if parts else 0
        while position < upper:
            before = parts[-1].chain if parts else first_link(log.log_id, log.created_at).hex()
            marks = Marks(*parts[-1].marks) if parts else Marks()
            with reading() as conn:
                held = _Held()
                end = min(position + size, upper)
                for piece in unload(conn, position, end, marks, identified=False):
                    held.take(piece)
                held.identified = table_of(_IDENTITIES, identities(conn, position, end))
            parts.append(_write(folder, held, log, before))
            if progress is not None:
                progress(parts[-1].last - position)
            position = parts[-1].last
    new = parts[known:]
    chain = parts[-1].chain if parts else first_link(log.log_id, log.created_at).hex()
    return Exported(len(new), sum(part.last - part.first + 1 for part in new), position, chain)


def check_log(conn: Connection, log: Head, parts: Sequence[Part]) -> None:
    """Raise :class:`~kfstate.errors.CheckpointError` unless an archive ends with an entry of this very log."""
    if not parts:
        return
    last = parts[-1]
    found = query(conn, "SELECT chain FROM kf_entry WHERE position = ?", (last.last,))
    chain = bytes(found[0][0]).hex() if found else ""
    if (log.log_id.hex(), log.created_at, chain) != (last.log_id, last.created_at, last.chain):
        raise CheckpointError(last.last, chain, last.chain)


@attrs.define
class _Held:
    """What will be a part: Arrow tables of each piece, which take a fifth of the memory of its rows."""

    tables: dict[str, list[Any]] = attrs.Factory(lambda: {name: [] for name in _SCHEMAS})
    machines: dict[str, tuple[str, str, str, int]] = attrs.Factory(dict)
    identified: Any = None
    first: int = 0
    end: Piece | None = None

    def take(self, piece: Piece) -> None:
        """Take the next piece."""
        streams = map(itemgetter(AT["stream"]), piece.entries)
        words = [(stream, *said) for stream, said in zip(streams, piece.payloads, strict=True)]
        rows = (piece.entries, words, piece.streams, piece.names, piece.pulls)
        for (name, schema), given in zip(_SCHEMAS.items(), rows, strict=True):
            if given:
                self.tables[name].append(table_of(schema, given))
        self.machines |= {row[0]: (row[0], row[1], row[2], row[3]) for row in piece.machines}
        self.first = self.first or piece.first
        self.end = attrs.evolve(piece, entries=piece.entries[-1:], payloads=(), identities=())


_SCHEMAS: dict[str, Any] = {
    "entries": pa.schema(list(ENTRIES)[1:]),
    "words": pa.schema(list(WORDS)[1:5]),
    "streams": STREAMS,
    "names": NAMES,
    "pulls": PULLS,
}
"""Table → its columns as they are read, without the slice."""
_IDENTITIES = pa.schema(
    [WORDS.field("day"), WORDS.field("entry_key"), ENTRIES.field("position"), WORDS.field("content")]
)


def _write(folder: Path, held: _Held, log: Head, before: str) -> Part:
    end = held.end
    if end is None:
        raise CorruptLogError(1, "the entry is missing")
    told = {
        "schema": SCHEMA_VERSION, "log_id": log.log_id.hex(), "created_at": log.created_at, "first": held.first,
        "last": end.last, "before": before, "chain": end.chain.hex(),
    }  # fmt: skip
    with layout.new_part(folder, held.first) as (path, made):
        files = [*_sliced(path, held, told)]
        files += [
            write_table(path, name, pa.concat_tables(held.tables[name]), told)
            for name in ("streams", "names", "pulls")
            if held.tables[name]
        ]
        made.append(
            Part(
                log_id=log.log_id.hex(),
                created_at=log.created_at,
                first=held.first,
                last=end.last,
                before=before,
                chain=end.chain.hex(),
                recorded_at=end.entries[-1][AT["recorded_at"]],
                marks=attrs.astuple(end.marks),
                machines=tuple(held.machines.values()),
                files=tuple(files),
            )
        )
    return made[0]


def table_of(schema: Any, rows: Sequence[tuple[Any, ...]]) -> Any:
    """Return rows as an Arrow table of this schema."""
    if not rows:
        return schema.empty_table()
    columns = zip(*rows, strict=True)
    arrays = [_array(column, field) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(column: tuple[Any, ...], field: Any) -> Any:
    kind, size = field.type, len(column)
    if field.nullable and column[0] is None and column[-1] is None and column.count(None) == size:
        return pa.nulls(size, kind)
    if pa.types.is_fixed_size_binary(kind) and not (field.nullable and None in column):
        return pa.FixedSizeBinaryArray.from_buffers(kind, size, [None, pa.py_buffer(b"".join(column))])
    return pa.array(column, kind)


def _sliced(path: Path, held: _Held, told: dict[str, Any]) -> Iterator[File]:
    """Write entries, in full and in brief, and words, sorted, each file with a range of slices; and the shapes."""
    entries, words = _with_slices(held.tables["entries"]), _words(held)
    slices, streams = (entries[name].to_numpy() for name in ("slice", "stream"))
    briefs, shapes = brief(entries)
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
            yield write_table(path, "briefs", briefs.take(order[begin:end]), told, (first, last))
    yield write_table(path, "shapes", shapes, told)


def _with_slices(tables: list[Any]) -> Any:
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    return table.add_column(0, ENTRIES.field("slice"), pa.array(slices_of(table["stream"].to_numpy())))


def _words(held: _Held) -> Any:
    """Return what was said, and the identity of each entry beside it."""
    words = _with_slices(held.tables["words"])
    at = np.full(words.num_rows, -1)
    at[held.identified["position"].to_numpy() - held.first] = np.arange(held.identified.num_rows)
    found = held.identified.drop_columns("position").take(pa.array(at, mask=at < 0))
    return pa.table([*words.columns, *found.columns], schema=WORDS)


def write_table(
    path: Path, name: str, table: Any, told: dict[str, Any], slices: tuple[int, int] = (0, SLICES - 1)
) -> File:
    """Write a file of a part, under a name made from its digest, and return what the manifest says of it."""
    words = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    plain = set(table.schema.names) if name == "briefs" else _RANDOM
    squeezed = {field.name: "none" if field.name in plain else "zstd" for field in table.schema}
    levels = {name: 1 for name, how in squeezed.items() if how == "zstd"}
    told = told | {"table": name, "slices": slices}
    table = table.replace_schema_metadata({"kfstate": json.dumps(told)})
    new = path / f"{name}-{slices[0]:04}.new"
    pq.write_table(
        table, new, compression=squeezed, compression_level=levels or None,
        use_dictionary=["slice", "stream"] if name == "briefs" else words,
        write_statistics=[name for name in squeezed if name not in _RANDOM | {"body"}],
        row_group_size=GROUP if name == "briefs" else _FILE,
    )  # fmt: skip
    digest = layout.digest_of(new)
    final = f"{name}-{slices[0]:04}-{digest[:12]}.parquet"
    new.rename(path / final)
    return File(final, name, table.num_rows, digest, *slices)
