"""Builds: made beside the live one while writes go on, compared, switched in one transaction, taken back."""

import hashlib
import random
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from kfstate.engine import Engine
from kfstate.errors import ProjectionError
from kfstate.projections import building, builds, switching
from kfstate.projections.tables import TABLES
from kfstate.projections.views import ProjectionView
from kfstate.store.dialect import query
from kfstate.testing import FrozenClock
from tests.engine.story import KF, USER, Teller, own, said
from tests.engine.tables import dump, rows
from tests.engine.worlds import ASIDE, NOW, OURS, REWRITING, STRANGE, play, seeded

__all__: list[str] = []

WORDS = ASIDE + OURS + REWRITING + STRANGE
TO_LI: dict[str, Any] = {"service_state": 3, "servicer_userid": "li"}


def hashes(engine: Engine, version: int) -> dict[str, str]:
    """Return table → hash of every row of a build."""
    found = {}
    with engine._reading() as conn:
        for name, table in builds.tables_of(TABLES, version).items():
            rows = [tuple(row) for row in conn.execute(table.select().order_by(*table.primary_key))]
            found[name] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return found


def statuses(engine: Engine) -> dict[int, str]:
    """Return version → status of the shipped projections' builds."""
    return {view.version: view.status for view in engine.projections.list("shipped")}


def check_cold(engine: Engine) -> None:
    """Assert that the live build equals one that is built now, from the beginning, by a hash of every table."""
    live = next(view for view in engine.projections.list("shipped") if view.status == "live")
    cold = engine.projections.build()
    assert cold.version != live.version
    assert hashes(engine, live.version) == hashes(engine, cold.version)
    assert {} == engine.projections.diff().tables
    engine.projections.drop("shipped", cold.version)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builders take a few entries at a time."""
    monkeypatch.setattr(building, "_BUSY", 7)
    monkeypatch.setattr(building, "_IDLE", 7)
    monkeypatch.setattr(switching, "_NEAR", 5)


def talk(engine: Engine, clock: FrozenClock, seed: int, size: int = 30) -> None:
    """Let things happen."""
    play(engine, clock, seeded(random.Random(seed), size, WORDS))


def between(act: Callable[[int], None]) -> Callable[[ProjectionView], None]:
    """Return a progress that acts after each transaction of a builder, with its number."""
    done = 0

    def told(_view: ProjectionView) -> None:
        nonlocal done
        done += 1
        act(done)

    return told


@pytest.mark.usefixtures("small")
def test_beside_live_writes(engine: Engine, clock: FrozenClock) -> None:
    """A build that is made while entries come in, late ones too, equals a cold replay; so does what it replaces."""
    talk(engine, clock, 1, 60)

    def act(number: int) -> None:
        if number < 6:
            talk(engine, clock, 10 + number, 12)

    made = engine.projections.build(progress=between(act))
    assert ("ready", 0) == (made.status, made.lag)
    talk(engine, clock, 20, 12)
    assert {} == engine.projections.diff().tables
    engine.projections.switch()
    assert {1: "kept", 2: "live"} == statuses(engine)
    talk(engine, clock, 21, 12)
    check_cold(engine)


@pytest.mark.usefixtures("small")
def test_beside_writers_in_threads(url: str, clock: FrozenClock) -> None:
    """The same with writers that do not wait for the builder: they are not held up, and nothing is lost."""
    with Engine(url, clock=clock) as engine, Engine(url, clock=clock) as other:
        talk(engine, clock, 1, 60)
        begun = threading.Event()

        def write() -> None:
            begun.wait(10)
            for number in range(20):
                other.record(own(900 + number, "own_action", via="recall_msg", user=f"wm{number % 3}"))

        writer = threading.Thread(target=write)
        writer.start()
        engine.projections.build(progress=between(lambda _number: begun.set()))
        writer.join()
        engine.projections.switch()
        assert 0 == engine.behind()
        check_cold(engine)


@pytest.mark.usefixtures("small")
def test_cancelled_and_resumed(url: str, clock: FrozenClock) -> None:
    """A build that another process cancels stops, keeps what it has, and goes on from there when it is asked for."""
    with Engine(url, clock=clock) as engine, Engine(url, clock=clock) as other:
        talk(engine, clock, 1, 60)
        cancelled: list[int] = []

        def act(number: int) -> None:
            if number == 2:
                cancelled.append(other.projections.cancel())

        stopped = engine.projections.build(progress=between(act))
        assert ([1], "cancelled", 2) == (cancelled, stopped.status, stopped.version)
        assert 0 < stopped.position < engine.position()
        assert 0 == other.projections.cancel()
        talk(other, clock, 2)
        begun: list[int] = []
        made = engine.projections.build(progress=lambda view: begun.append(view.position))
        assert ("ready", 2) == (made.status, made.version)
        assert stopped.position < begun[0]
        engine.projections.switch()
        check_cold(engine)


@pytest.mark.usefixtures("small")
def test_stopped_and_resumed_elsewhere(url: str, clock: FrozenClock) -> None:
    """A build whose process goes away is finished by another one, from where it stood."""
    stop = threading.Event()
    with Engine(url, clock=clock) as engine:
        talk(engine, clock, 1, 60)
        left = engine.projections.build(stop=stop, progress=between(lambda number: stop.set() if number == 2 else None))
        assert "building" == left.status
    with Engine(url, clock=clock) as engine:
        made = engine.projections.build()
        assert ("ready", left.version) == (made.status, made.version)
        assert {} == engine.projections.diff().tables


def test_two_builders(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that build the same take turns: each goes on where the other stands, and rows come once."""
    monkeypatch.setattr(building, "_BUSY", 7)
    monkeypatch.setattr(building, "_IDLE", 7)
    with fresh("two") as (engine, clock):
        talk(engine, clock, 1, 80)
        with Engine(engine.url, clock=clock) as other:
            inner: list[ProjectionView] = []

            def act(number: int) -> None:
                if number in {2, 4}:
                    stop = threading.Event()
                    going_on = between(lambda done: stop.set() if done == 3 else None)
                    inner.append(other.projections.build(stop=stop, progress=going_on))

            outer = engine.projections.build(progress=between(act))
            assert [("building", 2)] * 2 == [(view.status, view.version) for view in inner]
            assert ("ready", 2) == (outer.status, outer.version)
            assert {} == engine.projections.diff().tables


