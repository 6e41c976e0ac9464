"""Several processes verify what one does: the same lists, and the same first position that does not hold."""

import json
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import Connection

from kfstate.concurrency import THREADS
from kfstate.engine import Engine
from kfstate.errors import ArgumentError
from kfstate.store import dialect, stretches
from kfstate.store import verify as verifying
from kfstate.store.append import append
from kfstate.store.checkpoint import chain_at
from kfstate.store.crew import Crew
from kfstate.store.database import Database
from kfstate.store.facts import draft_elements
from kfstate.store.merkle import Tree
from kfstate.store.read import rows_after
from kfstate.store.verify import Verified, verify
from tests.servers import EMPTY_LOG, Databases
from tests.store.behind import change, forge, unguarded
from tests.store.conftest import NOW, SECOND

SIZE = 150


class Inline(Crew):
    """Other processes, as far as anybody can see, but in this one; notes what they found."""

    def __init__(self, database: Database) -> None:
        """Be three."""
        super().__init__(database, 3, THREADS.signal)
        self.found: list[Any] = []

    def in_order(self, job: Callable[[Database, Any], Any], tasks: Iterable[Any], *, ahead: int = 4) -> Iterator[Any]:
        """Do it here."""
        assert ahead
        for task in tasks:
            self.found.append(job(self._database, task))
            yield self.found[-1]


def fill(url: str) -> None:
    """Make a log of five conversations, with some that was erased, and some that aged out."""
    chance = random.Random(5)
    database = dialect.open_database(url, lock_timeout=1)
    with dialect.begin(database, write=True) as conn:
        for start in range(0, SIZE, 50):
            page = [element(n, f"wm{chance.randrange(5)}") for n in range(start, start + 50)]
            append(conn, draft_elements(page), now=NOW + start * SECOND)
        with unguarded(conn):
            change(conn, "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position BETWEEN 20 AND 90")
            change(conn, "UPDATE kf_identity SET content = NULL WHERE position BETWEEN 20 AND 90")
            change(conn, "UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE value = 'wm2'")
    database.dispose()


