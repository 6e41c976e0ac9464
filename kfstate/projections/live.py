"""Keeping the shipped projections at the head of the log: inline with an append, behind it, or from the beginning."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter

import attrs
from sqlalchemy import Connection

from kfstate.machine.compiled import MACHINE
from kfstate.projections.projector import Projected, Projector
from kfstate.projections.tables import TABLES
from kfstate.store.dialect import bulk_upsert, query
from kfstate.store.read import streams_by_id
from kfstate.store.rows import Appended, EntryRow, Stream
from kfstate.store.tables import kf_projection

__all__ = ["NAME", "VERSION", "Difference", "Progress", "behind", "catch_up", "compare", "project", "rebuild"]

NAME = "shipped"
VERSION = 1
_READ = 10_000
_NEAR = 10_000
"""How many entries an append folds for others before its own; more are left to :func:`catch_up`."""
_NO_END = (1 << 63) - 1
_recorded_at = attrgetter("recorded_at")
_COLUMNS = EntryRow._fields[: EntryRow._fields.index("from_at") + 1]
_LOOKED_AT = (
    f"SELECT {', '.join(_COLUMNS)} FROM kf_entry WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
)
"""The columns after these are the proof's, and no projection looks at them."""

Progress = Callable[[int], None]
"""Told how many further entries are done."""


@attrs.frozen
class Difference:
    """What a comparison of the tables with a fresh fold found; ``tables`` names the rows that differ by table."""

    entries: int
    conversations: int
    different: int
    tables: dict[str, int]


def behind(conn: Connection) -> int | None:
    """Return how many entries the projections lag behind the log; None where another machine folded them.

    Less than 0: the log ends before what was folded, so its tail is gone.
    """
    (head,) = query(conn, "SELECT COALESCE(MAX(position), 0) FROM kf_entry")[0]
    position, fingerprint = _stored(conn)
    if fingerprint not in {MACHINE.fingerprint, ""}:
        return None
    return int(head) - position


def project(conn: Connection, appended: Appended, *, head_before: int) -> Projected | None:
    """Fold what was just appended, in the transaction that appended it.

    Where they do not stand at ``head_before`` (a process that does not know them appended), they are caught up first.
    Returns None, and writes nothing, where they lag too far behind for that, or were folded by another machine: then
    they are caught up, or rebuilt, elsewhere, and never mix.
    """
    if not appended.rows:
        return Projected()
    position, fingerprint = _stored(conn)
    if not 0 <= head_before - position <= _NEAR or fingerprint not in {MACHINE.fingerprint, ""}:
        return None
    if position < head_before:
        _fold(conn, position, head_before)
    projector = Projector(conn)
    streams = {stream.id: stream for stream in appended.streams.values()}
    met = projector.commit(appended.rows, streams)
    projector.flush()
    _store(conn, appended.head.position)
    return met


def catch_up(conn: Connection, *, limit: int = 50_000, progress: Progress | None = None) -> int:
    """Fold at most about ``limit`` entries that the projections do not have yet; return how many entries still lack.

    Raises nothing where another machine folded them: then it does nothing and returns 0. Rebuild instead.
    """
    lag = behind(conn)
    if lag is None or lag <= 0:
        return 0
    position, _ = _stored(conn)
    return lag - _fold(conn, position, limit=limit, progress=progress)


def rebuild(conn: Connection, *, progress: Progress | None = None) -> int:
    """Drop every row of the projections and fold the whole log again; return how many entries were folded."""
    for table in TABLES:
        query(conn, f"DELETE FROM {table.name}")
    _store(conn, 0)
    return _fold(conn, 0, progress=progress)


def compare(conn: Connection, *, progress: Progress | None = None) -> Difference:
    """Fold the whole log again and compare with the tables. The caller rolls back, so that nothing is changed."""
    for table in TABLES:
        query(conn, f"CREATE TEMPORARY TABLE was_{table.name} AS SELECT * FROM {table.name}")
    entries = rebuild(conn, progress=progress)
    tables = {}
    for table in TABLES:
        keys = ", ".join(column.name for column in table.primary_key)
        now, was = f"SELECT * FROM {table.name}", f"SELECT * FROM was_{table.name}"
        sql = (
            f"SELECT COUNT(*) FROM (SELECT DISTINCT {keys} FROM ("
            f"SELECT * FROM ({now} EXCEPT {was}) AS added UNION ALL SELECT * FROM ({was} EXCEPT {now}) AS gone"
            ") AS changed) AS differing"
        )
        tables[table.name] = int(query(conn, sql)[0][0])
        query(conn, f"DROP TABLE was_{table.name}")
    conversations = query(conn, "SELECT COUNT(*) FROM kf_conversation")[0][0]
    found = {name: different for name, different in tables.items() if different}
    return Difference(entries, int(conversations), sum(tables.values()), found)


def _fold(
    conn: Connection,
    after: int,
    until: int = _NO_END,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> int:
    projector = Projector(conn)
    streams: dict[int, Stream] = {}
    done = 0
    for commit in _commits(conn, after, until):
        absent = {row.stream for row in commit} - streams.keys()
        if len(streams) > _READ * 10:
            streams.clear()
            absent = {row.stream for row in commit}
        streams.update(streams_by_id(conn, absent))
        projector.commit(commit, streams)
        after = commit[-1].position
        done += len(commit)
        if progress is not None:
            progress(len(commit))
        if limit is not None and done >= limit:
            break
    projector.flush()
    if done:
        _store(conn, after)
    return done


def _commits(conn: Connection, after: int, until: int) -> Iterator[Sequence[EntryRow]]:
    """Yield the log commit by commit: the entries of one ``recorded_at`` each, cut to what projections look at."""
    pending: list[EntryRow] = []
    new = tuple.__new__
    while found := query(conn, _LOOKED_AT, (after, until, _READ)):
        rows = [new(EntryRow, row) for row in found]
        after = rows[-1].position
        for recorded_at, group in groupby(rows, key=_recorded_at):
            if pending and pending[0].recorded_at != recorded_at:
                yield pending
                pending = []
            pending += group
    if pending:
        yield pending


def _stored(conn: Connection) -> tuple[int, str]:
    found = query(
        conn, "SELECT position, fingerprint FROM kf_projection WHERE name = ? AND version = ?", (NAME, VERSION)
    )
    return (found[0][0], str(found[0][1])) if found else (0, "")


def _store(conn: Connection, position: int) -> None:
    bulk_upsert(conn, kf_projection, [(NAME, VERSION, position, MACHINE.fingerprint, "live", None)])
