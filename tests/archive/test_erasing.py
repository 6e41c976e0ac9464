"""What is forgotten is in no file any more, the rest is what it was, and the chain verifies."""

from pathlib import Path

import pytest

from kfstate.archive import erasing, layout, reading
from kfstate.archive.exporting import export
from kfstate.archive.face import import_log
from kfstate.archive.restoring import restore
from kfstate.archive.results import Erased
from kfstate.engine import Engine
from kfstate.errors import ArchiveError, CheckpointError
from kfstate.store.database import Database
from kfstate.testing import FrozenClock, customer_message, page
from tests.archive.world import dump, sqlite
from tests.engine.worlds import NOW

__all__: list[str] = []


@pytest.fixture
def told(tmp_path: Path) -> str:
    """A log of three customers in two accounts, who each say who they are."""
    url = sqlite(tmp_path / "told.db")
    with Engine(url, clock=FrozenClock.at(NOW + 100)) as engine:
        for at in range(30):
            who = f"wm-person-{at % 3}"
            said = customer_message(f"wk{at % 2}", who, NOW + at, content=f"it is me, {who}-{at}")
            engine.ingest(page([said]))
    return url


def everything(folder: Path, tmp_path: Path) -> bytes:
    """Return all that an archive says, unpacked."""
    target = sqlite(tmp_path / f"unpacked-{len(list(tmp_path.iterdir()))}.db")
    restore(target, reading.log_of(folder), reading.pieces(folder))
    return repr(dump(target)).encode() + b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


GROUND = {"actor": "dpo", "basis": "PIPL art. 47"}


def test_a_customer_is_forgotten(told: str, tmp_path: Path) -> None:
    """The next export forgets whom the database forgot, in every part; the others stay, and the log verifies."""
    folder, log = tmp_path / "archive", Database(told)
    export(log, folder, size=10)
    log.close()
    assert b"wm-person-1" in everything(folder, tmp_path)
    with Engine(told, clock=FrozenClock.at(NOW + 200)) as engine:
        receipt = engine.audit.erase("wm-person-1", **GROUND)
        done = engine.archive.export(folder)
        assert (1, receipt.position, receipt.chain) == (done.entries, done.position, done.chain)
        assert Erased(0, 0, 0) == engine.archive.follow(folder)
    left = everything(folder, tmp_path)
    assert b"wm-person-1" not in left
    assert b"wm-person-2-29" in left
    target = sqlite(tmp_path / "restored.db")
    restore(target, reading.log_of(folder), reading.pieces(folder))
    with Engine(target) as engine:
        verified = engine.verify()
    assert (None, done.chain, 10) == (verified.damage, verified.chain.hex(), len(verified.erased))
    assert dump(told) == dump(target)


def test_another_log_clears_nothing(told: str, tmp_path: Path) -> None:
    """An archive of another log, or of a copy that went on in another way, is refused before a file is touched."""
    folder, copy, other = tmp_path / "archive", sqlite(tmp_path / "copy.db"), sqlite(tmp_path / "other.db")
    with Engine(told, clock=FrozenClock.at(NOW + 200)) as engine:
        engine.archive.export(folder)
        import_log(copy, folder)
        engine.ingest(page([customer_message("wk0", "wm-person-0", NOW + 150)]))
        engine.archive.export(folder)
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for url in (copy, other):
        with Engine(url, clock=FrozenClock.at(NOW + 200)) as engine:
            engine.ingest(page([customer_message("wk0", f"wm-person-{at % 3}", NOW + 99 + at) for at in range(40)]))
            engine.audit.erase("wm-person-1", **GROUND)
            for write in (engine.archive.export, engine.archive.follow):
                with pytest.raises(CheckpointError):
                    write(folder)
    assert files == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_to_follow(told: str, tmp_path: Path) -> None:
    """Where there is no archive, nobody is told that it forgot."""
    with Engine(told) as engine, pytest.raises(ArchiveError):
        engine.archive.follow(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_killed_erasure(told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was erased is nowhere, also where an erasure was killed between two files: the next one finds the rest."""
    folder, log = tmp_path / "archive", Database(told)
    export(log, folder, size=40)
    with log.writing() as conn:
        conn.exec_driver_sql("UPDATE kf_payload SET salt = NULL, body = NULL")
        conn.exec_driver_sql("UPDATE kf_identity SET content = NULL")

    real, calls = layout._tidy, list[Path]()

    def killed(path: Path, part: layout.Part) -> None:
        calls.append(path)
        if len(calls) == 2:  # the manifest stands, the old file is still there
            raise KeyboardInterrupt
        real(path, part)

    monkeypatch.setattr(layout, "_tidy", killed)
    with pytest.raises(KeyboardInterrupt):
        erasing.follow(log.reading, folder)
    assert 2 == len(list(folder.rglob("words*")))
    monkeypatch.undo()
    assert Erased(0, 0, 0) == erasing.follow(log.reading, folder)
    log.close()
    assert {file.name for file in layout.read_parts(folder)[0].files} == {
        path.name for path in folder.rglob("*.parquet")
    }
    assert b"it is me" not in everything(folder, tmp_path)


def test_what_the_database_erased(told: str, tmp_path: Path) -> None:
    """What was cleared in the database after the export is cleared in the archive when that follows."""
    folder, log = tmp_path / "archive", Database(told)
    export(log, folder, size=10)
    with log.writing() as conn:
        conn.exec_driver_sql("UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE value = 'wm-person-2'")
        conn.exec_driver_sql("UPDATE kf_payload SET salt = NULL, body = NULL WHERE position > 9 AND position % 2 = 0")
        conn.exec_driver_sql("UPDATE kf_identity SET content = NULL WHERE position > 9 AND position % 2 = 0")
    assert Erased(1, 11, 4) == erasing.follow(log.reading, folder)
    assert Erased(0, 0, 0) == erasing.follow(log.reading, folder)
    log.close()
    target = sqlite(tmp_path / "restored.db")
    restore(target, reading.log_of(folder), reading.pieces(folder))
    assert dump(told) == dump(target)
