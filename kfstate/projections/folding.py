"""The log folded onto the tables of a build: from a position on, commit by commit, as far as is wanted."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection

from kfstate.errors import CorruptLogError
from kfstate.machine.compiled import MACHINE
from kfstate.projections import builds
from kfstate.projections.builds import Build
from kfstate.projections.projector import Projector
from kfstate.projections.tables import TABLES
from kfstate.store.dialect import query
from kfstate.store.read import check_whole, streams_by_id
from kfstate.store.rows import EntryRow, Stream

__all__ = ["Folding", "Progress", "Shipped", "commits", "commits_of"]

_READ = 10_000
_NO_END = (1 << 63) - 1
_recorded_at = attrgetter("recorded_at")
_USED = EntryRow._fields[: EntryRow._fields.index("from_at") + 1]
_UNUSED = frozenset({"form", "kind_version", "occurred_at", "origin", "msgtype", "code_kind"})
_COLUMNS = ", ".join("NULL" if name in _UNUSED else name for name in _USED)
"""The columns after these are the proof's; no projection looks at them, or at the unused ones."""
_AFTER = f"SELECT {_COLUMNS} FROM kf_entry WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
_OF_STREAM = f"SELECT {_COLUMNS} FROM kf_entry WHERE stream = ? AND position <= ? ORDER BY position"

Progress = Callable[[int], None]
"""Told how many further entries are done."""


class Folding:
    """Folds onto one build. What it holds in memory stays good as long as nobody else folds onto the same build."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._position = -1
        self._projector: Projector | None = None
        self._streams: dict[int, Stream] = {}

    def advance(self, conn: Connection, build: Build, *, until: int = _NO_END, limit: int | None = None) -> int:
        """Fold what comes after the build's position, about ``limit`` entries; return the position reached."""
        projector = self._projector
        if projector is None or self._position != build.position:
            projector = self._projector = Projector(conn)
        projector.join(conn)
        self._position, after, done = -1, build.position, 0
        with builds.of_build(conn, build.version):
            for commit in commits(conn, after, until, limit):
                self._know(conn, commit)
                projector.commit(commit, self._streams)
                after = commit[-1].position
                done += len(commit)
                if limit is not None and done >= limit:
                    break
            projector.flush()
        self._position = after
        return after

    def _know(self, conn: Connection, commit: Sequence[EntryRow]) -> None:
        if len(self._streams) > _READ * 10:
            self._streams.clear()
        absent = {row.stream for row in commit} - self._streams.keys()
        if absent:
            self._streams.update(streams_by_id(conn, absent))
            for row in commit:
                if row.stream not in self._streams:
                    raise CorruptLogError(row.position, f"stream {row.stream} is missing")


class Shipped:
    """The shipped projections, as what can be built and kept at the head of the log."""

    name = builds.NAME
    tables = TABLES
    inline = True

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the machine that folds."""
        return MACHINE.fingerprint

    def folding(self) -> Folding:
        """Return what folds onto one build."""
        return Folding()


def commits(
    conn: Connection, after: int, until: int = _NO_END, limit: int | None = None
) -> Iterator[Sequence[EntryRow]]:
    """Yield the log commit by commit: the entries of one ``recorded_at`` each, cut to what projections look at."""
    size = _READ if limit is None else min(limit + 1, _READ)
    pending: list[EntryRow] = []
    while found := query(conn, _AFTER, (after, until, size)):
        check_whole(after, found)
        rows = [tuple.__new__(EntryRow, row) for row in found]
        after = rows[-1].position
        for recorded_at, group in groupby(rows, key=_recorded_at):
            if pending and pending[0].recorded_at != recorded_at:
                yield pending
                pending = []
            pending += group
    if pending:
        yield pending


def commits_of(conn: Connection, stream: int, until: int) -> Iterator[Sequence[EntryRow]]:
    """Yield the entries of one stream, commit by commit, up to a position."""
    rows = [tuple.__new__(EntryRow, row) for row in query(conn, _OF_STREAM, (stream, until))]
    for _, group in groupby(rows, key=_recorded_at):
        yield list(group)
