"""Opening, activating, catching up, and what several engines do to one database."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kfstate.engine import Engine, Recorded
from kfstate.errors import LockTimeoutError, SchemaError, VersionConflictError
from kfstate.intake import recording
from kfstate.machine import MACHINE
from kfstate.projections import live
from kfstate.store import dialect, schema
from kfstate.store.append import append
from kfstate.store.dialect import query
from kfstate.store.facts import draft_elements
from kfstate.store.head import lock_head
from kfstate.testing import FrozenClock, customer_message, page
from tests.engine.story import DAY2, KF, USER, Teller, entered, own, said
from tests.engine.tables import PROJECTIONS, dump, everything, rows
from tests.engine.worlds import NOW, jsonl
from tests.store.behind import drop_trigger

__all__: list[str] = []

TO_LI: dict[str, Any] = {"service_state": 3, "servicer_userid": "li"}
OTHER = "f" * 64


def test_open_twice(tmp_path: Path, clock: FrozenClock) -> None:
    """The first opening sets the database up and activates the machine; the next ones change nothing."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with Engine(url, clock=clock) as engine:
        before = everything(engine)
    clock.advance(60)
    with Engine(url, clock=clock) as engine:
        assert before == everything(engine)
        assert [("machine_activated", MACHINE.fingerprint)] == rows(engine, "SELECT kind, ref FROM kf_entry")
        assert [(MACHINE.fingerprint, MACHINE.spec.version)] == rows(
            engine, "SELECT fingerprint, version FROM kf_machine"
        )
        assert (0, 1) == (engine.behind(), engine.position())


def test_in_memory(clock: FrozenClock) -> None:
    """A database in memory lives as long as its engine."""
    with Engine("sqlite://", clock=clock) as engine:
        engine.ingest(page([customer_message(KF, USER, NOW)]))
        assert "untreated" == engine.state(KF, USER).state
        assert (0, None) == (engine.check().different, engine.verify().damage)
    with Engine("sqlite://", clock=clock) as engine:
        assert 1 == engine.position()


def test_upgrade_of_an_old_database(tmp_path: Path, clock: FrozenClock) -> None:
    """A database of the first migration alone, with entries in it, is upgraded and caught up when it is opened."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    database = dialect.open_database(url)
    with dialect.begin(database, write=True) as conn:
        schema.upgrade(conn, now=clock.now(), revision="0001")
        assert schema.current(conn) != schema.head()
        append(conn, draft_elements(jsonl([said(0), said(5, user="wm2")]).splitlines()), now=clock.now())
    database.dispose()
    with Engine(url, clock=clock) as engine:
        assert ["untreated"] * 2 == [view.state for view in engine.conversations()]
        assert [(3, "machine_activated")] == rows(engine, "SELECT position, kind FROM kf_entry WHERE position > 2")
        assert (0, 0) == (engine.behind(), engine.check().different)


def test_newer_database(url: str, clock: FrozenClock) -> None:
    """A database of a later release is refused, and left as it is."""
    with Engine(url, clock=clock) as engine, engine._writing() as conn:
        query(conn, f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(SchemaError) as caught:
        Engine(url, clock=clock)
    assert ("9999", schema.head()) == (caught.value.found, caught.value.needed)


def test_triggers_are_gone(url: str, clock: FrozenClock) -> None:
    """A database whose log is not guarded is refused."""
    with Engine(url, clock=clock) as engine, engine._writing() as conn:
        drop_trigger(conn, "kf_entry", "kf_entry_update")
    with pytest.raises(SchemaError, match="kf_entry_update"):
        Engine(url, clock=clock)


def as_another(engine: Engine) -> None:
    """Let the projections be those that another machine folded."""
    with engine._writing() as conn:
        query(conn, "UPDATE kf_projection SET fingerprint = ?", (OTHER,))


def test_another_machine_is_left_alone(tell: Teller, url: str, clock: FrozenClock) -> None:
    """What another machine folded is never mixed: the log grows, projections stay behind, a rebuild repairs."""
    engine = tell.engine
    tell(said(0))
    as_another(engine)
    before = dump(engine)
    assert None is engine.behind()
    tell(own(5, "state_changed", **TO_LI), said(9))
    assert before == dump(engine)
    assert 4 == engine.position()
    with Engine(url, clock=clock) as again:
        assert None is again.behind()
        assert before == dump(again)
        with again._writing() as conn:
            assert 0 == live.catch_up(conn)
        assert before == dump(again)
        assert again.check().different > 0
        assert 4 == again.rebuild()
        assert (0, 0, "manual") == (again.behind(), again.check().different, again.state(KF, USER).state)
    tell(own(20, "state_changed", service_state=4))
    assert ("finished", 0) == (tell.state.state, engine.check().different)


def test_machine_changes(url: str, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change of machine is recorded once; going back to an earlier one is a change again."""
    other = _Renamed(OTHER)
    for machine in (MACHINE, other, other, MACHINE, MACHINE):
        monkeypatch.setattr("kfstate.opening.MACHINE", machine)
        monkeypatch.setattr(recording, "MACHINE", machine)
        with Engine(url, clock=clock) as engine:
            clock.advance(1)
            activated = [ref for (ref,) in rows(engine, "SELECT ref FROM kf_entry ORDER BY position")]
    assert [MACHINE.fingerprint, OTHER, MACHINE.fingerprint] == activated


