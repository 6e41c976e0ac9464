"""The fold over columns: Arrow in, the last state of each conversation out, in one process or in many.

Needs the extra ``columnar`` (numba, pyarrow, numpy).
"""

from kfstate.archive.columnar.digesting import digest
from kfstate.archive.columnar.engines import with_dask, with_pool, with_ray, with_spark
from kfstate.archive.columnar.folding import FINAL, fold_table
from kfstate.archive.columnar.logs import fold_log
from kfstate.archive.columnar.slices import fold_archive, fold_slices, tasks

__all__ = [
    "FINAL",
    "digest",
    "fold_archive",
    "fold_log",
    "fold_slices",
    "fold_table",
    "tasks",
    "with_dask",
    "with_pool",
    "with_ray",
    "with_spark",
]
