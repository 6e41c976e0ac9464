"""An archive cut into tasks, each of some slices: what every engine runs.

A conversation stands in one slice, so tasks have nothing to agree on.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import attrs

from kfstate.archive import layout
from kfstate.archive.arrow import pa, pc
from kfstate.archive.briefs import Briefs, read_briefs
from kfstate.archive.columnar.folding import FINAL, fold_briefs, joined, without
from kfstate.archive.columnar.packing import pack_shapes
from kfstate.archive.columnar.rules import Ints
from kfstate.archive.parquet import read_table
from kfstate.archive.reading import entries_of
from kfstate.archive.runs import read_runs
from kfstate.archive.schema import SLICES, STREAMS, group_of, ranges
from kfstate.machine import MACHINE, Machine, MachineSpec, compiled

__all__ = ["Piece", "Task", "fold_archive", "fold_slices", "tasks"]

_ROWS = 1 << 18
"""A task folds about so many entries, ..."""
_TWICE = 2
"""... or more, where tasks of this size would together read more than this, times what there is."""
_STREAMS = pa.schema([STREAMS.field("id"), STREAMS.field("kind")])


@attrs.frozen
class Piece:
    """A file of entries in brief with so many rows, that of their shapes, and whether all rows are of the task."""

    briefs: str
    shapes: str
    rows: int
    whole: bool


@attrs.frozen
class Task:
    """Some slices of an archive to fold, and the machine, as data that can be sent anywhere."""

    folder: str
    first_slice: int
    last_slice: int
    pieces: tuple[Piece, ...]
    others: tuple[int, ...] = ()
    """Streams that are no conversations."""
    spec: MachineSpec | None = None


def tasks(folder: Path, machine: Machine = MACHINE) -> list[Task]:
    """Cut an archive into tasks, each with as few slices as its files let it have.

    Raises :class:`~kfstate.errors.ArchiveError` where an archive is damaged.
    """
    others: list[int] = []
    parts = layout.read_parts(folder)
    for part in parts:
        for file in part.of("streams"):
            found = read_table(folder / part.folder / file.name, _STREAMS)
            others += found.filter(pc.field("kind") != "conversation")["id"].to_pylist()
    spec = None if machine is MACHINE else machine.spec
    runs = read_runs(folder, parts)
    count = _count([file for run in runs for file in run.of("briefs")])
    return [
        Task(str(folder), first, last, _pieces(runs, first, last), tuple(others), spec)
        for first, last in (ranges(count) if runs else [])
    ]


def fold_archive(folder: Path, machine: Machine = MACHINE) -> Iterator[Any]:
    """Fold an archive in this process; one table of states comes for each task."""
    return map(fold_slices, tasks(folder, machine))


def fold_slices(task: Task) -> Any:
    """Fold the conversations of a task to their last states, as :func:`kfstate.archive.columnar.fold_table` does."""
    folder = Path(task.folder)
    if not task.pieces:
        return FINAL.empty_table()
    pieces = (_read(folder, piece, (task.first_slice, task.last_slice)) for piece in task.pieces)
    briefs, shapes = joined(pieces, sum(piece.rows for piece in task.pieces))
    if briefs.stream.size == 0:
        return FINAL.empty_table()
    machine = MACHINE if task.spec is None else compiled(task.spec)
    return without(fold_briefs(briefs, shapes, partial(entries_of, folder), machine), task.others)


def _count(files: Sequence[layout.File]) -> int:
    """Return into how many tasks these files are cut: a power of two.

    A task reads whole row groups: those at the edges of its slices are read by two.
    """
    total = sum(file.rows for file in files)
    count = 1
    while count < SLICES and count * _ROWS < total:
        shares = [
            (min(group_of(file.rows), file.rows), 2 * count * (file.last_slice - file.first_slice + 1) / SLICES)
            for file in files
        ]
        if sum(group * share for group, share in shares if share > 1) > total * (_TWICE - 1):
            break
        count *= 2
    return count


def _pieces(runs: Sequence[layout.Run], first: int, last: int) -> tuple[Piece, ...]:
    return tuple(
        Piece(
            f"{run.folder}/{file.name}",
            f"{run.folder}/{shapes.name}",
            file.rows,
            file.within(first, last),
        )
        for run in runs
        for shapes in run.of("shapes")
        for file in run.of("briefs", first, last)
    )


def _read(folder: Path, piece: Piece, slices: tuple[int, int]) -> tuple[Briefs, Ints]:
    shapes = _shapes(folder / piece.shapes)
    return read_briefs(folder / piece.briefs, slices, len(shapes), whole=piece.whole), shapes


@lru_cache(maxsize=256)
def _shapes(path: Path) -> Ints:
    """Return the shapes of a run. Their file has its digest in its name, so it is never another one."""
    return pack_shapes(read_table(path))
