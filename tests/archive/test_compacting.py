"""Entries in brief of several parts as one: the same entries, in files that are whole or not there."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfstate.archive import compacting, exporting, layout, parquet
from kfstate.archive.arrow import np, pa, pq
from kfstate.archive.columnar import digest, fold_archive, slices
from kfstate.archive.exporting import export
from kfstate.archive.layout import Compacted, Run
from kfstate.archive.runs import read_runs
from kfstate.archive.schema import BRIEFS
from kfstate.errors import ArchiveError
from kfstate.store.database import Database
from tests.archive.world import live, sqlite

__all__: list[str] = []


@pytest.fixture(autouse=True)
def _several_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is small has several files and row groups, too."""
    for module, name, value in (
        (exporting, "_FILE", 16),
        (compacting, "_FILE", 16),
        (compacting, "_BATCH", 32),
        (compacting, "_MOST", 1 << 20),
        (parquet, "group_of", lambda _: 4),
        (slices, "group_of", lambda _: 4),
        (slices, "_ROWS", 8),
    ):
        monkeypatch.setattr(module, name, value)


def runs(folder: Path) -> list[Run]:
    """Return what entries in brief are read from."""
    return read_runs(folder, layout.read_parts(folder))


def kinds(folder: Path) -> list[tuple[str, int, int]]:
    """Return the runs of an archive."""
    return [(run.KIND, run.first, run.last) for run in runs(folder)]


def entries(folder: Path) -> list[tuple[Any, ...]]:
    """Return all entries in brief, with what their shapes say, by position."""
    rows: list[tuple[Any, ...]] = []
    for run in runs(folder):
        path = folder / run.folder
        shapes = pq.read_table(path / run.of("shapes")[0].name, partitioning=None).to_pylist()
        for file in run.of("briefs"):
            found = pq.read_table(path / file.name, partitioning=None).to_pylist()
            rows += [(*(row[name] for name in BRIEFS.names[:-1]), shapes[row["shape"]]) for row in found]
    return sorted(rows, key=lambda row: row[3])


def test_the_same_entries(log: Database, folder: Path, tmp_path: Path) -> None:
    """However an archive is cut into parts: entries, what they say, and the states that they fold to."""
    whole = tmp_path / "whole"
    last = export(log, whole).position
    export(log, folder, size=7)
    assert len(layout.read_parts(folder)) > 16 > len(runs(folder))
    assert {"compacted"} == {kind for kind, _, _ in kinds(folder)[:-2]}
    assert entries(whole) == entries(folder)
    assert [*range(1, last + 1)] == [row[3] for row in entries(folder)]
    assert digest(fold_archive(whole)) == digest(fold_archive(folder))


def test_sorted(log: Database, folder: Path) -> None:
    """Rows are by slice, stream, second and position, files by slice, each with the slices that it says."""
    export(log, folder, size=10, until=80)
    (run,) = runs(folder)
    assert (Compacted.KIND, 8) == (run.KIND, len(layout.read_parts(folder)))
    files = run.of("briefs")
    assert len(files) > 2
    rows: list[tuple[int, ...]] = []
    for file in files:
        table = pq.read_table(folder / run.folder / file.name, partitioning=None)
        found = list(zip(*(table[name].to_pylist() for name in BRIEFS.names[:4]), strict=True))
        assert {file.first_slice <= row[0] <= file.last_slice for row in found} == {True}
        rows += found
    assert sorted(rows) == rows


def test_every_export_goes_on(log: Database, folder: Path) -> None:
    """What was compacted once more is there until the next export, for those who read it."""
    for until, left in ((20, 0), (40, 0), (60, 1), (80, 1), (100, 0)):
        export(log, folder, until=until)
        standing = [run.folder for run in runs(folder) if isinstance(run, Compacted)]
        assert left == len(list(folder.glob("compacted-*"))) - len(standing)
    assert [("compacted", 1, 80), ("part", 81, 100)] == kinds(folder)