def test_difference_by_row(tell: Teller) -> None:
    """Before the switch one sees which rows only one has, and which differ, by their keys."""
    engine = tell.engine
    (first,) = tell(said(0))
    tell(own(5, "state_changed", **TO_LI))
    engine.projections.build()
    with engine._writing() as conn:
        query(conn, "UPDATE kf_conversation SET sends = 4")
        query(conn, "DELETE FROM kf_session")
        query(conn, "INSERT INTO kf_anomaly VALUES (1, 'unknown', 1, 1)")
    found = engine.projections.diff()
    assert (1, 2, 3, 3) == (found.old_version, found.new_version, found.old_position, found.new_position)
    assert {"kf_conversation", "kf_session", "kf_anomaly"} == found.tables.keys()
    with engine._reading() as conn:
        ((stream,),) = query(conn, "SELECT stream FROM kf_conversation")
    assert ((stream,),) == found.tables["kf_conversation"].keys_differing
    assert ((stream, 1),) == found.tables["kf_session"].keys_only_new
    assert 1 == len(found.tables["kf_anomaly"].keys_only_old)
    assert (3, first) == (found.different, 2)
    assert 3 == engine.check().different


def test_switch_and_back(tell: Teller) -> None:
    """A switch changes what everybody reads, in one go; the way back is kept, and forth again."""
    engine = tell.engine
    tell(said(0), own(5, "state_changed", **TO_LI))
    engine.projections.build()
    with engine._writing() as conn:
        query(conn, "UPDATE kf_conversation_v2 SET sends = 4")
    assert 0 == tell.state.send_window.used
    (live,) = engine.projections.switch()
    assert (2, "live", 4) == (live.version, live.status, tell.state.send_window.used)
    tell(said(9))
    assert 1 == engine.projections.list("shipped")[0].lag
    (live,) = engine.projections.back()
    assert (1, 0, 0) == (live.version, live.lag, tell.state.send_window.used)
    assert {1: "live", 2: "ready"} == statuses(engine)
    engine.projections.switch()
    assert {1: "kept", 2: "live"} == statuses(engine)
    with pytest.raises(ProjectionError, match="no build that is ready"):
        engine.projections.switch()


