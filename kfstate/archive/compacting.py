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
from kfstate.archive.layout import Compacted, File, Run
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


def compact(folder: Path) -> None:
    """Put together what is to be, in an archive that is held for writing; each of it is there as a whole, or is not.

    What it takes the place of goes the next time, so that whoever reads it can come to an end.
    """
    remove_superseded(folder)
    for runs in _groups(read_runs(folder)):
        if len(runs) > 1:
            layout.publish(folder, _together(folder, runs))


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
    log, first, last, before = runs[-1], runs[0].first, runs[-1].last, runs[0].before
    told = {
        "schema": SCHEMA_VERSION, "log_id": log.log_id, "created_at": log.created_at,
        "first": first, "last": last, "before": before, "chain": log.chain,
    }  # fmt: skip
    with layout.new_run(folder, first) as (path, made):
        compacted = Compacted(
            log_id=log.log_id, created_at=log.created_at, first=first, last=last, before=before, chain=log.chain,
            files=tuple(_files(folder, runs, path, told)),
        )  # fmt: skip
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
    first, last = slices
    pieces = [tuple(np.empty(0, field.type.to_pandas_dtype()) for field in list(BRIEFS)[1:])]
    for run, number in zip(runs, numbers, strict=True):
        for file in run.of("briefs", first, last):
            whole = first <= file.first_slice and file.last_slice <= last
            briefs = read_briefs(folder / run.folder / file.name, slices, len(number), whole=whole)
            pieces.append((briefs.stream, briefs.second, briefs.position, briefs.tie, number[briefs.shape]))
    stream, second, *others = (np.concatenate(column) for column in zip(*pieces, strict=True))
    columns = [slices_of(stream), stream, second, *others]
    order = np.lexsort((second, stream, columns[0]))  # stable: positions stay in order
    return pa.Table.from_arrays([pa.array(column[order]) for column in columns], schema=BRIEFS)
