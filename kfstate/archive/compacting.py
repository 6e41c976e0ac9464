"""Entries in brief of several parts put together, so that a fold reads few large files and not many small ones.

Of runs that follow each other, those are put together of which the later are a third of what is before them: so an
entry is copied a few times at the most however often is exported, and few runs are left.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kfstate.archive import layout
from kfstate.archive.arrow import np, pa
from kfstate.archive.briefs import distinct, read_briefs
from kfstate.archive.layout import Compacted, File, Part, Run
from kfstate.archive.parquet import read_table, write_table
from kfstate.archive.runs import read_runs, remove_superseded
from kfstate.archive.schema import BRIEFS, SCHEMA_VERSION, SLICES, cut, slices_of

__all__ = ["compact"]

_FILE = 1 << 18
"""A file has about so many entries, ..."""
_MOST = SLICES * _FILE
"""... and so many are put together at the most: then a file has one slice."""
_SHARE = 3
"""A run is put together with what follows it as long as it is at most so many times as large."""
_BATCH = 1 << 21
"""About so many are held in memory."""


def compact(folder: Path, parts: Sequence[Part]) -> None:
    """Put together what is to be, in an archive that is held for writing; each of it is there as a whole, or is not.

    What it takes the place of goes the next time, so that whoever reads it can come to an end.
    """
    runs = read_runs(folder, parts)
    remove_superseded(folder, runs)
    for group in _groups(runs):
        if len(group) > 1:
            layout.publish(folder, _together(folder, group))


def _groups(runs: Sequence[Run]) -> list[list[Run]]:
    groups: list[list[Run]] = []
    for run in runs:
        groups.append([run])
        while len(groups) > 1:
            before, after = (group[-1].last - group[0].first + 1 for group in groups[-2:])
            if before > _SHARE * after or before + after > _MOST:
                break
            groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _together(folder: Path, runs: Sequence[Run]) -> Compacted:
    """Write runs as one, and return what is to be published."""
    begin, end = runs[0], runs[-1]
    which: dict[str, Any] = {
        "log_id": end.log_id, "created_at": end.created_at,
        "first": begin.first, "last": end.last, "before": begin.before, "chain": end.chain,
    }  # fmt: skip
    with layout.new_run(folder, begin.first) as (path, made):
        files = _files(folder, runs, path, {"schema": SCHEMA_VERSION} | which)
        compacted = Compacted(**which, files=tuple(files))
        made.append(compacted)
    return compacted


def _files(folder: Path, runs: Sequence[Run], path: Path, told: dict[str, Any]) -> Iterator[File]:
    shapes, numbers = _shapes(folder, runs)
    yield write_table(path, "shapes", shapes, told)
    rows = runs[-1].last - runs[0].first + 1
    for batch in cut(rows, _BATCH):
        briefs = _sorted(folder, runs, numbers, batch)
        for first, last in cut(rows, _FILE):
            begin, end = np.searchsorted(briefs["slice"].to_numpy(), [first, last + 1])
            if begin < end:  # not those of another batch
                yield write_table(path, "briefs", briefs.slice(begin, end - begin), told, (first, last))


def _shapes(folder: Path, runs: Sequence[Run]) -> tuple[Any, list[Any]]:
    """Return the shapes of runs, each once, and for each run which of them its own are."""
    tables = [read_table(folder / run.folder / file.name) for run in runs for file in run.of("shapes")]
    whole = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    number, first = distinct(whole)
    return whole.take(pa.array(first)), np.split(number, np.cumsum([table.num_rows for table in tables])[:-1])


def _sorted(folder: Path, runs: Sequence[Run], numbers: Sequence[Any], slices: tuple[int, int]) -> Any:
    """Return entries in brief of some slices, by stream and second, as the files of a part have them."""
    pieces = [tuple(np.empty(0, field.type.to_pandas_dtype()) for field in list(BRIEFS)[1:])]
    for run, number in zip(runs, numbers, strict=True):
        for file in run.of("briefs", *slices):
            path, whole = folder / run.folder / file.name, file.within(*slices)
            briefs = read_briefs(path, slices, len(number), whole=whole)
            pieces.append((briefs.stream, briefs.second, briefs.position, briefs.tie, number[briefs.shape]))
    stream, second, *others = (np.concatenate(column) for column in zip(*pieces, strict=True))
    columns = [slices_of(stream), stream, second, *others]
    order = np.lexsort((second, stream, columns[0]))  # stable: positions stay in order
    return pa.Table.from_arrays([pa.array(column[order]) for column in columns], schema=BRIEFS)
