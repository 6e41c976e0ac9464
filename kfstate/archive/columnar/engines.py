"""The columnar replay of a whole archive: in this process, by a pool of processes, by PySpark or Dask.

Every engine runs :func:`fold_slices` on ranges of slices and has nothing to agree on: a conversation stands in one
slice. What comes back is the same, in whatever order; :func:`kfstate.archive.columnar.digesting.digest` says so.
"""

import importlib
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs

from kfstate.archive import layout
from kfstate.archive.arrow import np, pa, pc, pq
from kfstate.archive.columnar.folding import FINAL, fold_table
from kfstate.archive.schema import FOLDED, SLICES, slices_of
from kfstate.errors import ArchiveError
from kfstate.machine import MACHINE, Machine, MachineSpec, compiled

__all__ = ["Task", "fold_archive", "fold_slices", "tasks", "with_dask", "with_pool", "with_spark"]


_TWICE = 1.25
"""Tasks are made smaller as long as they read no more than this, times what there is."""


@attrs.frozen
class Task:
    """Some slices of an archive to fold, and the machine, as data that can be sent anywhere."""

    folder: str
    first_slice: int
    last_slice: int
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
    count = _count([file for part in parts for file in part.of("entries")])
    cuts = [at * SLICES // count for at in range(count + 1)] if parts else []
    return [Task(str(folder), first, after - 1, tuple(others), spec) for first, after in pairwise(cuts)]


def _count(files: Sequence[layout.File]) -> int:
    """Return into how many tasks these files are cut: a power of two, that makes few rows be read more than once."""
    total = sum(file.rows for file in files)
    count = 1
    while count < SLICES:
        widths = ((file.rows, (file.last_slice - file.first_slice + 1) / SLICES) for file in files)
        if sum(rows * max(1, 2 * count * width) for rows, width in widths) > total * _TWICE:
            break
        count *= 2
    return count


def fold_slices(task: Task) -> Any:
    """Fold the conversations of a task to their last states, as :func:`kfstate.archive.columnar.fold_table` does."""
    folder = Path(task.folder)
    tables = [
        _part(_read(folder / part.folder / file.name, FOLDED), file, task)
        for part in layout.read_parts(folder)
        for file in part.of("entries", task.first_slice, task.last_slice)
    ]
    if not tables:
        return FINAL.empty_table()
    machine = MACHINE if task.spec is None else compiled(task.spec)
    found = fold_table(pa.concat_tables(tables), machine)
    talks = ~np.isin(found["stream"].to_numpy(), np.array(task.others, np.int64))
    return found if talks.all() else found.filter(pa.array(talks))


def fold_archive(folder: Path, machine: Machine = MACHINE) -> Iterator[Any]:
    """Fold an archive in this process; one table of states comes for each task."""
    return map(fold_slices, tasks(folder, machine))


def with_pool(folder: Path, machine: Machine = MACHINE, *, processes: int | None = None) -> Iterator[Any]:
    """Fold an archive by a pool of processes, as many as there are cores unless the caller says otherwise."""
    todo = tasks(folder, machine)
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(fold_slices, todo)


def with_dask(folder: Path, machine: Machine = MACHINE) -> Sequence[Any]:
    """Fold an archive by Dask's scheduler (the one that is set, or the client's); workers must see the folder."""
    dask: Any = importlib.import_module("dask")
    folded: Sequence[Any] = dask.compute(*(dask.delayed(fold_slices)(task) for task in tasks(folder, machine)))
    return folded


def with_spark(session: Any, folder: Path, machine: Machine = MACHINE) -> Any:
    """Return a Spark DataFrame of the last states, folded by ``mapInArrow``; executors must see the folder."""
    todo = tasks(folder, machine)
    plain = pa.schema(
        [pa.field(field.name, pa.string() if pa.types.is_dictionary(field.type) else field.type) for field in FINAL]
    )

    def fold(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            for number in batch.column("task").to_pylist():
                yield from fold_slices(todo[number]).cast(plain).to_batches()

    numbers = session.createDataFrame([(number,) for number in range(len(todo))], "task int").repartition(len(todo))
    return numbers.mapInArrow(fold, _spark_schema())


def _spark_schema() -> str:
    names = {"int8": "tinyint", "int32": "int", "int64": "bigint"}
    return ", ".join(f"{field.name} {names.get(str(field.type), 'string')}" for field in FINAL)


def _part(table: Any, file: layout.File, task: Task) -> Any:
    """Return the rows of a file that are in the slices of a task."""
    if task.first_slice <= file.first_slice and file.last_slice <= task.last_slice:
        return table
    slices = slices_of(table["stream"].to_numpy())
    return table.filter(pa.array((task.first_slice <= slices) & (slices <= task.last_slice)))


def _read(path: Path, columns: Sequence[str]) -> Any:
    try:
        return pq.ParquetFile(path).read(list(columns), use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(str(path), "it cannot be read") from error
