"""Comparisons: nothing where all is alike, and else the first entry or row of each conversation that is not."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from kfstate import Engine
from kfstate.audit.trials.face import Comparison
from kfstate.audit.trials.places import Divergence
from kfstate.errors import ArgumentError, CorruptLogError, ProjectionError
from kfstate.store.dialect import query
from kfstate.testing import page
from tests.audit.candidates import planted, renamed, short
from tests.engine.conftest import Fresh
from tests.engine.story import KF, USER, Teller, change, own, said, wrote
from tests.engine.worlds import ASIDE, OURS, REWRITING, STRANGE, play, seeded

__all__: list[str] = []

WORDS = ASIDE + OURS + REWRITING + STRANGE


@pytest.fixture(scope="module")
def lived(fresh: Fresh) -> Iterator[Engine]:
    """An engine that has lived through a long history; what a test changes, it sets right again."""
    with fresh("comparing") as (engine, clock):
        play(engine, clock, seeded(random.Random(3), 300, WORDS))
        engine.tick()
        yield engine


def one(found: Comparison | None) -> Divergence:
    """Return the only divergence."""
    assert found is not None
    assert not found.equal
    (apart,) = found.apart
    return apart


def changed(engine: Engine, sql: str, *values: object) -> None:
    """Change what projections say, behind the engine's back."""
    with engine._writing() as conn:
        query(conn, sql, values)


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_no_drift(engine: Engine, tell: Teller) -> None:
    """What every database keeps of the steps, states, sessions and segments is what the fold makes."""
    tell.engine.ingest(page([said(0), change(5, 1, new="a"), wrote(9, "a"), change(30, 2, old="a", new="b"), said(31)]))
    tell.engine.record(own(40, "state_changed", service_state=4))
    found = engine.audit.drift()
    assert found is not None
    assert (True, 1, 6) == (found.equal, found.conversations, found.entries)


def test_no_drift_after_a_long_life(lived: Engine) -> None:
    """Late entries, repeats, corrections and expiries included."""
    found = lived.audit.drift()
    assert found is not None
    assert () == found.apart
    assert found.conversations == 4


