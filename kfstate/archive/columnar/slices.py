"""An archive cut into tasks, each of some slices: what every engine runs.

A conversation stands in one slice, so tasks have nothing to agree on.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs

from kfstate.archive import layout
from kfstate.archive.arrow import np, pa, pc, pq
from kfstate.archive.columnar.folding import FINAL, Briefs, fold_briefs, joined, without
from kfstate.archive.columnar.packing import pack_shapes
from kfstate.archive.columnar.rules import Ints
from kfstate.archive.reading import entries_of
from kfstate.archive.schema import BRIEFS, GROUP, SLICES, slices_of
from kfstate.errors import ArchiveError
from kfstate.machine import MACHINE, Machine, MachineSpec, compiled

__all__ = ["Piece", "Task", "fold_archive", "fold_slices", "tasks"]

_ROWS = 1 << 20
"""A task folds about so many entries, ..."""
_TWICE = 2
"""... or more, where tasks of this size would together read more than this, times what there is."""
_COLUMNS = BRIEFS.names[1:]


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
    parts = layout.read_parts(folder)
    others: list[int] = []
    for part in parts:
        for file in part.of("streams"):
            found = _read(folder / part.folder / file.name, ("id", "kind"))
            others += found.filter(pc.field("kind") != "conversation")["id"].to_pylist()
    spec = None if machine is MACHINE else machine.spec
    count = _count([file for part in parts for file in part.of("briefs")])
    cuts = [at * SLICES // count for at in range(count + 1)] if parts else []
    return [
        Task(str(folder), first, after - 1, _pieces(parts, first, after - 1), tuple(others), spec)
        for first, after in pairwise(cuts)
    ]


def fold_archive(folder: Path, machine: Machine = MACHINE) -> Iterator[Any]:
    """Fold an archive in this process; one table of states comes for each task."""
    return map(fold_slices, tasks(folder, machine))


def fold_slices(task: Task) -> Any:
    """Fold the conversations of a task to their last states, as :func:`kfstate.archive.columnar.fold_table` does."""
    folder = Path(task.folder)
    pieces = (
        (_briefs(folder / piece.briefs, task, whole=piece.whole), _shapes(folder / piece.shapes))
        for piece in task.pieces
    )
    if not task.pieces:
        return FINAL.empty_table()
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
            (min(GROUP, file.rows), 2 * count * (file.last_slice - file.first_slice + 1) / SLICES) for file in files
        ]
        if sum(group * share for group, share in shares if share > 1) > total * (_TWICE - 1):
            break
        count *= 2
    return count


def _pieces(parts: Sequence[layout.Part], first: int, last: int) -> tuple[Piece, ...]:
    return tuple(
        Piece(
            f"{part.folder}/{file.name}",
            f"{part.folder}/{shapes.name}",
            file.rows,
            first <= file.first_slice and file.last_slice <= last,
        )
        for part in parts
        for shapes in part.of("shapes")
        for file in part.of("briefs", first, last)
    )


def _briefs(path: Path, task: Task, *, whole: bool) -> Briefs:
    """Return the rows of a file that are in the slices of a task."""
    table = _read(path, _COLUMNS, None if whole else (task.first_slice, task.last_slice))
    columns = [table.column(name).to_numpy() for name in _COLUMNS]
    if not whole:
        slices = slices_of(columns[0])
        inside = np.flatnonzero((task.first_slice <= slices) & (slices <= task.last_slice))
        begin, end = (inside[0], inside[-1] + 1) if inside.size else (0, 0)
        columns = [column[begin:end] for column in columns]
    return Briefs(*columns)


@lru_cache(maxsize=256)
def _shapes(path: Path) -> Ints:
    """Return the shapes of a part. Their file has its digest in its name, so it is never another one."""
    return pack_shapes(_read(path, None))


def _read(path: Path, columns: Sequence[str] | None, slices: tuple[int, int] | None = None) -> Any:
    """Read columns of a file, of the row groups that hold any of these slices. Raises ArchiveError."""
    try:
        with pq.ParquetFile(path) as file:
            wanted = None if columns is None else list(columns)
            if slices is None:
                return file.read(wanted, use_threads=False)
            return file.read_row_groups(_groups(file, slices), wanted, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(str(path), "it cannot be read") from error


def _groups(file: Any, slices: tuple[int, int]) -> list[int]:
    first, last = slices
    bounds = [file.metadata.row_group(group).column(0).statistics for group in range(file.num_row_groups)]
    return [group for group, bound in enumerate(bounds) if bound.min <= last and bound.max >= first]
