"""An archive's Parquet files read again: as pieces, as chunks for the replay, as sorted tables of slices."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from kfstate.archive import layout
from kfstate.archive.arrow import np, pa, pc
from kfstate.archive.layout import Part
from kfstate.archive.parquet import read_table
from kfstate.archive.pieces import Marks, Piece
from kfstate.archive.schema import ENTRIES, FOLDED, SLICES, SORTED_BY, WORDS, slice_of
from kfstate.errors import ArchiveError
from kfstate.machine.entry import Entry
from kfstate.machine.replay import replay
from kfstate.machine.state import SessionState
from kfstate.store.canonical import first_link
from kfstate.store.dialect import query, query_in
from kfstate.store.read import fold_entries, stream_entries
from kfstate.store.rows import Head

__all__ = ["chunks", "entries", "entries_of", "log_of", "pieces", "states"]

_BATCH = 10_000


def log_of(folder: Path) -> Head:
    """Return the log that an archive is of, and where it ends in the archive.

    Raises :class:`~kfstate.errors.ArchiveError` where there is no archive.
    """
    parts = layout.read_parts(folder)
    if not parts:
        raise ArchiveError(str(folder), "there is no archive")
    last = parts[-1]
    log_id = bytes.fromhex(last.log_id)
    if bytes.fromhex(parts[0].before) != first_link(log_id, last.created_at):
        raise ArchiveError(str(folder / parts[0].folder), "it does not begin where its log does")
    return Head(log_id, last.created_at, last.last, bytes.fromhex(last.chain), last.recorded_at)


def pieces(folder: Path, *, size: int = _BATCH) -> Iterator[Piece]:
    """Return the log in an archive in pieces, in order of position. Every file is held against its digest first."""
    for part in layout.read_parts(folder):
        path = folder / part.folder
        layout.check(path, part.files)
        entries_ = _by_position(path, part, "entries", ENTRIES, ENTRIES.names[1:])
        words = _by_position(path, part, "words", WORDS, WORDS.names[2:])
        beside = {name: _rows(_table(path, part, name)) for name in ("streams", "names", "pulls")}
        machines: Sequence[tuple[Any, ...]] = part.machines
        for at in range(0, entries_.num_rows, size):
            said = _rows(words.slice(at, size))
            yield Piece(
                entries=_rows(entries_.slice(at, size)),
                payloads=[row[:3] for row in said],
                identities=[(day, key, row[0], content) for *row, day, key, content in said if key is not None],
                machines=machines,
                marks=Marks(),
                **beside,
            )
            beside, machines = {name: [] for name in beside}, []


def chunks(folder: Path, *, after: int = 0, until: int | None = None, batch: int = _BATCH) -> Iterator[list[Entry]]:
    """Yield the log in an archive as :func:`kfstate.store.read.fold_entries` yields that in a database."""
    for part in layout.read_parts(folder):
        if part.last <= after or (until is not None and part.first > until):
            continue
        table = _by_position(folder / part.folder, part, "entries", ENTRIES, list(FOLDED))
        begin = max(after - part.first + 1, 0)
        table = table.slice(begin, (part.last if until is None else min(until, part.last)) - part.first + 1 - begin)
        for at in range(0, table.num_rows, batch):
            yield list(map(Entry._make, _rows(table.slice(at, batch))))


def entries(
    folder: Path, *, first_slice: int = 0, last_slice: int = SLICES - 1, columns: Sequence[str] | None = None
) -> Any:
    """Return the entries of some slices as one Arrow table, sorted by slice, stream, ``sort_second`` and position."""
    wanted = [field for field in ENTRIES if columns is None or field.name in columns or field.name in SORTED_BY]
    schema = pa.schema(wanted)
    tables = [schema.empty_table()]
    for part in layout.read_parts(folder):
        for file in part.of("entries", first_slice, last_slice):
            found = read_table(folder / part.folder / file.name, schema, (first_slice, last_slice))
            within = (pc.field("slice") >= first_slice) & (pc.field("slice") <= last_slice)
            tables.append(found if file.within(first_slice, last_slice) else found.filter(within))
    table = pa.concat_tables(tables).unify_dictionaries()
    if len(tables) > 2:
        keys = [table[name].to_numpy() for name in reversed(SORTED_BY)]
        table = table.take(np.lexsort(keys))
    return table if columns is None else table.select(list(columns))


def states(
    folder: Path, conn: Connection | None = None, *, until: int | None = None
) -> Iterator[tuple[int, SessionState]]:
    """Yield stream and state of every conversation, replayed from an archive, as of position ``until``.

    With ``conn`` the replay goes on in the database where the archive ends: cold and hot rows are one log. Memory holds
    the conversations that are open, and where each stream ends.
    """
    archived = log_of(folder).position
    ends, talks = _ends(folder, until)

    def all_chunks() -> Iterator[list[Entry]]:
        for chunk in chunks(folder, until=until):
            yield [entry for entry in chunk if talks[entry.stream]]
        if conn is not None:
            others = {row[0] for row in query(conn, "SELECT id FROM kf_stream WHERE kind <> 'conversation'")}
            for chunk in fold_entries(conn, archived, until=until):
                yield [entry for entry in chunk if entry.stream not in others]

    def last_positions(streams: Sequence[int]) -> Mapping[int, int]:
        cold = {stream: int(ends[stream]) for stream in streams if stream < len(ends)}
        if conn is None:
            return cold
        hot = query_in(conn, _LAST, streams, archived, _UNLIMITED if until is None else until)
        return cold | {stream: position for stream, position in hot if position is not None}

    def refold(stream: int) -> list[Entry]:
        cold = entries_of(folder, stream, until) if stream < len(ends) else []
        if stream < len(ends) and ends[stream] != max((entry.position for entry in cold), default=0):
            raise ArchiveError(str(folder), f"it has not all entries of stream {stream} where its part.json says")
        hot = [] if conn is None else stream_entries(conn, stream, until=until)
        return cold + [entry for entry in hot if entry.position > archived]

    return replay(all_chunks(), last_positions=last_positions, refold=refold)


_UNLIMITED = (1 << 63) - 1
_LAST = (
    "SELECT id, (SELECT position FROM kf_entry WHERE kf_entry.stream = kf_stream.id AND position > ? AND position <= ? "
    "ORDER BY version DESC LIMIT 1) FROM kf_stream WHERE id IN (??)"
)


def _ends(folder: Path, until: int | None) -> tuple[Any, Any]:
    """Return, indexed by stream, the position of its last entry, and whether it is a conversation."""
    parts = layout.read_parts(folder)
    ends, talks = (np.zeros(parts[-1].marks[1] + 1, dtype) for dtype in (np.int64, np.bool_))
    for part in parts:
        path = folder / part.folder
        for file in part.of("entries"):
            found = read_table(path / file.name, pa.schema([ENTRIES.field("stream"), ENTRIES.field("position")]))
            if until is not None:
                found = found.filter(pc.field("position") <= until)
            np.maximum.at(ends, found["stream"].to_numpy(), found["position"].to_numpy())
        streams = _table(path, part, "streams")
        if streams is not None:
            talks[streams.filter(pc.field("kind") == "conversation")["id"].to_numpy()] = True
    return ends, talks


def entries_of(folder: Path, stream: int, until: int | None = None) -> list[Entry]:
    """Return what the fold reads of a stream, by second and position."""
    at = slice_of(stream)
    found = entries(folder, first_slice=at, last_slice=at, columns=FOLDED).filter(pc.field("stream") == stream)
    return [entry for entry in map(Entry._make, _rows(found)) if until is None or entry.position <= until]


def _by_position(path: Path, part: Part, table: str, schema: Any, columns: Sequence[str]) -> Any:
    """Return a table of a part in order of position, whole. Raises :class:`~kfstate.errors.ArchiveError`."""
    wanted = pa.schema([schema.field(name) for name in columns])
    tables = [wanted.empty_table(), *(read_table(path / file.name, wanted) for file in part.of(table))]
    found = pa.concat_tables(tables).unify_dictionaries()
    positions = found["position"].to_numpy()
    order = np.argsort(positions)
    if not np.array_equal(positions[order], np.arange(part.first, part.last + 1)):
        raise ArchiveError(str(path), f"{table} are missing")
    return found.take(order)


def _table(path: Path, part: Part, name: str) -> Any:
    """Return a table of a part that has no slices; None where the part has none of it."""
    files = part.of(name)
    return read_table(path / files[0].name) if files else None


def _rows(table: Any) -> list[tuple[Any, ...]]:
    """Return a table as tuples, as a database's driver hands them out."""
    return [] if table is None else list(zip(*(column.to_pylist() for column in table.columns), strict=True))
