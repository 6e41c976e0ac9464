"""The log as Parquet, and back: every row, the same states, parts that are whole or not there."""

import json
import random
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from kfstate.archive import exporting, layout, reading
from kfstate.archive.exporting import export
from kfstate.archive.parquet import write_table
from kfstate.archive.restoring import restore
from kfstate.archive.results import Exported
from kfstate.concurrency import THREADS
from kfstate.engine import Engine
from kfstate.errors import ArchiveError, CheckpointError, CorruptLogError
from kfstate.projections import replaying
from kfstate.store.crew import Crew
from kfstate.store.database import Database
from tests.archive.world import dump, live, make
from tests.servers import EMPTY_ENGINE, Databases
from tests.store.behind import change, unguarded

__all__: list[str] = []


@pytest.fixture(autouse=True)
def _several_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts have several files, too."""
    monkeypatch.setattr(exporting, "_FILE", 16)


def back(url: str, folder: Path, *, size: int = 33) -> int:
    """Put an archive into a database, and return how many entries were new."""
    return restore(url, reading.log_of(folder), reading.pieces(folder, size=size)).entries


def test_there_and_back(log: Database, source: str, empty: str, folder: Path) -> None:
    """Every row of every table of the log comes back as it was, what was erased included."""
    done = export(log, folder, size=64)
    assert done.entries == back(empty, folder)
    assert dump(source) == dump(empty)
    with Engine(empty) as ours:
        assert None is ours.verify().damage
        assert f"{done.position}:{done.chain}" == ours.verify().anchor
    assert 0 == back(empty, folder)


def test_every_database(database: Databases, folder: Path) -> None:
    """The same from and to every database."""
    source, target = database.new(EMPTY_ENGINE), database.new()
    make(source, size=40)
    log = Database(source)
    export(log, folder)
    log.close()
    back(target, folder)
    assert dump(source) == dump(target)


def test_states(log: Database, folder: Path) -> None:
    """A replay from the archive, and one from both archive and database, is that of the database, at any position."""
    export(log, folder, size=50, until=101)
    chance = random.Random(5)
    with log.reading() as conn:
        assert sorted(replaying.states(conn)) == sorted(reading.states(folder, conn))
        assert sorted(replaying.states(conn, until=101)) == sorted(reading.states(folder))
        for until in [1, 50, 51, *(chance.randrange(1, 130) for _ in range(8))]:
            expected = sorted(state for state in replaying.states(conn, until=until))
            assert expected == sorted(reading.states(folder, conn, until=until)), until


def test_slices(log: Database, source: str, folder: Path) -> None:
    """Slices together are the log, each sorted as it should be, however it was cut into parts."""
    export(log, folder, size=30)
    rows = dump(source, ["kf_entry"])["kf_entry"]
    found = [
        row
        for first in range(0, 1024, 256)
        for row in reading.entries(folder, first_slice=first, last_slice=first + 255).to_pylist()
    ]
    assert rows == sorted(tuple(row.values())[1:] for row in found)
    order = [(row["slice"], row["stream"], row["sort_second"], row["position"]) for row in found]
    assert order == sorted(order)
    one = reading.entries(folder, first_slice=632, last_slice=632, columns=["position"])
    assert [row[0] for row in sorted(rows) if row[1] == 1] == sorted(one["position"].to_pylist())


def test_it_grows(tmp_path: Path, folder: Path) -> None:
    """An export writes what is new since the last one; an archive of another log is refused."""
    url = f"sqlite:///{tmp_path / 'log.db'}"
    live(url, size=60)
    log = Database(url)
    first = export(log, folder, size=40)
    names = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    live(url, size=30, seed=9, at=1_800_000_000)
    told: list[int] = []
    second = export(log, folder, size=40, progress=told.append)
    assert sum(told) == second.entries == second.position - first.position > 0
    assert names.items() <= {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}.items()
    assert Exported(0, 0, second.position, second.chain) == export(log, folder)
    back(f"sqlite:///{tmp_path / 'again.db'}", folder)
    assert dump(url) == dump(f"sqlite:///{tmp_path / 'again.db'}")
    log.close()
    other = f"sqlite:///{tmp_path / 'other.db'}"
    live(other, size=5)
    log = Database(other)
    with pytest.raises(CheckpointError):
        export(log, folder)
    log.close()


def files(folder: Path) -> dict[str, bytes]:
    """Return all files of an archive."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.databases("sqlite")
