"""What cannot be is refused by an error that names the value, and what is allowed; nothing of it is stored."""

import json
from typing import Any

import pytest

from kfstate.engine import Engine
from kfstate.errors import ArgumentError, EnvelopeError, WireError
from kfstate.intake import CursorMove
from kfstate.store.envelope import OwnEntry
from kfstate.testing import correction, customer_message, own_action, own_entry, page, servicer_message
from tests.engine.tables import rows
from tests.engine.worlds import NOW

__all__: list[str] = []

PAGE = page([customer_message("wkA", "wm1", NOW, msgid="m1")], next_cursor="c1")


@pytest.mark.databases("sqlite", "pg18")
@pytest.mark.parametrize("state", ["bogus", 9, ""])
def test_unknown_state(engine: Engine, state: Any) -> None:
    """A state that does not exist is an error of ours, which lists those that do."""
    for ask in (lambda: list(engine.conversations(state=state)), lambda: engine.counts(state=state)):
        with pytest.raises(ArgumentError) as caught:
            ask()
        assert ("state", repr(state)) == (caught.value.name, caught.value.value)
        assert "3 manual" in caught.value.allowed


@pytest.mark.databases("sqlite", "pg18")
@pytest.mark.parametrize("expected", ["nwe", -1, True, 1.0, None])
def test_unknown_expectation(engine: Engine, expected: Any) -> None:
    """A misspelled expectation is not taken for another one."""
    with pytest.raises(ArgumentError, match="expected"):
        engine.record(own_action("wkA", "wm1", NOW, via="x"), expected=expected)
    assert 1 == engine.position()


@pytest.mark.databases("sqlite", "pg18")
@pytest.mark.parametrize(
    "source",
    [
        own_action("wkA", "wm1", NOW, via="x"), customer_message("wkA", "wm1", NOW),
        [PAGE, PAGE], [PAGE, own_action("wkA", "wm1", NOW, via="x")], [own_action("wkA", "wm1", NOW, via="x"), PAGE],
    ],
    ids=["own entry", "entry", "two pages", "page and own entry", "own entry and page"],
)  # fmt: skip
def test_a_cursor_moves_with_one_page(engine: Engine, source: Any) -> None:
    """With anything but one page the cursor cannot move: nothing is stored, and the caller hears why."""
    epoch = engine.claim("wkA").epoch
    with pytest.raises(WireError, match="a cursor moves with one page"):
        engine.ingest(source, account="wkA", cursor=CursorMove(expected="", epoch=epoch))
    assert (1, "") == (engine.position(), getattr(engine.cursor("wkA"), "cursor", None))


def test_claim_and_cursor(engine: Engine) -> None:
    """A claim fences whoever claimed before, and keeps where the account stands."""
    assert engine.cursor("wkA") is None
    first, second = engine.claim("wkA"), engine.claim("wkA")
    assert ((1, ""), (2, "")) == ((first.epoch, first.cursor), (second.epoch, second.cursor))
    engine.ingest(PAGE, account="wkA", cursor=CursorMove(expected="", epoch=2, synced_until=NOW * 1_000_000))
    held = engine.claim("wkA")
    assert ("c1", 3, NOW * 1_000_000) == (held.cursor, held.epoch, held.synced_until)
    assert held == engine.cursor("wkA")


def test_a_target_in_another_conversation(engine: Engine) -> None:
    """What could have no effect is refused: a correction, or an expiry, of an entry that another conversation has."""
    engine.ingest(page([customer_message("wkA", "wm1", NOW), customer_message("wkA", "wm2", NOW)]))
    void = {**correction("wkA", "wm1", NOW + 5, service_state=0), "target": 3}
    del void["service_state"]
    expired = own_entry("session_expired", "wkA", "wm9", NOW + 5, target=3, actor="a")
    for wrong in (void, expired):
        with pytest.raises(EnvelopeError) as caught:
            engine.record(wrong)
        reason = "that entry is not of this conversation"
        assert ("$.target", "3", reason) == (caught.value.path, caught.value.value, caught.value.reason)
    assert 4 == engine.record({**void, "target": 2}).position
    report = engine.ingest([{**void, "target": 5}, own_action("wkA", "wm2", NOW, via="x"), {**void, "target": 5}])
    assert (1, 2) == (report.appended, report.rejected)


@pytest.mark.databases("sqlite", "pg18")
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_no_number_of_json(engine: Engine, number: float) -> None:
    """What JSON would make null of is refused, however deep it stands."""
    for data in ({"x": number}, {"x": [1, {"y": (number,)}]}):
        with pytest.raises(EnvelopeError, match="a number that JSON does not have"):
            engine.record(OwnEntry(kind="own_action", actor="a", open_kfid="wkA", via="x", data=data))
    assert 1 == engine.position()


def test_a_member_that_comes_twice(engine: Engine) -> None:
    """Entries that differ in a member that a reader drops are two entries; each is known again by its bytes."""
    plain = json.dumps({**customer_message("wkA", "wm1", NOW, msgid="m1")}).encode()
    twins = [plain, b'{"x": 1, "x": 2, ' + plain[1:], b'{"x": 3, "x": 2, ' + plain[1:], b'{ "x" : 2, ' + plain[1:]]
    report = engine.ingest(b"\n".join(twins))
    assert (4, 4, 3) == (report.entries, report.appended, report.conflicts)
    assert 2 == sum("a member comes twice" in problem.reason for problem in report.problems)
    assert 4 == engine.ingest(b"\n".join(twins)).duplicates


def test_the_first_spelling_of_a_servicer_is_kept(engine: Engine) -> None:
    """Of several spellings in one page the first is kept, whatever their alphabetical order."""
    engine.ingest(
        page(
            [
                servicer_message("wkA", "wm1", NOW, servicer_userid="li", msgid="m1"),
                servicer_message("wkA", "wm1", NOW + 1, servicer_userid="LI", msgid="m2"),
            ]
        )
    )
    assert [("li",)] == rows(engine, "SELECT value FROM kf_name WHERE kind = 'servicer'")