class _Renamed:
    """The machine of this release under another fingerprint."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.spec = MACHINE.spec


def forgotten(engine: Engine, entries: int) -> None:
    """Append entries as a process does that does not know the projections."""
    for number in range(entries):
        with engine._writing() as conn:
            append(
                conn, draft_elements(jsonl([said(number, user=f"wm{number % 3}")]).splitlines()), now=NOW * 1_000_000
            )


def test_missing_entries_are_caught_up_on_open(url: str, clock: FrozenClock) -> None:
    """Entries that nobody projected are folded when the database is opened."""
    with Engine(url, clock=clock) as engine:
        forgotten(engine, 20)
        assert 20 == engine.behind()
        assert [] == list(engine.conversations())
    with Engine(url, clock=clock) as engine:
        assert (0, 3) == (engine.behind(), len(list(engine.conversations())))
        assert 0 == engine.check().different


def test_missing_entries_are_caught_up_by_an_append(tell: Teller) -> None:
    """Entries that nobody projected are folded before the next append's own."""
    forgotten(tell.engine, 20)
    report = tell.engine.ingest(page([said(5), said(300)]))
    assert (1, 0) == (report.late, tell.engine.behind())
    assert 0 == tell.engine.check().different


def test_far_behind_is_left_to_catch_up(tell: Teller, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Projections that lag too far behind do not hold up an append: the next opening folds."""
    monkeypatch.setattr(live, "_NEAR", 10)
    forgotten(tell.engine, 20)
    tell(said(300))
    assert 21 == tell.engine.behind()
    with Engine(url, clock=FrozenClock.at(NOW)) as engine:
        assert (0, 0) == (engine.behind(), engine.check().different)


def test_tick(tell: Teller) -> None:
    """What is due gets one ``session_expired`` each; ticking again, or elsewhere, records nothing more."""
    tell(*(said(number, user=f"wm{number}") for number in range(3)), entered(3))
    engine = tell.engine
    assert 0 == engine.tick((NOW + DAY2 - 1) * 1_000_000)
    tell.at(DAY2 + 1)
    assert (2, 0) == (engine.tick(), engine.tick())
    assert ["finished", "finished", "untreated"] == [view.state for view in engine.conversations(as_of_log=True)]
    expired = "SELECT kind, target, sort_second, actor FROM kf_entry WHERE kind = 'session_expired'"
    assert [("session_expired", 2 + n, NOW + DAY2 + n, "kfstate") for n in range(2)] == rows(engine, expired)
    tell.at(DAY2 + 9)
    assert (1, 0) == (engine.tick(), engine.tick())
    assert {"timer"} == {view.evidence for view in engine.conversations()}
    assert 0 == engine.check().different


def test_tick_of_many(engine: Engine, clock: FrozenClock) -> None:
    """More sessions than fit one transaction expire all."""
    engine.ingest(page([customer_message(KF, f"wm{number}", NOW) for number in range(2_500)]))
    clock.advance(DAY2)
    assert (2_500, 0) == (engine.tick(), engine.tick())


def test_tick_of_a_restored_session(tell: Teller) -> None:
    """A session that expired, was restored, and is due again expires again."""
    tell(said(0), own(5, "state_changed", **TO_LI))
    tell.at(DAY2 + 5)
    assert 1 == tell.engine.tick()
    tell(own(DAY2 + 60, "state_reading", **TO_LI))
    assert ("manual", 1) == (tell.state.state, tell.state.session)
    tell.at(3 * DAY2)
    assert (1, 0) == (tell.engine.tick(), tell.engine.tick())


def test_tick_without_projections(tell: Teller) -> None:
    """Where another machine folded, ticking comes to an end all the same."""
    tell(said(0))
    as_another(tell.engine)
    tell.at(DAY2)
    assert (1, 0) == (tell.engine.tick(), tell.engine.tick())


def test_two_tickers(url: str, clock: FrozenClock) -> None:
    """Tickers at the same time write one entry for each expiry."""
    with Engine(url, clock=clock) as one, Engine(url, clock=clock) as other:
        one.ingest(page([customer_message(KF, f"wm{number}", NOW + number) for number in range(50)]))
        clock.advance(DAY2 + 100)
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(Engine.tick, (one, other)))
        assert 50 == sum(found)
        assert [(50,)] == rows(one, "SELECT COUNT(*) FROM kf_entry WHERE kind = 'session_expired'")
        assert 0 == one.check().different


def test_record_by_key(tell: Teller) -> None:
    """A key that is known gives the first result, whatever is recorded, before any version is looked at."""
    tell(said(0))
    entry = {**own(5, "state_changed", **TO_LI), "key": "r-1"}
    assert Recorded(3, duplicate=False) == tell.engine.record(entry)
    before = everything(tell.engine)
    assert Recorded(3, duplicate=True) == tell.engine.record(entry)
    assert Recorded(3, duplicate=True) == tell.engine.record({**entry, "service_state": 2, "servicer_userid": None})
    assert Recorded(3, duplicate=True) == tell.engine.record(entry, expected=99)
    assert before == everything(tell.engine)
    assert Recorded(4, duplicate=False) == tell.engine.record({**entry, "key": "r-2"})


def test_record_without_key(tell: Teller) -> None:
    """Without a key every call is an entry of its own."""
    entry = own(5, "own_action", via="recall_msg")
    assert [2, 3] == [tell.engine.record(entry).position for _ in range(2)]


def test_expected_versions(tell: Teller) -> None:
    """An own entry is recorded only on the version that it was decided on."""
    engine, entry = tell.engine, own(5, "own_action", via="recall_msg")
    for expected in ("exists", 1):
        with pytest.raises(VersionConflictError) as caught:
            engine.record(entry, expected=expected)
        assert (str(expected), 0) == (caught.value.expected, caught.value.current)
    assert 2 == engine.record(entry, expected="new").position
    with pytest.raises(VersionConflictError):
        engine.record(entry, expected="new")
    assert [3, 4, 5] == [engine.record(entry, expected=expected).position for expected in ("exists", 2, "any")]
    with pytest.raises(VersionConflictError) as caught:
        engine.record(entry, expected=2)
    assert ("2", 4) == (caught.value.expected, caught.value.current)
    assert (5, f"conversation/{KF}/{USER}") == (engine.position(), caught.value.stream)


def test_log_is_locked(url: str, clock: FrozenClock) -> None:
    """A writer that waits too long for another one says so; readers do not wait at all."""
    with Engine(url, clock=clock) as one, Engine(url, clock=clock, lock_timeout=0.01) as other:
        one.ingest(page([customer_message(KF, USER, NOW)]))
        with one._writing() as conn:
            lock_head(conn)
            with pytest.raises(LockTimeoutError):
                other.ingest(page([customer_message(KF, USER, NOW + 1)]))
        with one._writing() as conn:
            lock_head(conn)
            assert "untreated" == other.state(KF, USER).state
        assert 1 == other.ingest(page([customer_message(KF, USER, NOW + 1)])).appended


def test_failed_opening_lets_go(url: str, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """An opening that fails leaves nothing half done, and no connection behind."""
    with monkeypatch.context() as patch:
        patch.setattr(live, "behind", lambda _conn: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Engine(url, clock=clock)
    with Engine(url, clock=clock) as engine:
        assert 1 == engine.position()


def test_every_projection_is_rebuilt(tell: Teller) -> None:
    """A rebuild begins with nothing: also what stands in a table by mistake is gone."""
    tell(said(0), own(5, "state_changed", code="c", **TO_LI), own(6, "message_sent", via="send_msg", msgid="s"))
    before = dump(tell.engine)
    with tell.engine._writing() as conn:
        query(conn, "INSERT INTO kf_code VALUES (99, 99, 'x', 'welcome', 1, 1, NULL, NULL)")
        query(conn, "INSERT INTO kf_account VALUES ('wkZ', NULL, NULL, 0, NULL, NULL)")
    told: list[int] = []
    assert 4 == tell.engine.rebuild(progress=told.append)
    assert (4, before) == (sum(told), dump(tell.engine))
    assert set(PROJECTIONS) == set(before)
