"""What is forgotten is in no file any more, the rest is what it was, and the chain verifies."""

from pathlib import Path

import pytest

from kfstate.archive import erasing, layout, reading
from kfstate.archive.exporting import export
from kfstate.archive.restoring import restore
from kfstate.archive.results import Erased
from kfstate.engine import Engine
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


def test_a_customer_is_forgotten(told: str, tmp_path: Path) -> None:
    """One customer's words, digests and name are gone from every part; the others' stay, and the log verifies."""
    folder, log = tmp_path / "archive", Database(told)
    done = export(log.reading, folder, size=10)
    log.close()
    (name,) = [row[0] for row in dump(told, ["kf_name"])["kf_name"] if row[4] == "wm-person-1"]
    streams = [row[0] for row in dump(told, ["kf_stream"])["kf_stream"] if row[4] == name]
    assert b"wm-person-1" in everything(folder, tmp_path)
    found = erasing.erase(folder, names=[name], streams=streams)
    assert (1, 10) == (found.names, found.payloads)
    assert Erased(0, 0, 0) == erasing.erase(folder, names=[name], streams=streams)
    left = everything(folder, tmp_path)
    assert b"wm-person-1" not in left
    assert b"wm-person-2-29" in left
    target = sqlite(tmp_path / "restored.db")
    restore(target, reading.log_of(folder), reading.pieces(folder))
    with Engine(target) as engine:
        verified = engine.verify()
    assert (None, done.chain, 10) == (verified.damage, verified.chain.hex(), len(verified.erased))
    before, after = dump(told), dump(target)
    assert before["kf_entry"] == after["kf_entry"]
    gone = {row[0] for row in before["kf_entry"] if row[1] in streams}
    assert gone == set(verified.erased)
    kept = [row for row in before["kf_payload"] if row[0] not in gone]
    assert kept == [row for row in after["kf_payload"] if row[1] is not None]
    assert {row[2] for row in after["kf_identity"] if row[3] is None} == gone


def test_payloads_age(told: str, tmp_path: Path) -> None:
    """Payloads up to a position go, but those that are held."""
    folder, log = tmp_path / "archive", Database(told)
    export(log.reading, folder, size=10)
    log.close()
    held = {1: 2}
    found = erasing.age(folder, until=15, held=held)
    target = sqlite(tmp_path / "restored.db")
    restore(target, reading.log_of(folder), reading.pieces(folder))
    streams = {row[0]: row[1] for row in dump(target)["kf_entry"]}
    gone = {row[0] for row in dump(target)["kf_payload"] if row[1] is None}
    assert gone == {position for position, stream in streams.items() if position <= 15 and stream not in held}
    assert found.payloads == len(gone)
    assert 0 == found.names


def test_a_killed_erasure(told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was erased is nowhere, also where an erasure was killed between two files: the next one finds the rest."""
    folder, log = tmp_path / "archive", Database(told)
    export(log.reading, folder, size=40)
    log.close()

    real, calls = layout._tidy, list[Path]()

    def killed(path: Path, part: layout.Part) -> None:
        calls.append(path)
        if len(calls) == 2:  # the manifest stands, the old file is still there
            raise KeyboardInterrupt
        real(path, part)

    monkeypatch.setattr(layout, "_tidy", killed)
    with pytest.raises(KeyboardInterrupt):
        erasing.age(folder, until=40)
    assert 2 == len(list(folder.rglob("words*")))
    monkeypatch.undo()
    assert Erased(0, 0, 0) == erasing.age(folder, until=40)
    assert {file.name for file in layout.read_parts(folder)[0].files} == {
        path.name for path in folder.rglob("*.parquet")
    }
    assert b"it is me" not in everything(folder, tmp_path)


def test_what_the_database_erased(told: str, tmp_path: Path) -> None:
    """What was cleared in the database after the export is cleared in the archive when that follows."""
    folder, log = tmp_path / "archive", Database(told)
    export(log.reading, folder, size=10)
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