def test_processes(database: Databases, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several write what one does, to the byte; where an entry is missing, the parts before it are there."""
    monkeypatch.undo()
    url = database.new(EMPTY_ENGINE)
    make(url, size=60)
    with closing(Database(url)) as log, Crew(log, 2, THREADS.signal) as crew:
        one = export(log, folder, size=20)
        told: list[int] = []
        assert one == export(log, tmp_path / "two", size=20, crew=crew, progress=told.append)
        assert files(folder) == files(tmp_path / "two")
        assert (one.parts, one.entries) == (len(told), sum(told))
        with log.writing() as conn, unguarded(conn):
            change(conn, "DELETE FROM kf_entry WHERE position = 53")
        with pytest.raises(CorruptLogError) as caught:
            export(log, tmp_path / "three", size=20, crew=crew)
        assert (53, 40) == (caught.value.position, layout.read_parts(tmp_path / "three")[-1].last)


_SALT = "UPDATE kf_payload SET salt = x'{}' WHERE position = {}"


@pytest.mark.parametrize(
    ("statements", "position"),
    [
        ([_SALT.format("0011", 53)], 53),
        ([_SALT.format("00" * 17, 48), _SALT.format("00" * 15, 50)], 48),
        (["UPDATE kf_payload SET salt = 16 WHERE position = 53"], 53),
        (["UPDATE kf_entry SET leaf = x'00' WHERE position = 60"], 60),
        (["UPDATE kf_entry SET tie = 'late' WHERE position = 61"], 61),
        (["UPDATE kf_identity SET content = x'00' WHERE position = 44"], 44),
        (["UPDATE kf_name SET salt = x'00' WHERE id = (SELECT MIN(customer) FROM kf_stream WHERE customer > 1)"], 1),
    ],
)
def test_what_a_column_cannot_hold(
    source: str, folder: Path, tmp_path: Path, statements: list[str], position: int
) -> None:
    """Salts, hashes and numbers: nothing of the part is written, where the next rows would be shifted by them."""
    shutil.copyfile(source.removeprefix("sqlite:///"), tmp_path / "spoiled.db")
    with closing(Database(f"sqlite:///{tmp_path / 'spoiled.db'}")) as log:
        with log.writing() as conn, unguarded(conn):
            for statement in statements:
                change(conn, statement)
        with pytest.raises(CorruptLogError, match="holds what it cannot hold") as caught:
            export(log, folder, size=40)
    assert position == caught.value.position
    assert (position - 1) // 40 == len(layout.read_parts(folder))


def test_a_killed_export(log: Database, source: str, empty: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was being written is no part; the next export removes it and goes on there."""
    export(log, folder, size=40, until=40)
    written: list[str] = []

    def killed(path: Path, name: str, *rest: object) -> layout.File:
        written.append(name)
        if len(written) == 3:
            raise KeyboardInterrupt
        return real(path, name, *rest)  # type: ignore[arg-type]

    real = write_table
    monkeypatch.setattr(exporting, "write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        export(log, folder, size=40)
    monkeypatch.undo()
    assert [40] == [part.last for part in layout.read_parts(folder)]
    assert 1 == len(list(folder.glob(".new-*")))
    export(log, folder, size=40)
    assert [] == list(folder.glob(".new-*"))
    back(empty, folder)
    assert dump(source) == dump(empty)


def test_what_is_of_others_stays(log: Database, folder: Path) -> None:
    """Only what a writer makes is removed: what is no more a part as well as what is not one yet."""
    first, last = f"{1:015}", f"{40:015}"
    ours = [f".new-{first}", f".new-compacted-{first}-{last}"]
    theirs = [
        ".new-releases",
        ".new-",
        ".new-1",
        f".new-{first}.bak",
        f".new-{first}-{last}",
        f".new-compacted-{first}",
    ]
    for name in (*ours, *theirs):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").touch()
    export(log, folder)
    assert sorted(theirs) == sorted(path.name for path in folder.glob(".new-*"))


def test_one_writer(log: Database, folder: Path) -> None:
    """While one writes, another one is refused."""
    with layout.writing(folder), pytest.raises(ArchiveError, match="somebody else"):
        export(log, folder)
    assert export(log, folder).entries


def first_file(told: str, **changed: object) -> dict[str, object]:
    """Return what changes the first file of a manifest."""
    first, *others = json.loads(told)["files"]
    return {"files": [first | changed, *others]}


def every_slice(told: str, **changed: dict[int, int]) -> dict[str, object]:
    """Return what changes every file of a manifest: one slice for another."""
    files = json.loads(told)["files"]
    for name, others in changed.items():
        for file in files:
            file[name] = others.get(file[name], file[name])
    return {"files": files}


def test_entries_in_another_slice(log: Database, folder: Path) -> None:
    """Where every file of a part is said to hold what it does not, the replay misses entries and says so."""
    export(log, folder)
    (part,) = layout.read_parts(folder)
    for table in ("entries", "words", "briefs"):
        assert 1 < len(part.of(table))
    manifest = folder / part.folder / "part.json"
    told = json.loads(manifest.read_text())
    for file in told["files"]:
        file["last_slice"] = file["first_slice"]
    manifest.write_text(json.dumps(told))
    with pytest.raises(ArchiveError, match="not all entries of stream"):
        dict(reading.states(folder))


def test_damage_is_named(log: Database, empty: str, folder: Path) -> None:
    """A file that was changed, a part or a file that is gone, another version: each is refused by name."""
    export(log, folder, size=40)
    parts = layout.read_parts(folder)
    path = folder / parts[1].folder
    file = path / parts[1].files[0].name
    bytes_ = file.read_bytes()
    file.write_bytes(bytes_[:100] + b"!" + bytes_[101:])
    with pytest.raises(ArchiveError, match="it was changed"):
        back(empty, folder)
    file.unlink()
    with pytest.raises(ArchiveError, match="cannot be read"):
        back(empty, folder)
    file.write_bytes(bytes_)
    manifest = path / "part.json"
    told = manifest.read_text()
    manifest.write_text(told.replace('"kfstate_archive": 1', '"kfstate_archive": 2'))
    with pytest.raises(ArchiveError, match="layout 2"):
        back(empty, folder)
    manifest.write_text(told[:-5])
    with pytest.raises(ArchiveError, match=r"part\.json cannot be read"):
        back(empty, folder)
    for changed, reason in (
        ({"files": []}, "entries are missing"),
        ({"files": [file for file in json.loads(told)["files"] if file["table"] != "words"]}, "words are missing"),
        ({"log_id": "zz"}, "says what cannot be"),
        ({"chain": "00"}, "says what cannot be"),
        ({"before": 7}, "says what cannot be"),
        ({"recorded_at": 1 << 70}, "says what cannot be"),
        ({"marks": [0, 0, -1]}, "says what cannot be"),
        ({"created_at": "yesterday"}, "cannot be read"),
        ({"machines": [["\ud800", "1", "{}", 1]]}, "cannot be read"),
        (first_file(told, name="\ud800"), "cannot be read"),
        (first_file(told, name="a\0b"), "is of another part"),
        (first_file(told, last_slice=0), "says what cannot be"),
        (every_slice(told, last_slice={1023: 0}), "says what cannot be"),
        (every_slice(told, last_slice={1023: 1024}), "says what cannot be"),
        (every_slice(told, first_slice={0: -1}), "says what cannot be"),
    ):
        manifest.write_text(json.dumps(json.loads(told) | changed))
        with pytest.raises(ArchiveError, match=reason):
            back(empty, folder)
    manifest.write_text(told)
    path.rename(folder / "away")
    with pytest.raises(ArchiveError, match="does not follow"):
        back(empty, folder)
    (folder / "away").rename(path)
    back(empty, folder)
    with pytest.raises(ArchiveError, match="no archive"):
        back(empty, folder / "nowhere")
