"""Payloads that age out, and legal holds: what a hold keeps is sealed, used for nothing, and destroyed afterwards."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kfstate import ArgumentError, Engine, UnknownCustomerError, UnknownHoldError, import_log
from kfstate.audit.people import retaining
from kfstate.store.dialect import query
from kfstate.testing import FrozenClock, customer_message, page
from tests.audit.test_erasing import bytes_in, everything
from tests.engine.worlds import NOW

__all__: list[str] = []

DAY = 86_400
GROUND: dict[str, Any] = {"actor": "dpo", "basis": "retention schedule"}
HALF_A_YEAR = timedelta(days=180)


def said(engine: Engine, clock: FrozenClock, *, day: int, user: str, words: str) -> None:
    """A customer writes on a day, and it is stored at once."""
    clock.set((NOW + day * DAY) * 1_000_000)
    engine.ingest(page([customer_message("wkA", user, NOW + day * DAY, content=words, msgid=f"{user}/{day}")]))


def two_years(engine: Engine, clock: FrozenClock) -> None:
    """Two customers write, long ago and lately."""
    said(engine, clock, day=0, user="wmOne", words="old words of one")
    said(engine, clock, day=1, user="wmTwo", words="old words of two")
    engine.record({"kind": "correction", "actor": "ann", "reason": "wrong state", "open_kfid": "wkA",
                   "external_userid": "wmOne", "service_state": 4})  # fmt: skip
    said(engine, clock, day=300, user="wmOne", words="new words of one")
    clock.set((NOW + 301 * DAY) * 1_000_000)


def holds_bytes(engine: Engine, words: str) -> set[str]:
    """Return the tables that hold these words."""
    found = everything(engine)
    return {table for table, rows in found.items() if words.encode() in bytes_in({table: rows})}


def test_payloads_age_out(engine: Engine, clock: FrozenClock) -> None:
    """Old payloads go, ids and later payloads stay, so do corrections and receipts; a second run does nothing."""
    two_years(engine, clock)
    anchor = engine.verify().anchor
    done = engine.audit.retain(HALF_A_YEAR, **GROUND)
    assert (2, 0, 0) == (done.payloads, done.sealed, done.purged)
    assert set() == holds_bytes(engine, "old words")
    assert {"kf_payload"} == holds_bytes(engine, "new words of one")
    assert "wrong state" in str([entry.payload for entry in engine.read_all()])
    (receipt,) = engine.audit.receipts()
    assert (receipt.position,) == done.receipts
    assert ("retained", 2, done.until) == (receipt.action, receipt.payloads, receipt.until)
    assert (None, ((2, 3),)) == ((found := engine.verify(anchor)).damage, found.aged_out)
    assert 0 == engine.check().different

    again = engine.audit.retain(HALF_A_YEAR, **GROUND)
    assert (0, (), done.until) == (again.payloads, again.receipts, again.until)
    assert 1 == engine.ingest(page([customer_message("wkA", "wmTwo", NOW + DAY, msgid="wmTwo/1")])).duplicates
    clock.advance(400 * DAY)
    assert 1 == engine.audit.retain(HALF_A_YEAR, **GROUND).payloads
    assert len(engine.audit.receipts()) == 2
    assert all(receipt.basis == "retention schedule" for receipt in engine.audit.receipts())


@pytest.mark.databases("sqlite")
def test_since_when_what_came_from_files_counts(engine: Engine, tmp_path: Path) -> None:
    """Pages count from when they are read, however old; an imported log has the times at which it was stored."""
    old = page([customer_message("wkA", "wmOne", NOW, content="of old")])
    engine.ingest(old)
    with (tmp_path / "log.ndjson").open("wb") as file:
        engine.archive.write(file)
    later = FrozenClock.at(NOW + 200 * DAY)
    for name in ("imported", "read"):
        url = f"sqlite:///{tmp_path / name}.db"
        if name == "imported":
            import_log(url, tmp_path / "log.ndjson")
        with Engine(url, clock=later) as made:
            assert (name == "imported") == (0 == made.ingest(old).appended)
            assert (name == "imported") == made.audit.retain(HALF_A_YEAR, **GROUND).payloads


@pytest.mark.databases("sqlite")
def test_a_long_backlog_goes_in_turns(engine: Engine, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each transaction takes a part and leaves a receipt for it."""
    monkeypatch.setattr(retaining, "_AT_ONCE", 2)
    two_years(engine, clock)
    done = engine.audit.retain(HALF_A_YEAR, **GROUND)
    assert (2, 2) == (done.payloads, len(done.receipts))
    with pytest.raises(ArgumentError):
        engine.audit.retain(timedelta(days=2), **GROUND)