DAMAGES = {
    "step": ("UPDATE kf_step SET after_state = 9 - after_state", "position = ?", "step", "after_state"),
    "name": ("UPDATE kf_step SET transition = 'x'", "position = ?", "step", "transition"),
    "place": ("UPDATE kf_step SET place = 7", "position = ?", "step", "place"),
    "gone": ("DELETE FROM kf_step", "position = ?", "missing", ""),
    "state": ("UPDATE kf_conversation SET doubt = 'menu_click'", "stream = ?", "conversation", "doubt"),
    "session": ("UPDATE kf_session SET queue_seconds = 77", "stream = ?", "session", "queue_seconds"),
    "no session": ("DELETE FROM kf_session", "stream = ?", "session", "opened"),
    "segment": ("UPDATE kf_segment SET taken_by = 'y'", "stream = ?", "segment", "taken_by"),
    "one more": ("UPDATE kf_segment SET number = number + 90", "stream = ?", "segment", "number"),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_drift(fresh: Fresh, damage: str) -> None:
    """One wrong value in one row is found, in the conversation that has it, with the entry where that can be said."""
    statement, where, what, field = DAMAGES[damage]
    with fresh("drift") as (engine, _):
        engine.ingest(
            page([said(0), change(5, 1, new="a"), said(7, user="wm2"), wrote(9, "a"), change(30, 3, old="a")])
        )
        place = 3 if where.startswith("position") else 2
        changed(engine, f"{statement} WHERE {where}", place)
        found = one(engine.audit.drift())
        assert (KF, USER, what) == (found.open_kfid, found.external_userid, found.what)
        assert (3 if what in {"step", "missing"} else None) == found.position
        assert not field or field in found.fields


STRAYS = {
    "the log's own": ("kf_step", "position", 1),
    "not in the log": ("kf_step", "position", 999),
    "conversation": ("kf_conversation", "stream", 999),
    "session": ("kf_session", "stream", 1),
    "segment": ("kf_segment", "stream", 999),
}


@pytest.mark.parametrize("stray", list(STRAYS))
def test_drift_outside(fresh: Fresh, stray: str) -> None:
    """Rows that belong to no conversation are counted; those of another corporation are not among them."""
    table, key, place = STRAYS[stray]
    with fresh("drift") as (engine, clock):
        with Engine(engine.url, corp_id="ww2", clock=clock) as other:
            other.ingest(page([said(0, user="wm2")]))
        engine.ingest(page([said(0), change(5, 1, new="a")]))
        found = engine.audit.drift()
        assert found is not None
        assert found.equal
        names = [name for _, name, *_ in rows_of(engine, f"PRAGMA table_info({table})")]
        columns = ", ".join(str(place) if name == key else name for name in names)
        ((least,),) = rows_of(engine, f"SELECT MAX({key}) FROM {table}")
        changed(engine, f"INSERT INTO {table} SELECT {columns} FROM {table} WHERE {key} = ?", least)
        apart = one(engine.audit.drift())
        assert ("outside", "", {f"rows of {table}": (1, 0)}) == (apart.what, apart.stream, apart.fields)
        assert (place if key == "position" else None) == apart.position
        assert f"rows of {table}: 1 → 0" == apart.why


def test_drift_beside_an_archive(fresh: Fresh) -> None:
    """What is made of entries that have left for an archive is not outside."""
    with fresh("archived") as (engine, _):
        engine.ingest(page([said(0), said(1, user="wm2")]))
        changed(engine, "INSERT INTO kf_archive_mark SELECT position, chain, recorded_at, leaf, 1 FROM kf_entry "
                        "WHERE position = 2")  # fmt: skip
        changed(engine, "DELETE FROM kf_entry WHERE position = 2")
        found = engine.audit.drift()
        assert found is not None
        assert (True, 1) == (found.equal, found.conversations)
        changed(engine, "UPDATE kf_step SET position = 1 WHERE position = 2")
        assert 1 == one(engine.audit.drift()).position


def rows_of(engine: Engine, sql: str) -> Sequence[tuple[Any, ...]]:
    """Ask the database."""
    with engine._reading() as conn:
        return query(conn, sql)


def test_drift_of_what_nobody_knows(fresh: Fresh) -> None:
    """Where the row of the live build is gone, nobody can say what it is of."""
    with fresh("unknown") as (engine, _):
        engine.ingest(page([said(0)]))
        changed(engine, "DELETE FROM kf_projection WHERE name = 'shipped'")
        with pytest.raises(ProjectionError):
            engine.audit.drift()


def test_a_log_with_a_hole(fresh: Fresh) -> None:
    """No comparison and no gate answers from half of a conversation."""
    with fresh("hole") as (engine, _):
        engine.ingest(page([said(0), said(5), said(9)]))
        with engine._reading() as conn:
            triggers = query(conn, "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'kf_entry'")
        for (name,) in triggers:
            changed(engine, f"DROP TRIGGER {name}")
        changed(engine, "DELETE FROM kf_entry WHERE position = 3")
        for ask in (
            engine.audit.drift,
            lambda: engine.audit.gate(planted()),
            lambda: engine.audit.compare_machines("1"),
        ):
            with pytest.raises(CorruptLogError, match="conversation"):
                ask()


def test_nothing_was_compared(fresh: Fresh) -> None:
    """Where there is no conversation, there is nothing that is alike."""
    with fresh("empty") as (engine, _), fresh("there") as (there, _):
        asks: list[Callable[[], object]] = [
            engine.audit.drift,
            lambda: engine.audit.compare_machines(planted()),
            lambda: engine.audit.compare_databases(there.url),
        ]
        for ask in asks:
            with pytest.raises(ArgumentError, match="corp_id"):
                ask()


def test_machines(lived: Engine) -> None:
    """The first entry that two machines fold otherwise is the first of the gate's; names of rows are no difference."""
    assert lived.audit.compare_machines(renamed()) == lived.audit.compare_machines("1")
    found, gate = lived.audit.compare_machines(short()), lived.audit.gate(short())
    assert found is not None
    assert gate is not None
    assert found.apart
    for apart in found.apart:
        mine = [change for change in gate.changed if change.external_userid == apart.external_userid]
        mine = [change for change in mine if change.open_kfid == apart.open_kfid and change.at is not None]
        assert apart.at == min(change.at for change in mine if change.at is not None)
        assert (apart.before, apart.after) in {(change.before, change.after) for change in mine}