def element(number: int, customer: str) -> bytes:
    """Return a message of a customer to a servicer."""
    told = {"msgid": f"m{number}", "open_kfid": "wkA", "external_userid": customer, "send_time": NOW // SECOND}
    return json.dumps({**told, "origin": 5, "servicer_userid": "li", "msgtype": "text"}).encode()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that no test changes."""
    path = tmp_path_factory.mktemp("stretches") / "log.db"
    with closing(Engine(f"sqlite:///{path}")):
        pass
    fill(f"sqlite:///{path}")
    return path


@pytest.fixture
def log(whole: Path, tmp_path: Path) -> Iterator[Database]:
    """A log to be changed."""
    shutil.copyfile(whole, tmp_path / "log.db")
    with closing(Database(f"sqlite:///{tmp_path / 'log.db'}")) as made:
        yield made


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small log is enough for several processes."""
    monkeypatch.setattr(verifying, "_FEW", 0)


def both(log: Database, *, batch: int, **asked: Any) -> Verified:
    """Verify a log by one process and by several, and return what both found."""
    with log.reading() as conn:
        alone = verify(conn, batch=batch, **asked)
        assert alone == verify(conn, batch=batch, crew=Inline(log), **asked)
    return alone


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_a_log_that_holds(log: Database, batch: int) -> None:
    """Others walk along all of it, and what is gone is listed as by one."""
    with log.reading() as conn:
        crew = Inline(log)
        told: list[int] = []
        found = verify(conn, batch=batch, crew=crew, progress=told.append)
        assert verify(conn, batch=batch) == found == verify(conn)
        assert (SIZE + 1, None) == (found.entries, found.damage)
        assert found.entries == sum(told)
        assert -(-found.entries // stretches.length_of(batch)) == len(crew.found) == len(told)
        assert all(crew.found)
    assert found.erased
    assert len(found.aged_out) > 2
    assert all(end + 1 < begin for (_, end), (begin, _) in pairwise(found.aged_out))


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("at", [0, 1, 15, 16, 17, 40, 150, 151])
def test_anchors(log: Database, at: int) -> None:
    """At any place, with the root of the tree and without."""
    with log.reading() as conn:
        rows = rows_after(conn)
        link = rows[at - 1].chain if at else chain_at(conn, 0) or b""
    tree = Tree()
    tree.extend(row.leaf for row in rows[:at])
    for anchor, damage in (
        ((at, link), None),
        ((at, bytes(32)), at),
        ((at, link, tree.root()), None),
        ((at, link, bytes(32)), at),
    ):
        found = both(log, batch=2, anchor=anchor).damage
        assert damage == (found and found.position)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(("first", "last"), [(40, None), (None, 120), (18, 149), (100, 500), (17, None)])
def test_ranges(log: Database, first: int | None, last: int | None) -> None:
    """Wherever they begin and end, even after the log."""
    assert (last == 500) == (both(log, batch=1, first=first, last=last).damage is not None)


TAMPERING = (
    "UPDATE kf_entry SET recorded_at = recorded_at + 1 WHERE position = {}",
    "UPDATE kf_entry SET chain = x'00' WHERE position = {}",
    "UPDATE kf_entry SET pull = 'x' WHERE position = {}",
    "UPDATE kf_entry SET stream = 99 WHERE position = {}",
    "UPDATE kf_entry SET servicer_from = 'x' WHERE position = {}",
    "UPDATE kf_payload SET body = x'7b7d', salt = x'00' WHERE position = {}",
    "UPDATE kf_payload SET body = NULL WHERE position = {}",
    "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position = {}",
    "DELETE FROM kf_payload WHERE position = {}",
    "DELETE FROM kf_entry WHERE position = {}",
    "DELETE FROM kf_identity WHERE position = {}",
    "DELETE FROM kf_entry WHERE position > {}",
    "UPDATE kf_name SET value = 'x' WHERE id = (SELECT servicer_from FROM kf_entry WHERE position = {})",
    "DELETE FROM kf_name WHERE id = ABS({0} - {0} / 5 * 5) + 1",
    "DELETE FROM kf_stream WHERE id = ABS({0} - {0} / 5 * 5) + 1",
)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("statement", TAMPERING)
def test_damage(log: Database, statement: str, seed: int) -> None:
    """At random places: the first one is found, whatever comes after it, with the lists up to there."""
    chance = random.Random(f"{statement}{seed}")
    with log.writing() as conn, unguarded(conn):
        for position in chance.sample(range(1, SIZE), 1 + seed):
            change(conn, statement.format(position))
    found = [both(log, batch=batch) for batch in (1, 2, 4)]
    assert 1 == len({attrs.astuple(one.damage) if one.damage else None for one in found})
    assert 1 == len({(one.last, one.chain, one.erased, one.aged_out) for one in found})


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("columns", [{"version": 0}, {"version": 77}, {"recorded_at": 1}, {"recorded_at": 1 << 60}])
@pytest.mark.parametrize("position", [17, 33, 100, None])
def test_a_forged_order(log: Database, position: int | None, columns: dict[str, int]) -> None:
    """Where every stretch holds by itself, and what is before it tells that it does not follow."""
    with log.writing() as conn:
        at = position or alone_in_its_stretch(conn, stretches.length_of(1))
        forge(conn, at, **columns)
    damage = both(log, batch=1).damage
    assert at + (columns.get("recorded_at", 0) > NOW) == (damage and damage.position)
    if "version" in columns:  # which a walk that begins with it takes as given, and the next one of its stream does not
        damage = both(log, batch=64, first=at).damage
        assert damage is not None
        assert at < damage.position


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("at", [3, 70, SIZE])
def test_a_name_under_two_numbers(log: Database, at: int) -> None:
    """Which no stretch sees for itself: the one number is named in one of them, the other one elsewhere."""
    with log.writing() as conn, unguarded(conn):
        ((li,),) = dialect.query(conn, "SELECT id FROM kf_name WHERE value = 'li'")
        change(
            conn,
            f"INSERT INTO kf_name SELECT 99, corp_id, kind, NULL, NULL, NULL, commitment FROM kf_name WHERE id = {li}",
        )
        change(conn, f"UPDATE kf_entry SET servicer_to = 99 WHERE position = {at}")
    damage = both(log, batch=1).damage
    assert (at, f"name 99 has the commitment of name {li}") == (damage and (damage.position, damage.reason))


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("at", [5, 100])
def test_what_cannot_be_read(log: Database, at: int) -> None:
    """It is named where it is, by one process and by several, however much is read at once."""
    with log.writing() as conn, unguarded(conn):
        change(conn, f"UPDATE kf_entry SET actor = CAST(x'ff' AS TEXT) WHERE position = {at}")
    for batch in (1, 4, 64):
        assert at == getattr(both(log, batch=batch).damage, "position", None)


@pytest.mark.databases("sqlite")
def test_a_position_far_away(log: Database) -> None:
    """The walk ends at the first gap, whatever position the last entry claims."""
    with log.writing() as conn, unguarded(conn):
        change(conn, "UPDATE kf_entry SET position = 9000000000000 WHERE position = 100")
    assert 100 == getattr(both(log, batch=1).damage, "position", None)


def alone_in_its_stretch(conn: Connection, length: int) -> int:
    """Return a position, not among the first ones, with no other entry of its stream in its stretch."""
    of = {row.position: ((row.position - 1) // length, row.stream) for row in rows_after(conn)}
    return next(at for at in range(2 * length, SIZE) if list(of.values()).count(of[at]) == 1)


@pytest.mark.databases("sqlite")
def test_a_stretch_of_another_log(log: Database) -> None:
    """What does not follow on what was found is walked along here."""

    class Elsewhere(Inline):
        def in_order(
            self, job: Callable[[Database, Any], Any], tasks: Iterable[Any], *, ahead: int = 4
        ) -> Iterator[Any]:
            for stretch in super().in_order(job, tasks, ahead=ahead):
                yield attrs.evolve(stretch, before=bytes(32), link=bytes(32))

    with log.reading() as conn:
        assert verify(conn, batch=1) == verify(conn, batch=1, crew=Elsewhere(log))


def test_processes(database: Databases) -> None:
    """The same by processes, on every database, and where one of them meets damage."""
    url = database.new(EMPTY_LOG)
    fill(url)
    with closing(Database(url)) as log, Crew(log, 2, THREADS.signal) as crew:
        for statement in ("SELECT 1", "DELETE FROM kf_payload WHERE position = 77"):
            with log.writing() as conn, unguarded(conn):
                change(conn, statement)
            with log.reading() as conn:
                assert verify(conn, batch=2) == verify(conn, batch=2, crew=crew)


@pytest.mark.databases("sqlite")
def test_few_entries_need_no_process(log: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small log is verified before a process could begin; one is the least, and none can see another's memory."""
    monkeypatch.undo()
    crew = Inline(log)
    with log.reading() as conn:
        verify(conn, crew=crew)
    assert [] == crew.found
    for processes, url in ((0, "sqlite:///:memory:"), (2, "sqlite:///:memory:")):
        with closing(Database(url)) as made, pytest.raises(ArgumentError):
            Crew(made, processes, THREADS.signal)