def test_a_hold_seals_what_ages_out_and_is_erased(engine: Engine, clock: FrozenClock) -> None:
    """While a hold is in force nothing is destroyed and nothing is used; when it is over, it is destroyed."""
    two_years(engine, clock)
    until = datetime.fromtimestamp(NOW, UTC) + timedelta(days=1000)
    placed = engine.audit.hold("wmOne", until=until, **GROUND)
    assert ("hold_placed", 1) == (placed.action, placed.hold)
    done = engine.audit.retain(HALF_A_YEAR, **GROUND)
    assert (2, 1) == (done.payloads, done.sealed)
    assert {"kf_sealed"} == holds_bytes(engine, "old words of one")
    assert set() == holds_bytes(engine, "old words of two")

    engine.record({"kind": "own_action", "via": "note", "actor": "ann", "open_kfid": "wkA", "data": {"who": "wmOne"}})
    erased = engine.audit.erase("wmOne", **GROUND)
    assert erased.sealed == erased.payloads > 0
    assert {"kf_sealed"} == holds_bytes(engine, "wmOne") == holds_bytes(engine, "new words of one")
    assert [None] * 5 == [entry.payload for entry in engine.read_all() if entry.kind in
                          ("customer_message", "correction")] + [None]  # fmt: skip
    (hold,) = engine.audit.holds()
    assert (None, placed.customer, True, until) == (hold.external_userid, hold.customer, hold.in_force, hold.until)
    sealed = engine.audit.sealed(1, actor="ann", basis="court order 7")
    assert ["name", "payload", "payload", "payload", "payload"] == [one.kind for one in sealed]
    assert "wmOne" == sealed[0].text
    assert all(one.proven for one in sealed)
    assert sealed[2:] == engine.audit.sealed(1, actor="ann", basis="more", after=("payload", sealed[1].id))
    assert {"ann"} == {access.actor for access in engine.audit.accesses(action="sealed")}
    assert None is engine.verify().damage

    clock.set((NOW + 1001 * DAY) * 1_000_000)
    assert not engine.audit.holds()[0].in_force
    with pytest.raises(UnknownHoldError):
        engine.audit.sealed(1, actor="ann", basis="too late")
    assert 4 == engine.audit.retain(HALF_A_YEAR, **GROUND).purged
    assert set() == holds_bytes(engine, "wmOne") == holds_bytes(engine, "words of one")
    assert "purged" == engine.audit.receipts()[-1].action


def test_releasing_a_hold(engine: Engine, clock: FrozenClock) -> None:
    """A hold that is released keeps nothing; another one on the same customer, or on everybody, still does."""
    two_years(engine, clock)
    engine.audit.hold("wmTwo", **GROUND)
    engine.audit.hold(**GROUND)
    engine.audit.erase("wmTwo", **GROUND)
    assert "hold_released" == engine.audit.release(1, **GROUND).action
    assert {"kf_sealed"} == holds_bytes(engine, "words of two")
    with pytest.raises(UnknownHoldError):
        engine.audit.release(1, **GROUND)
    assert 1 == engine.audit.release(2, **GROUND).payloads
    assert set() == holds_bytes(engine, "words of two") | holds_bytes(engine, "wmTwo")
    assert ["dpo", "dpo"] == [hold.released_by for hold in engine.audit.holds()]
    with pytest.raises(UnknownCustomerError):
        engine.audit.hold("wmTwo", **GROUND)


@pytest.mark.databases("sqlite")
def test_sealed_words_are_held_against_the_log(engine: Engine, clock: FrozenClock) -> None:
    """What somebody changed in the seal is handed out as not proven."""
    two_years(engine, clock)
    engine.audit.hold("wmTwo", **GROUND)
    engine.audit.erase("wmTwo", **GROUND)
    with engine._database.writing() as conn:
        query(conn, "UPDATE kf_sealed SET body = ? WHERE kind = 'payload'", (b"never said",))
    name, payload = engine.audit.sealed(1, actor="ann", basis="court order 7")
    assert (True, False) == (name.proven, payload.proven)
    with engine._database.writing() as conn:
        ((salt, body),) = query(conn, "SELECT salt, body FROM kf_sealed WHERE kind = 'name'")
        query(conn, "UPDATE kf_sealed SET salt = ?, body = ? WHERE kind = 'name'", (salt + body[:1], body[1:]))
    name, _ = engine.audit.sealed(1, actor="ann", basis="court order 7")
    assert not name.proven


def test_the_access_log(engine: Engine, clock: FrozenClock) -> None:
    """A service says who looked; the customer is a number, which survives his erasure; it cannot name him."""
    two_years(engine, clock)
    engine.audit.accessed("show", actor="ann", open_kfid="wkA", external_userid="wmTwo", detail="desk 7")
    clock.advance(1)
    engine.audit.accessed("export", actor="bob \ud800", detail="all \0")
    shown, exported = engine.audit.accesses()
    assert ("ann", "show", "wkA", "wmTwo", "desk 7", "ok") == (
        shown.actor, shown.action, shown.open_kfid, shown.external_userid, shown.detail, shown.result,
    )  # fmt: skip
    assert ("bob \\ud800", "all \ufffd", None) == (exported.actor, exported.detail, exported.customer)
    engine.audit.erase("wmTwo", **GROUND)
    (found,) = engine.audit.accesses(action="show", customer=shown.customer)
    assert (None, shown.customer) == (found.external_userid, found.customer)
    since = datetime.fromtimestamp(clock.now() / 1_000_000 + 1, UTC)
    assert () == engine.audit.accesses(limit=0) == engine.audit.accesses(limit=-1)
    assert () == engine.audit.accesses(since=since) == engine.audit.accesses(actor="eve")
    for wrong in ({"actor": ""}, {"actor": "x" * 129}, {"action": "y" * 41}, {"detail": "of wmOne"}):
        with pytest.raises(ArgumentError):
            engine.audit.accessed(**({"action": "show", "actor": "ann", "external_userid": "wmOne"} | wrong))