@given(st.lists(st.integers(1, 1 << 40), min_size=1, max_size=60))
def test_few_runs_few_copies(sizes: list[int]) -> None:
    """Each run is much larger than the next one, or too large for both to be one; doing it again changes nothing."""
    groups = compacting._groups(_runs(sizes))
    assert sum(sizes) == sum(group[-1].last - group[0].first + 1 for group in groups)
    found = [group[-1].last - group[0].first + 1 for group in groups]
    for one, other in pairwise(found):
        assert one > 3 * other or one + other > compacting._MOST
    assert found == [group[-1].last - group[0].first + 1 for group in compacting._groups(_runs(found))]


def _runs(sizes: list[int]) -> list[Compacted]:
    ends = np.cumsum(sizes).tolist()
    return [
        Compacted(log_id="", created_at=0, first=end - size + 1, last=end, before="", chain="", files=())
        for size, end in zip(sizes, ends, strict=True)
    ]


def test_a_killed_one(log: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was being put together is not there; the parts are, and the next export does it."""

    def killed(*_: object) -> layout.File:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(compacting, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            export(log, folder, size=20, until=80)
    assert ["part"] * 4 == [kind for kind, _, _ in kinds(folder)]
    assert 0 == export(log, folder, until=80).entries
    assert [("compacted", 1, 80)] == kinds(folder)
    assert [] == list(folder.glob(".new-*"))


def test_of_another_log(log: Database, folder: Path, tmp_path: Path) -> None:
    """What was compacted of other parts is not read, and goes."""
    export(log, folder, size=20, until=80)
    states = digest(fold_archive(folder))
    live(sqlite(tmp_path / "other.db"), seed=8)
    other = Database(sqlite(tmp_path / "other.db"))
    export(other, tmp_path / "other", size=20, until=80)
    other.close()
    (run,) = folder.glob("compacted-*")
    shutil.rmtree(run)
    shutil.copytree(tmp_path / "other" / run.name, run)
    assert ["part"] * 4 == [kind for kind, _, _ in kinds(folder)]
    assert states == digest(fold_archive(folder))
    stray = folder / "compacted-notes.txt"
    stray.touch()
    export(log, folder, until=80)
    assert ([("compacted", 1, 80)], True) == (kinds(folder), stray.exists())
    assert states == digest(fold_archive(folder))


def _shape(table: Any, shape: int) -> Any:
    at = table.schema.get_field_index("shape")
    return table.set_column(at, BRIEFS.field("shape"), pa.array([shape] * table.num_rows, pa.int32()))


@pytest.mark.parametrize("shape", [-1, 1000])
def test_shapes_that_are_not_there(log: Database, folder: Path, shape: int) -> None:
    """A number that stands for nothing is damage, and never looked up."""
    export(log, folder, size=20, until=40)
    run = runs(folder)[0]
    path = folder / run.folder / run.of("briefs")[0].name
    pq.write_table(_shape(pq.read_table(path, partitioning=None), shape), path)
    with pytest.raises(ArchiveError, match="a shape beyond"):
        list(fold_archive(folder))


@pytest.mark.parametrize("lost", [("shapes", 0), ("briefs", 0), ("briefs", slice(None))])
def test_entries_that_are_not_there(log: Database, folder: Path, lost: tuple[str, int | slice]) -> None:
    """An archive of which some is missing in brief is not folded to less."""
    export(log, folder, until=60)
    (part,) = folder.glob("part-*")
    told = json.loads((part / "part.json").read_text())
    of = [file for file in told["files"] if file["table"] == lost[0]]
    del of[lost[1]]
    files = [file for file in told["files"] if file["table"] != lost[0]] + of
    (part / "part.json").write_text(json.dumps(told | {"files": files}))
    with pytest.raises(ArchiveError, match="each of its entries in brief"):
        list(fold_archive(folder))


def test_what_a_writer_removes_meanwhile(log: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that goes while it is looked for is not missed; one that stays and cannot be read is damage."""
    export(log, folder, size=20, until=80)
    (run,) = folder.glob("compacted-*")
    real = layout.read_manifest

    def gone(path: Path, kind: Any) -> Any:
        if path == run and path.exists():
            shutil.rmtree(path)
        return real(path, kind)

    with monkeypatch.context() as patch:
        patch.setattr(layout, "read_manifest", gone)
        assert ["part"] * 4 == [kind for kind, _, _ in kinds(folder)]
    run.mkdir()
    with pytest.raises(ArchiveError, match=run.name):
        kinds(folder)
