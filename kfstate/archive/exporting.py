"""The log into Parquet files: part after part, each whole or not there."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.archive import layout
from kfstate.archive.arrow import np, pa
from kfstate.archive.briefs import brief
from kfstate.archive.compacting import compact
from kfstate.archive.layout import File, Part
from kfstate.archive.parquet import table_from, table_of, write_table
from kfstate.archive.pieces import AT, Marks, activated, beside, identities, marks_at, rows
from kfstate.archive.results import Exported
from kfstate.archive.schema import ENTRIES, NAMES, PULLS, SCHEMA_VERSION, STREAMS, WORDS, cut, slices_of
from kfstate.concurrency import THREADS
from kfstate.errors import CheckpointError
from kfstate.store.canonical import first_link
from kfstate.store.checkpoint import chain_at
from kfstate.store.crew import Crew
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.head import read_head
from kfstate.store.rows import Head

__all__ = ["PART", "check_log", "export"]

PART = 262_144
"""So many entries make a part, unless the caller says otherwise; each process of an export holds one in memory."""

_FILE = 65_536
"""A part has a file for about so many entries: as many slices share one as are needed."""


@attrs.frozen
class _Task:
    """A part to be written: the entries after a position up to another one, and what is between marks."""

    folder: Path
    log: Head
    after: int
    until: int
    before: str
    """The link before, in hex."""
    since: Marks
    marks: Marks


def export(
    database: Database,
    folder: Path,
    *,
    until: int | None = None,
    size: int = PART,
    progress: Callable[[int], None] | None = None,
    crew: Crew | None = None,
) -> Exported:
    """Write what an archive does not have yet, up to ``until`` (default: the head), in parts of ``size`` entries.

    Each part is read in a transaction of its own, and written by a process of the ``crew``. An export that was broken
    off goes on with the part that it was at. ``progress`` is called with the number of entries of each part.

    Raises :class:`~kfstate.errors.CheckpointError` where the archive is of another log, or this one lost its tail;
    :class:`~kfstate.errors.ArchiveError` where the archive is damaged, or somebody else writes to it.
    """
    with layout.writing(folder) as parts:
        known = parts[-1] if parts else None
        with database.reading() as conn:
            log = read_head(conn)
            check_log(conn, log, parts)
        upper = log.position if until is None else min(until, log.position)
        began = position = known.last if known else 0
        chain = known.chain if known else first_link(log.log_id, log.created_at).hex()
        if crew is None or upper - position <= size:
            crew = Crew(database, 1, THREADS.signal)
        made = 0
        for part in crew.in_order(_write, _tasks(database, folder, log, known, upper=upper, size=size), ahead=2):
            layout.publish(folder, part)
            parts.append(part)
            if progress is not None:
                progress(part.last - position)
            made, position, chain = made + 1, part.last, part.chain
        compact(folder, parts)
    return Exported(made, position - began, position, chain)


def _tasks(
    database: Database, folder: Path, log: Head, known: Part | None, *, upper: int, size: int
) -> Iterator[_Task]:
    position, chain, marks = 0, first_link(log.log_id, log.created_at).hex(), Marks()
    if known is not None:
        position, chain, marks = known.last, known.chain, Marks(*known.marks)
    while position < upper:
        until = min(position + size, upper)
        with database.reading() as conn:
            now = marks_at(conn, marks, position, until)
            link = chain_at(conn, until)
        yield _Task(folder, log, position, until, chain, marks, now)
        if link is None:
            return  # whoever writes this part meets what is missing
        position, chain, marks = until, link.hex(), now


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
    chain: str = ""
    recorded_at: int = 0

    def take(self, entries: Sequence[tuple[Any, ...]], payloads: Sequence[tuple[Any, ...]]) -> None:
        """Take the next entries, with what was said in them."""
        columns = list(zip(*entries, strict=True))
        self.first = self.first or columns[0][0]
        words = (columns[AT["stream"]], *zip(*payloads, strict=True))
        self.tables["entries"].append(table_from(_SCHEMAS["entries"], columns))
        self.tables["words"].append(table_from(_SCHEMAS["words"], words))
        self.chain, self.recorded_at = bytes(columns[AT["chain"]][-1]).hex(), columns[AT["recorded_at"]][-1]


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


def _write(database: Database, task: _Task) -> Part:
    """Read a part, write it, and return what is to be published."""
    held = _read(database, task)
    which: dict[str, Any] = {
        "log_id": task.log.log_id.hex(), "created_at": task.log.created_at,
        "first": held.first, "last": task.until, "before": task.before, "chain": held.chain,
    }  # fmt: skip
    told = {"schema": SCHEMA_VERSION} | which
    with layout.new_run(task.folder, held.first) as (path, made):
        files = [*_sliced(path, held, told)]
        files += [
            write_table(path, name, table, told)
            for name in ("streams", "names", "pulls")
            for table in held.tables[name]
        ]
        part = Part(
            **which,
            recorded_at=held.recorded_at,
            marks=attrs.astuple(task.marks),
            machines=tuple(held.machines.values()),
            files=tuple(files),
        )
        made.append(part)
    return part


def _read(database: Database, task: _Task) -> _Held:
    held = _Held()
    with database.reading() as conn:
        for entries, payloads in rows(conn, task.after, task.until):
            held.take(entries, payloads)
            held.machines |= {row[0]: (row[0], row[1], row[2], row[3]) for row in activated(conn, entries)}
        names = ("streams", "names", "pulls")
        for name, found in zip(names, beside(conn, task.since, task.marks), strict=True):
            held.tables[name] += [table_of(_SCHEMAS[name], found, at=task.after + 1)] if found else []
        held.identified = table_of(_IDENTITIES, identities(conn, task.after, task.until))
    return held


def _sliced(path: Path, held: _Held, told: dict[str, Any]) -> Iterator[File]:
    """Write entries, in full and in brief, and words, sorted, each file with a range of slices; and the shapes."""
    entries, words = _with_slices(held.tables["entries"]), _words(held)
    slices, streams = (entries[name].to_numpy() for name in ("slice", "stream"))
    briefs, shapes = brief(entries)
    order = np.lexsort((entries["sort_second"].to_numpy(), streams, slices))  # stable: positions stay in order
    by_words = np.lexsort((streams, slices))
    for first, last in cut(len(order), _FILE):
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
