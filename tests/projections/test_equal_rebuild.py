"""State is a fold (P2): after any history the tables equal a rebuild, without payloads, and equal the pure fold."""

import random
from typing import Any

import attrs
import pytest
from hypothesis import given, settings

from kfstate.engine import Engine
from kfstate.errors import CorruptLogError
from kfstate.machine import fold
from kfstate.machine.state import pack
from kfstate.projections import builds, folding, live, projector
from kfstate.projections.tables import TABLES, kf_conversation
from kfstate.store.dialect import query
from kfstate.store.read import stream_entries
from tests.engine.conftest import Fresh
from tests.engine.story import Teller, change, own, said, wrote
from tests.engine.tables import dump, rows
from tests.engine.worlds import ASIDE, OURS, REWRITING, STRANGE, Item, histories, play, seeded
from tests.store.behind import unguarded

__all__: list[str] = []

WORDS = ASIDE + OURS + REWRITING + STRANGE
_STEPS = (
    "SELECT e.position, s.transition, s.outcome, s.before_state, s.after_state, s.servicer_before, s.servicer_after, "
    "s.session, s.evidence, s.doubt, s.missing, s.expired_at FROM kf_entry e JOIN kf_step s ON s.position = e.position "
    "AND s.known_from = (SELECT MAX(x.known_from) FROM kf_step x WHERE x.position = e.position) WHERE e.stream = ? "
    "ORDER BY e.sort_second, s.place"
)
_STATE = [column.name for column in kf_conversation.columns][3:-3]


def check_rebuilt(engine: Engine) -> None:
    """Assert that the tables equal a fresh fold, before and after the payloads are gone and all is rebuilt."""
    assert ({}, 0) == ((found := engine.check()).tables, found.different)
    before = dump(engine)
    with engine._writing() as conn:
        query(conn, "UPDATE kf_payload SET salt = NULL, body = NULL")
    assert 0 == engine.check().different
    assert engine.position() == engine.rebuild()
    assert before == dump(engine)


def check_folded(engine: Engine) -> None:
    """Assert that states and current steps are those of the pure fold over all entries of each conversation."""
    with engine._reading() as conn:
        for (stream,) in query(conn, "SELECT id FROM kf_stream WHERE kind = 'conversation'"):
            steps = fold(stream_entries(conn, stream))
            told: list[tuple[Any, ...]] = [
                (
                    step.entry.position, step.row.name, step.outcome, step.before, step.state.service_state,
                    step.servicer_before, step.state.servicer, step.session, step.state.evidence, step.state.doubt,
                    ",".join(map(str, step.missing)), step.expired_at,
                )
                for step in steps
            ]  # fmt: skip
            assert told == query(conn, _STEPS, (stream,))
            sql = f"SELECT {', '.join(_STATE)} FROM kf_conversation WHERE stream = ?"
            assert [pack(steps[-1].state)] == query(conn, sql, (stream,))


@settings(max_examples=40)
@given(items=histories(WORDS))
def test_any_history(fresh: Fresh, items: list[Item]) -> None:
    """Any history, in any commits: the tables equal the fold and the rebuild, row by row."""
    with fresh("any") as (engine, clock):
        play(engine, clock, items)
        check_folded(engine)
        check_rebuilt(engine)


def test_long_histories(fresh: Fresh) -> None:
    """Long seeded histories, in which every kind of entry comes, and every kind of late, again and rewritten."""
    kinds: set[str] = set()
    for seed in range(15):
        with fresh("long") as (engine, clock):
            play(engine, clock, seeded(random.Random(seed), 90, WORDS))
            check_folded(engine)
            check_rebuilt(engine)
            kinds |= {kind for (kind,) in rows(engine, "SELECT DISTINCT kind FROM kf_entry")}
            assert rows(engine, "SELECT 1 FROM kf_step GROUP BY position HAVING COUNT(*) > 1")
    assert {"correction", "redecoded", "session_expired", "unknown_event", "history_gap", "servicer_reading"} <= kinds


