"""Every engine gives the states of the single process, however the archive is cut."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest

from kfstate.archive import exporting, parquet
from kfstate.archive.columnar import (
    digest,
    fold_archive,
    fold_log,
    fold_slices,
    logs,
    slices,
    tasks,
    with_dask,
    with_pool,
)
from kfstate.archive.exporting import export
from kfstate.engine import Engine
from kfstate.errors import ArchiveError
from kfstate.machine import Clockwork, SessionState, compiled
from kfstate.machine.table import SPEC
from kfstate.projections.replaying import states
from kfstate.store.database import Database

__all__: list[str] = []


@pytest.fixture(autouse=True)
def _small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut an archive as one that is many times as large."""
    monkeypatch.setattr(slices, "_ROWS", 10)
    monkeypatch.setattr(slices, "group_of", lambda _: 1)


@pytest.fixture(scope="module")
def archive(source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That log as an archive of several parts, with several files each."""
    folder = tmp_path_factory.mktemp("archive")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "_FILE", 40)
        patch.setattr(parquet, "group_of", lambda _: 10)
        database = Database(source)
        export(database, folder, size=150)
        database.close()
    return folder


def of(tables: Iterable[Any]) -> dict[int, SessionState]:
    """Return stream and state of every row."""
    rows = [row for table in tables for row in table.to_pylist()]
    found = {row.pop("stream"): SessionState(**row) for row in rows}
    assert len(rows) == len(found)
    return found


def test_single_process(archive: Path, log: Database) -> None:
    """The archive folds to what the database replays to: conversations only, each in one task."""
    assert len(tasks(archive)) > 1
    with log.reading() as conn:
        assert dict(states(conn)) == of(fold_archive(archive))


def test_pool(archive: Path) -> None:
    """A pool of processes gives the same."""
    assert digest(fold_archive(archive)) == digest(with_pool(archive, processes=2))


def test_another_machine(archive: Path) -> None:
    """Tasks take the machine with them."""
    other = compiled(attrs.evolve(SPEC, clockwork=Clockwork(expires_after=600)))
    assert other.spec == tasks(archive, other)[0].spec
    found = digest(fold_archive(archive, other))
    assert digest(fold_archive(archive)) != found
    assert digest(map(fold_slices, reversed(tasks(archive, other)))) == found


def test_dask(archive: Path) -> None:
    """Dask gives the same, on whatever scheduler."""
    import dask

    with dask.config.set(scheduler="threads", num_workers=2):
        assert digest(fold_archive(archive)) == digest(with_dask(archive))


@pytest.mark.parametrize("processes", [1, 2])
def test_database(source: str, log: Database, processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log in a database folds to the same, read in one go or in ranges, to the head or to any place of it."""
    monkeypatch.setattr(logs, "_RANGE", 60)
    monkeypatch.setattr(logs, "_BATCH", 17)
    for until in (None, 100) if processes == 1 else (None,):
        with log.reading() as conn:
            assert dict(states(conn, until=until)) == of([fold_log(source, until=until, processes=processes)])


def test_empty_log(tmp_path: Path) -> None:
    """No entries, no states."""
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    Engine(url).close()
    assert 0 == fold_log(url, until=0).num_rows


def test_nothing(tmp_path: Path) -> None:
    """No archive, no tasks."""
    assert [] == tasks(tmp_path)
    assert "0" * 32 == digest(fold_archive(tmp_path))


def test_damage_is_named(archive: Path, tmp_path: Path) -> None:
    """A file that was cut is an error that names it."""
    copy = tmp_path / "copy"
    shutil.copytree(archive, copy)
    lost = next(copy.glob("*/briefs-*.parquet"))
    lost.write_bytes(lost.read_bytes()[:100])
    with pytest.raises(ArchiveError, match=lost.name):
        list(fold_archive(copy))