def test_a_reader_sees_one_build(url: str, clock: FrozenClock) -> None:
    """A transaction that began before somebody else's switch goes on with the build that it read."""
    with Engine(url, clock=clock) as engine, Engine(url, clock=clock) as other:
        tell = Teller(engine, clock)
        tell(said(0))
        other.projections.build()
        with engine._writing() as conn:
            query(conn, "UPDATE kf_conversation_v2 SET sends = 4")
            query(conn, "UPDATE kf_session_v2 SET sends = 4")
        with engine._reading() as conn:
            assert [(0,)] == query(conn, "SELECT sends FROM kf_conversation")
            other.projections.switch()
            assert [(0,)] == query(conn, "SELECT sends FROM kf_session")
        with engine._reading() as conn:
            assert [(4,)] == query(conn, "SELECT sends FROM kf_session")
        assert 4 == engine.state(KF, USER).send_window.used


def test_single_questions_follow_a_switch(url: str, clock: FrozenClock) -> None:
    """One conversation is read from the live build at once, also where the tables asked last time are gone."""
    with Engine(url, clock=clock) as engine, Engine(url, clock=clock) as other:
        tell = Teller(engine, clock)
        tell(said(0))
        assert 0 == tell.state.send_window.used
        for sends in (2, 3):
            made = other.projections.build()
            with other._writing() as conn:
                query(conn, f"UPDATE kf_conversation_v{made.version} SET sends = {sends}")
            other.projections.switch()
            other.projections.drop("shipped", made.version - 1)
            assert sends == tell.state.send_window.used
        assert {3: "live"} == statuses(engine)


