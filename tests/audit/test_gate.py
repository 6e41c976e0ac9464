"""The gate names exactly the sessions that a candidate machine changes, and what its figures would be."""

import errno
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import attrs
import pytest

from kfstate import Engine
from kfstate.audit.trials.gate import Gate
from kfstate.audit.trials.spreading import Spreading
from kfstate.errors import ArgumentError, CheckpointError, MachineError
from kfstate.machine import MACHINE, Machine, definition, fold
from kfstate.projections.tables import kf_session
from kfstate.store.dialect import query
from kfstate.store.read import stream_entries
from kfstate.testing import FrozenClock, page
from tests.audit.candidates import another, patient, planted, renamed, short, written
from tests.engine.conftest import Fresh
from tests.engine.story import KF, USER, Teller, change, clicked, own, said
from tests.engine.worlds import ASIDE, NOW, OURS, REWRITING, STRANGE, play, seeded

__all__: list[str] = []

WORDS = ASIDE + OURS + REWRITING + STRANGE


@pytest.fixture(scope="module")
def lived(fresh: Fresh) -> Iterator[Engine]:
    """An engine that has lived through a long history; nobody adds to it."""
    with fresh("gate") as (engine, clock):
        play(engine, clock, seeded(random.Random(7), 300, WORDS))
        engine.tick()
        yield engine


