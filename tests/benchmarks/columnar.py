"""Columnar replay from Parquet: the log, laid side by side many times as an archive of other conversations."""

import json
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from kfstate.archive.arrow import np, pa, pc
from kfstate.archive.briefs import brief
from kfstate.archive.columnar import fold_archive, fold_log, fold_slices, tasks
from kfstate.archive.compacting import compact
from kfstate.archive.exporting import export
from kfstate.archive.layout import read_parts, writing
from kfstate.archive.parquet import write_table
from kfstate.archive.reading import entries
from kfstate.archive.schema import FOLDED, SCHEMA_VERSION, SLICES, slices_of
from kfstate.store.database import Database
from tests.benchmarks.data import LOG
from tests.benchmarks.ours import url
from tests.benchmarks.subject import Stopwatch, settle

__all__ = ["archive", "log", "one", "two"]

ENTRIES = 32_000_000
COPIES = 10
"""So many logs make a part of the archive, ..."""
FILES = 16
"""... which has so many files of each kind."""
TOLD = {"schema": SCHEMA_VERSION}


def one(folder: Path, watch: Stopwatch) -> int:
    """Replay in one process, and in one thread of it."""
    place = archive(folder)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    fold_slices(tasks(place)[0])
    settle()
    with watch.running():
        for _ in fold_archive(place):
            pass
    return _count(place)


def two(folder: Path, watch: Stopwatch) -> int:
    """Replay by two processes that run already."""
    place = archive(folder)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        todo = tasks(place)
        list(pool.map(fold_slices, todo[:2] * 4))
        settle()
        with watch.running():
            for _ in pool.map(fold_slices, todo):
                pass
    return _count(place)


def log(folder: Path, watch: Stopwatch) -> int:
    """Replay from the database, in one process."""
    place = url(folder / LOG)
    fold_log(place, until=1)
    settle()
    with watch.running():
        found = fold_log(place)
    assert found.num_rows
    with closing(sqlite3.connect(folder / LOG)) as connection:
        return int(connection.execute("SELECT MAX(position) FROM kf_entry").fetchone()[0])


def archive(folder: Path) -> Path:
    """Return an archive with at least so many entries; made once."""
    place = folder / "columnar"
    if not place.is_dir():
        with TemporaryDirectory(dir=folder) as scratch:
            database = Database(url(folder / LOG))
            export(database, Path(scratch) / "log")
            database.close()
            _tile(Path(scratch) / "log", Path(scratch) / "tiled")
            with writing(Path(scratch) / "tiled") as parts:
                compact(Path(scratch) / "tiled", parts)
            (Path(scratch) / "tiled").rename(place)
    return place


def _count(place: Path) -> int:
    return sum(file.rows for part in read_parts(place) for file in part.of("briefs"))


def _tile(source: Path, target: Path) -> None:
    """Write the entries again and again, each time as those of other streams; so many copies make a part."""
    (part,) = read_parts(source)[:1]
    log = entries(source, columns=FOLDED).filter(pc.field("position") <= part.last)
    streams = int(pc.max(log["stream"]).as_py()) + 1
    target.mkdir()
    position, before = 0, part.before
    for first in range(0, -(-ENTRIES // part.last), COPIES):
        copies = [_shifted(log, at * part.last, at * streams) for at in range(first, first + COPIES)]
        whole = pa.concat_tables(copies).combine_chunks()
        slices = slices_of(whole["stream"].to_numpy())
        whole = whole.add_column(0, "slice", pa.array(slices))
        keys = [whole[name].to_numpy() for name in ("sort_second", "stream", "slice")]
        briefs, shapes = brief(whole.take(np.lexsort(keys)).combine_chunks())
        path = target / "part"
        path.mkdir()
        cuts = np.searchsorted(np.sort(slices), [at * SLICES // FILES for at in range(FILES + 1)])
        files = [
            write_table(
                path,
                "briefs",
                briefs.slice(begin, end - begin),
                TOLD,
                (at * SLICES // FILES, (at + 1) * SLICES // FILES - 1),
            )
            for at, (begin, end) in enumerate(pairwise(cuts.tolist()))
        ]
        files.append(write_table(path, "shapes", shapes, TOLD))
        last = position + part.last * COPIES
        made = attrs.evolve(part, first=position + 1, last=last, before=before, files=tuple(files))
        (path / "part.json").write_text(json.dumps(attrs.asdict(made)), encoding="utf-8")
        path.rename(target / made.folder)
        position, before = last, made.chain


def _shifted(log: pa.Table, positions: int, streams: int) -> pa.Table:
    for name, by in (("position", positions), ("stream", streams), ("target", positions)):
        at = log.schema.get_field_index(name)
        log = log.set_column(at, log.schema.field(name), pc.add(log[name], by))
    return log
