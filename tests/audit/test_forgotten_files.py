"""What the files of SQLite hold after an erasure: nothing, however SQLite was built, and whoever reads meanwhile."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from kfstate import Engine, import_log
from kfstate.store import database
from kfstate.testing import customer_message, page
from tests.audit.test_erasing import FORGOTTEN, GROUND, WORDS, told
from tests.engine.worlds import NOW

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")
OVERWRITES = "PRAGMA secure_delete"


def path_of(url: str) -> Path:
    """Return the file behind a URL."""
    return Path(str(make_url(url).database))


def in_files(url: str, *words: str) -> set[str]:
    """Return which of the files of a database hold one of these words."""
    files = {name: path_of(f"{url}{name}") for name in ("", "-wal")}
    return {
        name
        for name, file in files.items()
        if file.exists() and any(word.encode() in file.read_bytes() for word in words)
    }


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite that does not overwrite what is deleted, unless it is told to: as its makers build it."""
    connect = sqlite3.connect

    def connected(*given: Any, **more: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*given, **more)
        made.execute(f"{OVERWRITES} = OFF").close()
        return made

    monkeypatch.setattr("sqlite3.dbapi2.connect", connected)


@pytest.mark.usefixtures("careless")
def test_pages_that_were_split_hold_no_copies(template: Path, tmp_path: Path) -> None:
    """What a page leaves behind when it is split, before anybody is erased, is not in the file."""
    path = tmp_path / "log.db"
    path.write_bytes(template.read_bytes())
    random = Random(1)
    users = [f"wm{random.randrange(10**30):030}" for _ in range(1500)]
    with Engine(f"sqlite:///{path}") as engine:
        for start in range(0, len(users), 300):
            some = enumerate(users[start : start + 300], NOW + start)
            engine.ingest(page([customer_message("wkA", user, at, content="hello") for at, user in some]))
    held = path.read_bytes()
    assert 1 == len({held.count(user.encode()) for user in users})


@pytest.mark.usefixtures("careless")
def test_every_connection_overwrites(engine: Engine, url: str) -> None:
    """Those of the engine do from the beginning, and those of a caller from the first entry on."""
    with engine._database.reading() as conn:
        assert 1 == conn.exec_driver_sql(OVERWRITES).scalar()
    with engine._database.writing() as conn:
        assert 1 == conn.exec_driver_sql(OVERWRITES).scalar()
    host = create_engine(url)
    with host.begin() as conn:
        assert 0 == conn.exec_driver_sql(OVERWRITES).scalar()
        engine.ingest(page([customer_message("wkA", "wmOne", NOW)]), connection=conn)
        assert 1 == conn.exec_driver_sql(OVERWRITES).scalar()
    host.dispose()


@pytest.fixture
def reader(engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """Somebody else, who reads since before the erasure, and whom nobody waits for."""
    monkeypatch.setattr("kfstate.store.sqlite._JOURNAL_PATIENCE", 10)
    monkeypatch.setattr(database, "_AGAIN", 0.0)
    told(engine)
    with closing(sqlite3.connect(path_of(url), isolation_level=None)) as made:
        made.execute("BEGIN")
        made.execute("SELECT COUNT(*) FROM kf_entry").fetchall()
        yield made


def erased(engine: Engine) -> None:
    """Forget the customer."""
    engine.audit.erase(FORGOTTEN, **GROUND)


@pytest.mark.parametrize("later", ["append", "close", "retain"])
def test_a_journal_that_is_read_is_emptied_later(
    engine: Engine, url: str, reader: sqlite3.Connection, caplog: pytest.LogCaptureFixture, later: str
) -> None:
    """The erasure says that it could not be; the next entry after the reader has gone does it, or the end."""
    with caplog.at_level(logging.WARNING, "kfstate"):
        erased(engine)
    assert ["journal_owed"] == [record.action for record in caplog.records]  # type: ignore[attr-defined]
    assert engine.audit.journal_owed
    assert in_files(url, WORDS, FORGOTTEN)
    engine.ingest(page([customer_message("wkA", "wmMeanwhile", NOW + 50)]))
    assert engine.audit.journal_owed
    reader.execute("COMMIT")
    if later == "append":
        engine.ingest(page([customer_message("wkA", "wmLater", NOW + 60)]))
    elif later == "retain":
        engine.audit.retain(timedelta(days=180), actor="cron", basis="schedule")
    else:
        with closing(sqlite3.connect(path_of(url))) as other:  # or SQLite itself would do it
            other.execute("SELECT COUNT(*) FROM kf_entry").fetchall()
            engine.close()
            assert set() == in_files(url, WORDS, FORGOTTEN)
    assert not engine.audit.journal_owed
    assert set() == in_files(url, WORDS, FORGOTTEN)


def test_a_retention_empties_the_journal_of_another_process(
    engine: Engine, url: str, reader: sqlite3.Connection
) -> None:
    """Even where nothing is due: whoever erased may be gone."""
    with Engine(url) as other:
        erased(other)
    assert in_files(url, WORDS, FORGOTTEN)
    reader.execute("COMMIT")
    assert (0, ()) == (
        (done := engine.audit.retain(timedelta(days=180), actor="cron", basis="daily")).payloads,
        done.receipts,
    )
    assert set() == in_files(url, WORDS, FORGOTTEN)


def test_a_copy_that_follows_empties_its_journal(engine: Engine, tmp_path: Path) -> None:
    """An import takes out what the source has no more, from the journal, too, whoever else has the copy open."""
    told(engine)
    copy, source = f"sqlite:///{tmp_path / 'copy.db'}", tmp_path / "log.ndjson"
    for erasing in (False, True):
        if erasing:
            erased(engine)
        with source.open("wb") as file:
            engine.archive.write(file)
        import_log(copy, source)
        if not erasing:
            other = sqlite3.connect(path_of(copy), isolation_level=None)
            other.execute("SELECT COUNT(*) FROM kf_entry").fetchall()
            assert in_files(copy, WORDS, FORGOTTEN)
    assert set() == in_files(copy, WORDS, FORGOTTEN)
    other.close()


def test_what_is_taken_out_meanwhile_stays_owed(
    engine: Engine, reader: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that began before an erasure pays nothing of it; a journal that cannot be written stays owed."""
    erased(engine)
    reader.execute("COMMIT")
    log = engine._database

    def meanwhile(*_: Any, **__: Any) -> bool:
        log._owed.add("later")
        return True

    monkeypatch.setattr("kfstate.store.dialect.forget_journal", meanwhile)
    log._empty_journal(wait=False)
    assert {"later"} == log._owed
    monkeypatch.undo()
    monkeypatch.setattr("kfstate.store.sqlite._JOURNAL_PATIENCE", "no number at all; nonsense")
    log.forget_journal()
    assert log.journal_owed
    monkeypatch.undo()
    log.forget_journal()
    assert not log.journal_owed