def test_void_of_what_was_decoded_earlier(tell: Teller) -> None:
    """To void an entry is to void its decodings, also one that stands before it and opened the session."""
    _, _, reading = tell(said(0), change(9, 3, old="li"), own(600, "state_reading", service_state=3))
    tell(own(590, "redecoded", target=reading, as_kind="session_status_change", change_type=1, servicer_userid="li"))
    assert 2 == tell.state.session
    tell(said(700), own(800, "correction", target=reading), wrote(600, "li"))
    assert [1, 2] == [session.session for session in tell.engine.sessions(as_of_log=True)]
    check_folded(tell.engine)
    check_rebuilt(tell.engine)


def test_little_memory(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild that holds one conversation and a handful of entries at a time gives the same rows."""
    made = projector.Projector

    def forgetful(conn: Any) -> projector.Projector:
        return made(conn, hold=1)

    for seed in range(5):
        with fresh("little") as (engine, clock):
            play(engine, clock, seeded(random.Random(seed), 80, WORDS))
            before = dump(engine)
            with monkeypatch.context() as patch:
                patch.setattr(folding, "Projector", forgetful)
                patch.setattr(folding, "_READ", 7)
                patch.setattr(projector, "_STEPS", 3)
                engine.rebuild()
            assert before == dump(engine)


def test_caught_up_in_parts(fresh: Fresh) -> None:
    """Projections that are caught up some entries at a time end where the inline ones stand."""
    with fresh("parts") as (engine, clock):
        play(engine, clock, seeded(random.Random(3), 120, WORDS))
        before = dump(engine)
        with engine._writing() as conn:
            for table in TABLES:
                query(conn, f"DELETE FROM {table.name}")
            builds.store(conn, attrs.evolve(builds.live(conn), position=0, chain=None))
        assert engine.position() == engine.behind()
        lag, rounds = 1, 0
        while lag:
            with engine._writing() as conn:
                lag = live.catch_up(conn, limit=10)
            rounds += 1
        assert rounds > 5
        assert (0, before) == (engine.behind(), dump(engine))


def test_check_finds_what_differs(fresh: Fresh) -> None:
    """Rows that are wrong, missing, or too many are counted by table; checking mends nothing and changes nothing."""
    with fresh("differs") as (engine, clock):
        play(engine, clock, seeded(random.Random(5), 60, WORDS))
        with engine._writing() as conn:
            first = "stream = (SELECT MIN(stream) FROM kf_conversation)"
            query(conn, f"UPDATE kf_conversation SET sends = sends + 1 WHERE {first}")
            query(conn, "DELETE FROM kf_session WHERE stream = (SELECT MIN(stream) FROM kf_session) AND number = 1")
            query(conn, "INSERT INTO kf_anomaly VALUES (1, 'unknown', 1, 1)")
        broken = dump(engine)
        found = engine.check()
        assert {"kf_conversation": 1, "kf_session": 1, "kf_anomaly": 1} == found.tables
        assert 3 == found.different
        assert engine.position() == found.entries
        assert broken == dump(engine)
        engine.rebuild()
        assert 0 == engine.check().different


def test_a_log_with_a_hole_is_not_folded(tell: Teller) -> None:
    """A rebuild, and a reader, stop where an entry was taken out, instead of going on as if it had never been."""
    *_, gone, _ = tell(said(0), change(5, 1, new="li"), wrote(6, "li"), said(9))
    engine = tell.engine
    with engine._writing() as conn, unguarded(conn):
        query(conn, "DELETE FROM kf_entry WHERE position = ?", (gone,))
    for reading in (engine.check, engine.rebuild, lambda: list(engine.read_all())):
        with pytest.raises(CorruptLogError) as caught:
            reading()
        assert (gone, "the entry is missing") == (caught.value.position, caught.value.reason)


def test_an_entry_without_its_stream_is_not_shown(tell: Teller) -> None:
    """A reader does not guess whose an entry is."""
    (position,) = tell(said(0))
    with tell.engine._writing() as conn, unguarded(conn):
        query(conn, "DELETE FROM kf_stream WHERE kind = 'conversation'")
    with pytest.raises(CorruptLogError) as caught:
        list(tell.engine.read_all())
    assert position == caught.value.position