def ran(engine: Engine, machine: Machine | Path | str, **more: object) -> Gate:
    """Run the gate to its end."""
    found = engine.audit.gate(machine, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_figures_are_those_of_the_projections(lived: Engine) -> None:
    """With the live machine nothing changes, and its figures are what the tables of the projections add up to."""
    found = ran(lived, MACHINE)
    assert (True, ()) == (found.passed, found.changed)
    assert found.before == found.after
    with lived._reading() as conn:
        rows = query(conn, f"SELECT {', '.join(kf_session.columns.keys())} FROM kf_session")
        sessions = [dict(zip(kf_session.columns.keys(), row, strict=True)) for row in rows]
        repaired = query(conn, "SELECT COUNT(*) FROM kf_anomaly WHERE kind = 'repaired'")[0][0]
        latest = "SELECT MAX(known_from) FROM kf_step o WHERE o.position = s.position"
        steps = f"SELECT outcome, COUNT(*) FROM kf_step s WHERE known_from = ({latest}) GROUP BY outcome"
        outcomes: dict[str, int] = dict(query(conn, steps))
    assert len(sessions) == found.before.sessions > 20
    waits = sorted(session["queue_seconds"] for session in sessions if session["queued"] is not None)
    assert (len(waits), waits[-1], waits[-(-len(waits) // 2) - 1]) == (
        found.before.queued, found.before.wait_max, found.before.wait_p50,
    )  # fmt: skip
    assert sum(session["repairs"] for session in sessions) == found.before.repairs <= repaired
    assert sum(session["transfers"] for session in sessions) == found.before.transfers
    assert outcomes == found.before.outcomes


@pytest.mark.parametrize("make", [patient, short])
def test_sessions_that_change_are_named(lived: Engine, make: object) -> None:
    """Every session in which an entry is folded otherwise is named, with the first such entry; no other one is."""
    machine: Machine = make()  # type: ignore[operator]
    found = ran(lived, machine)
    wanted: dict[int, int] = {}
    with lived._reading() as conn:
        for (stream,) in query(conn, "SELECT id FROM kf_stream WHERE kind = 'conversation'"):
            entries = stream_entries(conn, stream)
            was, now = fold(entries), fold(entries, machine=machine)
            by_position = {step.entry.position: step for step in was}
            for other in now:
                step = by_position[other.entry.position]
                a, b = step.state, other.state
                same = all(
                    getattr(a, name) == getattr(b, name)
                    for name in ("service_state", "servicer", "session_id", "evidence", "doubt")
                )
                if not same or step.expired_at != other.expired_at or step.outcome != other.outcome:
                    for id_ in {a.session_id, b.session_id} - {None}:
                        assert id_ is not None
                        wanted.setdefault(id_, step.entry.position)
    named = {change.session_id: change.position for change in found.changed if change.position is not None}
    assert wanted
    assert named == wanted
    assert not found.passed
    assert all(change.fields for change in found.changed if change.position is None)


@pytest.mark.parametrize(("row", "name", "other"), [
    ("customer.clicked_after_end", "doubt", None), ("read.untreated", "evidence", "api"),
])  # fmt: skip
def test_what_a_state_rests_on(engine: Engine, tell: Teller, row: str, name: str, other: str | None) -> None:
    """The state is the same by both machines: only by which evidence, or with which doubt, is told otherwise."""
    tell(clicked(0), own(10, "state_reading", service_state=0))
    found = ran(engine, another(row, **{name: other}))
    (one,) = found.changed
    assert not found.passed
    assert one.before is not None
    assert one.after is not None
    assert row == one.before.transition
    assert {name} == {key for key in attrs.asdict(one.before) if getattr(one.before, key) != getattr(one.after, key)}
    assert name in one.why


def test_nothing_is_no_pass(engine: Engine, tell: Teller) -> None:
    """A gate that looked at no conversation has not passed: it is an error, as is a sample that nobody is in."""
    with pytest.raises(ArgumentError, match="has a conversation"):
        engine.audit.gate(MACHINE)
    tell(said(0))
    for ask in (
        lambda: engine.audit.gate(MACHINE, sample=1e-9),
        lambda: engine.audit.compare_machines(MACHINE, sample=1e-9),
        lambda: engine.audit.drift(sample=1e-9),
    ):
        with pytest.raises(ArgumentError, match="any of 1 conversations"):
            ask()
    assert ran(engine, MACHINE).passed


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_one_change(engine: Engine, tell: Teller) -> None:
    """It is said when a session is told otherwise first, what each machine made of that entry, and what came of it."""
    tell.engine.ingest(page([said(0), said(5), change(30, 4, old="a", new="a")]))
    tell.engine.record(own(10, "message_sent", via="send_msg"))
    found = ran(engine, planted())
    (one,) = found.changed
    assert ("changed", KF, USER, "message_sent") == (one.change, one.open_kfid, one.external_userid, one.kind)
    assert one.before is not None
    assert one.after is not None
    assert ("sent.assigned_robot", "moved", "robot") == (one.before.transition, one.before.outcome, one.before.after)
    assert ("sent.assigned_robot", "stayed", "untreated") == (one.after.transition, one.after.outcome, one.after.after)
    assert "assigns the customer to the assistant" in (one.before.says or "")
    assert (found.before.outcomes["moved"], found.after.outcomes["moved"]) == (3, 2)
    assert found.machine_before.startswith("1 (")


@pytest.mark.databases("sqlite")
def test_expiry_without_an_entry(engine: Engine, clock: FrozenClock) -> None:
    """A session that would only have ended at another time, by itself, is named too."""
    for at, user in ((0, USER), (30 * 3600, "wm2")):
        clock.set((NOW + at + 1) * 1_000_000)
        engine.ingest(page([said(at, user=user)]))
    found = ran(engine, short())
    (one,) = found.changed
    assert (None, {"ended", "ended_by"}) == (one.position, set(one.fields))
    assert ({"running": 2}, {"expiry": 1, "running": 1}) == (found.before.ends, found.after.ends)


def test_another_name_changes_nothing(lived: Engine) -> None:
    """What rows are called is no difference."""
    assert ran(lived, renamed()).passed


def test_files_and_versions(lived: Engine, tmp_path: Path) -> None:
    """A candidate is a machine, a file of one, or what the log knows; anything else is refused."""
    path = written(patient(), tmp_path / "machine.toml")
    assert ran(lived, patient()).changed == ran(lived, path).changed
    assert not ran(lived, path).passed
    assert ran(lived, "1").passed
    assert ran(lived, patient(), baseline=path).passed
    with pytest.raises(MachineError):
        ran(lived, "7")
    path.write_text(json.dumps(definition(MACHINE.spec) | {"hook": 1}), encoding="utf-8")
    with pytest.raises(MachineError):
        ran(lived, path)


def test_accepted(lived: Engine, tmp_path: Path) -> None:
    """What a file accepts passes, with its reason; what it leaves out does not; reasons that nothing needs are told."""
    found, path = ran(lived, patient()), tmp_path / "accepted.toml"
    firsts = {change.before.transition for change in found.changed if change.before is not None}
    rules = [f'[[accept]]\nreason = "known: {name}"\nbefore = "{name}"\n' for name in sorted(firsts)]
    path.write_text("\n".join([*rules, '[[accept]]\nreason = "never"\nkind = "enter_session"\nsession_id = 9\n']))
    done = ran(lived, patient(), accepted=path)
    assert {change.session_id for change in done.changed if change.accepted is None} == {
        change.session_id for change in found.changed if change.before is None
    }
    assert "known: servicer.took_over_silently" in {change.accepted for change in done.changed}
    assert ("never",) == done.unused
    path.write_text('[[accept]]\nreason = "another"\nafter = "enter_session"\n')
    assert not ran(lived, patient(), accepted=path).passed
    every = "\n".join(f'[[accept]]\nreason = "all"\nchange = "{word}"' for word in ("changed", "gone", "new"))
    path.write_text(f'machine = "{patient().fingerprint[:10]}"\n{every}')
    assert ran(lived, patient(), accepted=path).passed
    with pytest.raises(ArgumentError, match="a file for the machine"):
        ran(lived, short(), accepted=path)


@pytest.mark.parametrize(
    "text",
    ['[[accept]]\nreason = "all of it"\n', '[[accept]]\nbefore = "sent"\n', '[[accept]]\nreason = "x"\nbefor = "y"\n',
     '[[accept]]\nreason = "x"\nchange = "other"\n', "accept = [", 'reason = "x"\n',
     '[[accept]]\nreason = "x"\nonly = ["zzz"]\n', '[[accept]]\nreason = "x"\nonly = ["ended", "session_id "]\n',
     '[[accept]]\nreason = "x"\nkind = "zzz"\n', '[[accept]]\nreason = "x"\nbefore = "zzz"\n',
     '[[accept]]\nreason = "x"\nafter = "zzz"\n', '[[accept]]\nreason = "x"\nonly = []\n'],
    ids=["everything", "no reason", "typing error", "no such change", "no TOML", "no table", "no column", "a blank",
         "no kind", "no row before", "no row after", "no columns"],
)  # fmt: skip
def test_accepted_files_refused(lived: Engine, tmp_path: Path, text: str) -> None:
    """A file that accepts everything, says not why, or has a word that nobody knows, accepts nothing."""
    path = tmp_path / "accepted.toml"
    path.write_text(text)
    with pytest.raises(ArgumentError):
        ran(lived, planted(), accepted=path)


def test_sample(lived: Engine) -> None:
    """A sample is the same every time, and no more than it says."""
    found = ran(lived, patient(), sample=0.5)
    assert found == ran(lived, patient(), sample=0.5)
    assert 0 < found.conversations < ran(lived, patient()).conversations
    for wrong in (0, 1.5, -1):
        with pytest.raises(ArgumentError):
            ran(lived, planted(), sample=wrong)


def many(engine: Engine, conversations: int, at: int = 0) -> None:
    """Let many customers write, and be answered."""
    for user in range(conversations):
        name = f"wm{at}x{user}"
        engine.ingest(page([said(at + user, user=name)]))
        engine.record(own(at + user + 1, "message_sent", user=name, via="send_msg"))


@pytest.mark.databases("sqlite")
def test_parts_and_processes(engine: Engine, tmp_path: Path) -> None:
    """Work that was stopped goes on with the log as it was then, and counts nothing twice; processes find the same."""
    many(engine, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kfstate.audit.trials.spreading._AT_ONCE", 2)
        whole = ran(engine, planted())
        path, stop, told = tmp_path / "gate.journal", threading.Event(), list[tuple[int, int]]()

        def progress(done: int, total: int) -> None:
            told.append((done, total))
            stop.set()

        how = Spreading(journal=path, progress=progress, stop=stop)
        assert engine.audit.gate(planted(), how=how) is None
        path.write_bytes(path.read_bytes() + b'{"part":1,"is":{"conv')
        many(engine, 2, at=500)
        stop.clear()
        again = ran(engine, planted(), how=attrs.evolve(how, stop=None, processes=2))
        assert again == whole
        assert [(2, 5), (7, 7)] == sorted({told[0], told[-1]})
        assert ran(engine, planted(), how=attrs.evolve(how, stop=None)) == whole
        with pytest.raises(ArgumentError, match="journal"):
            ran(engine, short(), how=Spreading(journal=path))
        assert (5, 7) == (len(whole.changed), len(ran(engine, planted()).changed))


@pytest.mark.parametrize(
    "content", [b"my notes\n", b"my notes", b'{"form":1}\n', b"\n"], ids=["line", "cut", "json", "empty"]
)
def test_other_files_are_left_alone(lived: Engine, tmp_path: Path, content: bytes) -> None:
    """A file that is no journal is refused, and is as it was."""
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match="journal"):
        ran(lived, planted(), how=Spreading(journal=path))
    assert content == path.read_bytes()


@pytest.mark.parametrize(
    "line",
    [b'{"part":0,"is":5}', b'{"part":2,"is":{}}', b'{"part":-1,"is":{}}', b'{"part":0,"is":' + b"[" * 99_999],
    ids=["no part", "too many", "negative", "deep"],
)
def test_parts_that_are_none(lived: Engine, tmp_path: Path, line: bytes) -> None:
    """A part that the work does not have would stand for one that is not done."""
    path = tmp_path / "journal"
    ran(lived, planted(), how=Spreading(journal=path))
    head, _ = path.read_bytes().splitlines()
    path.write_bytes(head + b"\n" + line + b"\n")
    with pytest.raises(ArgumentError, match="journal"):
        ran(lived, planted(), how=Spreading(journal=path))
    path.write_bytes(head.replace(b'"scope":["', b'"scope":["x') + b"\n")
    with pytest.raises(ArgumentError, match="journal"):
        ran(lived, planted(), how=Spreading(journal=path))


def test_journals_that_cannot_be_written(lived: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no file is refused, and nobody waits for it; a disk that is full is said, too."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        with pytest.raises(ArgumentError, match="it is no file"):
            ran(lived, planted(), how=Spreading(journal=path))
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(ArgumentError, match="No space left"):
        ran(lived, planted(), how=Spreading(journal=tmp_path / "journal"))


def test_journal_of_another_log(lived: Engine, fresh: Fresh, tmp_path: Path) -> None:
    """A journal of one log is not gone on with in another."""
    how = Spreading(journal=tmp_path / "journal")
    ran(lived, planted(), how=how)
    with fresh("another") as (engine, clock):
        assert isinstance(clock, FrozenClock)
        many(engine, 1)
        with pytest.raises(CheckpointError):
            ran(engine, planted(), how=how)