def test_switch_is_one_transaction(tell: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch that breaks off at any statement has changed nothing."""
    engine = tell.engine
    tell(said(0))
    engine.projections.build()
    tell(said(9))
    before = engine.projections.list("shipped")
    stored = builds.store
    for fails in (0, 1):
        with monkeypatch.context() as patch:
            left = [fails]

            def breaking(*args: Any) -> None:
                if left[0] == 0:  # noqa: B023 (called within this round)
                    raise OSError("gone")
                left[0] -= 1  # noqa: B023 (the same)
                stored(*args)

            patch.setattr(builds, "store", breaking)
            with pytest.raises(OSError, match="gone"):
                engine.projections.switch()
        assert before == engine.projections.list("shipped")
    engine.projections.switch()
    assert {1: "kept", 2: "live"} == statuses(engine)


def test_dropping(tell: Teller) -> None:
    """What is live cannot be dropped; what is dropped is gone, and its number may come again."""
    engine = tell.engine
    tell(said(0))
    engine.projections.build()
    with pytest.raises(ProjectionError, match="live"):
        engine.projections.drop("shipped", 1)
    with pytest.raises(ProjectionError, match="no such build"):
        engine.projections.drop("shipped", 9)
    engine.projections.drop("shipped", 2)
    assert {1: "live"} == statuses(engine)
    assert 2 == engine.projections.build().version
    engine.projections.switch()
    engine.projections.drop("shipped", 1)
    assert 1 == len(list(engine.conversations()))
    check_cold(engine)


def test_rows_that_were_left(tell: Teller) -> None:
    """A build begins with nothing, also where a drop of that number broke off before its tables went."""
    engine = tell.engine
    tell(said(0))
    engine.projections.build()
    with engine._writing() as conn:
        builds.delete(conn, builds.builds(conn, "shipped")[-1])
    assert 2 == engine.projections.build().version
    assert {} == engine.projections.diff().tables


def test_rebuild_switches_only_where_something_differs(tell: Teller) -> None:
    """A rebuild that finds the same rows leaves the live build; one that does not keeps it as the way back."""
    engine = tell.engine
    tell(said(0))
    made = engine.projections.rebuild()
    assert (1, 2, False) == (made.version, made.entries, made.switched)
    assert {1: "live"} == statuses(engine)
    for version in (2, 3):
        with engine._writing() as conn:
            query(conn, "UPDATE kf_conversation SET sends = 4")
        made = engine.projections.rebuild()
        assert (version, 2, True) == (made.version, made.entries, made.switched)
        assert made.difference is not None
        assert 1 == made.difference.different
        assert {version - 1: "kept", version: "live"} == statuses(engine)
        assert 0 == engine.check().different


def test_archived_entries(engine: Engine, clock: FrozenClock) -> None:
    """Where entries were archived away, a build is refused: it would be one of half the log."""
    talk(engine, clock, 1)
    before = dump(engine)
    with engine._writing() as conn:
        query(
            conn,
            "INSERT INTO kf_archive_mark SELECT position, chain, recorded_at, chain, recorded_at FROM kf_entry "
            "WHERE position = 5",
        )
        query(conn, "DELETE FROM kf_payload WHERE position <= 5")
        query(conn, "DELETE FROM kf_entry WHERE position <= 5")
    with pytest.raises(ProjectionError, match="archive"):
        engine.rebuild()
    assert before == dump(engine)
    assert {1: "live"} == statuses(engine)


def test_row_is_gone(url: str, clock: FrozenClock) -> None:
    """Tables of which nobody knows how far they got are left alone and told of; a rebuild puts it right."""
    with Engine(url, clock=clock) as engine:
        Teller(engine, clock)(said(0))
        with engine._writing() as conn:
            query(conn, "DELETE FROM kf_projection")
    with Engine(url, clock=clock) as engine:
        before = dump(engine)
        assert (None, {1: "unknown"}) == (engine.behind(), statuses(engine))
        Teller(engine, clock)(said(9))
        assert before == dump(engine)
        assert engine.projections.rebuild().switched
        assert {2: "live"} == statuses(engine)
        assert (0, 0) == (engine.behind(), engine.check().different)
        check_cold(engine)


def test_table_is_gone(tell: Teller) -> None:
    """A table that was dropped is made again by a rebuild."""
    tell(said(0))
    with tell.engine._writing() as conn:
        query(conn, "DROP TABLE kf_session")
    assert tell.engine.projections.rebuild().switched
    assert 1 == tell.session.session
    tell.engine.projections.build()


def test_log_lost_its_tail(tell: Teller) -> None:
    """A build that was folded from entries which the log does not have any more is left alone; a rebuild repairs."""
    engine = tell.engine
    tell(said(0))
    with engine._writing() as conn:
        build = builds.live(conn)
        builds.store(conn, attrs.evolve(build, chain=bytes(32)))
    assert -1 == engine.behind()
    before = dump(engine)
    tell(said(9))
    assert before == dump(engine)
    assert engine.projections.rebuild().switched
    assert (0, 0) == (engine.behind(), engine.check().different)


def test_pace(engine: Engine, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is built one sees how fast it goes, and how long it takes."""
    monkeypatch.setattr(building, "_BUSY", 10)
    monkeypatch.setattr(building, "_IDLE", 10)
    talk(engine, clock, 1, 60)
    told: list[ProjectionView] = []

    def act(view: ProjectionView) -> None:
        clock.advance(2)
        told.append(view)

    engine.projections.build(progress=act)
    assert told[0].rate is None
    second = told[1]
    assert (second.position / 2, "building") == (second.rate, second.status)
    assert second.seconds_left == pytest.approx(second.lag / (second.position / 2), abs=0.1)
    assert ("ready", None) == (told[-1].status, told[-1].seconds_left)


def test_refold_of_chosen_conversations(engine: Engine, clock: FrozenClock) -> None:
    """Chosen conversations are folded again in place, and what was wrong with them is told; others are left alone."""
    talk(engine, clock, 4, 120)
    before = dump(engine)
    views = [(view.open_kfid, view.external_userid or "") for view in engine.conversations(as_of_log=True)]
    assert [{}] * len(views) == [found.tables for found in engine.projections.refold(views)]
    assert before == dump(engine)
    chosen = views[1]
    one = "(SELECT s.id FROM kf_stream s JOIN kf_name n ON n.id = s.customer WHERE n.value = ? AND s.open_kfid = ?)"
    with engine._writing() as conn:
        query(conn, f"UPDATE kf_conversation SET sends = 77 WHERE stream IN {one}", (chosen[1], chosen[0]))
        query(conn, f"DELETE FROM kf_segment WHERE stream IN {one}", (chosen[1], chosen[0]))
        query(conn, "UPDATE kf_servicer SET open_sessions = 9")
    engine.projections.refold([view for view in views if view != chosen])
    assert engine.check().different > 0
    (found,) = engine.projections.refold([chosen])
    assert 2 == found.tables["kf_conversation"]
    assert before == dump(engine)


def test_lag_in_seconds(tell: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    """How far a build is behind is told in entries and in seconds."""
    engine = tell.engine
    tell(said(0))
    engine.projections.build()
    engine.projections.switch()
    tell(said(9))
    tell.at(70)
    kept, live = engine.projections.list("shipped")
    assert (0, 0.0) == (live.lag, live.lag_seconds)
    assert (1, 60.0) == (kept.lag, kept.lag_seconds)
    assert rows(engine, "SELECT 1 FROM kf_entry WHERE recorded_at > ?", (NOW + 9) * 1_000_000)
    monkeypatch.undo()
