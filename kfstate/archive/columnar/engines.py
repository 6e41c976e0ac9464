"""The columnar replay of a whole archive by a pool of processes, by PySpark, Dask or Ray.

Every engine runs :func:`kfstate.archive.columnar.fold_slices` on ranges of slices. What comes back is the same, in
whatever order; :func:`kfstate.archive.columnar.digest` says so.
"""

import importlib
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from kfstate.archive.arrow import pa
from kfstate.archive.columnar.folding import FINAL
from kfstate.archive.columnar.slices import fold_slices, tasks
from kfstate.machine import MACHINE, Machine

__all__ = ["with_dask", "with_pool", "with_ray", "with_spark"]


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


def with_ray(folder: Path, machine: Machine = MACHINE) -> Any:
    """Return a Ray dataset of the last states, folded where it is used; Ray's workers must see the folder."""
    data: Any = importlib.import_module("ray.data")
    todo, plain = tasks(folder, machine), _plain()

    def fold(batch: Any) -> Iterator[Any]:
        for number in batch["item"].to_pylist():
            yield fold_slices(todo[number]).cast(plain)

    numbers = data.from_items(list(range(len(todo))), override_num_blocks=len(todo) or None)
    return numbers.map_batches(fold, batch_size=1, batch_format="pyarrow")


def with_spark(session: Any, folder: Path, machine: Machine = MACHINE) -> Any:
    """Return a Spark DataFrame of the last states, folded by ``mapInArrow``; executors must see the folder."""
    todo, plain = tasks(folder, machine), _plain()

    def fold(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            for number in batch.column("task").to_pylist():
                yield from fold_slices(todo[number]).cast(plain).to_batches()

    numbers = session.createDataFrame([(number,) for number in range(len(todo))], "task int").repartition(len(todo))
    return numbers.mapInArrow(fold, _spark_schema())


def _plain() -> Any:
    """Return the columns of a result with words instead of numbers for words, which engines cannot join."""
    return pa.schema(
        [pa.field(field.name, pa.string() if pa.types.is_dictionary(field.type) else field.type) for field in FINAL]
    )


def _spark_schema() -> str:
    names = {"int8": "tinyint", "int32": "int", "int64": "bigint"}
    return ", ".join(f"{field.name} {names.get(str(field.type), 'string')}" for field in FINAL)
