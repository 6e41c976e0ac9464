"""Expiry is part of the fold: 48 hours, presumed, undone by what fits the state before."""

import attrs
import pytest

from kfstate.machine import MACHINE, Clockwork, SessionState, Step, compiled, evolve, fold, state_at
from kfstate.machine.table import SPEC
from tests.machine.golden import BEGINNING, entry

__all__: list[str] = []

HOUR = 3600
STATES = {0: [], 1: ["1 changed 1"], 2: ["1 changed 2"], 3: ["1 changed 3 new=a"]}
RESTORING = {
    0: ["reading 0", "changed 0", "changed 1", "changed 2", "changed 3 new=b"],
    1: ["reading 1", "changed 1", "changed 2", "changed 3 new=b"],
    2: ["reading 2", "changed 2", "changed 3 new=b", "change 1 new=b"],
    3: [
        "reading 3 by=a", "reading 3", "changed 3 new=a", "changed 3 new=b", "change 1 new=a", "change 2 old=a new=b",
        "change 2 old=b new=a", "servicer by=a", "servicer",
    ],
}  # fmt: skip
OPENING = {
    0: ["customer", "reading 1", "reading 3 by=a", "servicer by=a", "change 1 new=a", "change 2 old=a new=b", "set 0"],
    1: ["customer", "click", "reading 0", "changed 0", "change 1 new=a", "change 4 old=a new=b", "set 1"],
    2: ["customer", "reading 3 by=a", "changed 1", "servicer by=a", "change 4 old=a new=a", "set 2"],
    3: [
        "customer", "reading 3 by=b", "reading 2", "changed 2", "change 1 new=b", "change 2 old=b new=c",
        "servicer by=b", "change 4 old=a new=a", "set 3 by=a",
    ],
}  # fmt: skip
STAYING = [
    "change 3 old=a",
    "changed 4",
    "reading 4",
    "refused 95013",
    "refused 95018",
    "sent",
    "enter_session",
    "set 4",
]


def story(state: int, *said: str) -> tuple[Step, ...]:
    """Fold a session in this state, then these entries."""
    return fold([entry(line, at) for at, line in enumerate(["0 customer", *STATES[state], *said], start=1)])


def cases(table: dict[int, list[str]]) -> list[tuple[int, str]]:
    """Return (state, entry) pairs."""
    return [(state, said) for state, entries in table.items() for said in entries]


@pytest.mark.parametrize("state", STATES)
def test_due_at_the_very_second(state: int) -> None:
    """One second before `expires_at` nothing ends; at it, the end is presumed before the entry is folded."""
    before, at = story(state, f"{47}h+3599 system_message", "48h system_message")[-2:]
    assert (state, None) == (before.state.service_state, before.expired_at)
    assert (4, BEGINNING + 48 * HOUR) == (at.before, at.expired_at)
    ended = at.state
    assert ("timer", "expiry_presumed", BEGINNING + 48 * HOUR) == (ended.evidence, ended.doubt, ended.since)
    assert (None, None, state) == (ended.servicer, ended.expires_at, ended.kept)
    assert before.state.position == ended.position


def test_long_after() -> None:
    """An end that was due long before an entry is presumed at the second at which it was due, once."""
    steps = story(1, "1000h system_message", "1001h system_message")
    assert [BEGINNING + 48 * HOUR, None] == [step.expired_at for step in steps[-2:]]
    assert BEGINNING + 48 * HOUR == steps[-1].state.since


def test_counts_from_the_last_customer_message() -> None:
    """`expires_at` is 48 hours after the customer's last message; nothing else defers it."""
    steps = story(1, "10h customer", "20h sent", "21h reading 1", "22h enter_session")
    assert BEGINNING + 58 * HOUR == steps[-1].state.expires_at


def test_counts_from_the_opening_where_no_customer_wrote() -> None:
    """A session that a servicer opened expires 48 hours after its opening."""
    steps = fold([entry("0 customer", 1), entry("1 changed 4", 2), entry("40h change 4 old=a new=a", 3)])
    assert BEGINNING + 88 * HOUR == steps[-1].state.expires_at


def test_anchors_are_data() -> None:
    """A machine that counts from the opening alone is a matter of its data."""
    clockwork = Clockwork(expires_after=100, expiry_anchor="opening", doubtful_after=40)
    machine = compiled(attrs.evolve(SPEC, clockwork=clockwork))
    said = ["0 customer", "39 customer", "40 customer", "99 customer", "100 customer"]
    steps = fold([entry(line, at) for at, line in enumerate(said, start=1)], machine=machine)
    assert [1, 1, 1, 1, 2] == [step.session for step in steps]
    assert ["first_seen", "first_seen", "first_seen", "first_seen", "expiry_presumed"] == [s.state.doubt for s in steps]


def test_doubt_between_opening_and_last_message() -> None:
    """Between the 48 hours of the opening and of the last message the state stays, in doubt until strong evidence."""
    steps = story(1, "24h customer", "47h+3599 system_message", "48h system_message", "49h reading 1", "50h customer")
    assert ["none", "none", "over_48h", "none", "none"] == [step.state.doubt for step in steps[2:]]
    assert {1} == {step.state.service_state for step in steps[2:]}


@pytest.mark.parametrize(("state", "said"), cases(RESTORING))
def test_restored(state: int, said: str) -> None:
    """An entry that fits the state before the presumed end restores that session, and counts as its opening."""
    step = story(state, f"50h {said}")[-1]
    after = step.state
    assert ("moved", "restore", BEGINNING + 48 * HOUR) == (step.outcome, step.row.effect, step.expired_at)
    assert (1, 1, None) == (after.session, after.session_id, after.kept)
    assert (BEGINNING + 50 * HOUR, BEGINNING + 98 * HOUR) == (after.opened, after.expires_at)
    assert after.service_state == 3 or after.servicer is None
    assert after.service_state != 3 or after.servicer in {"a", "b"}
    assert step.reason is not None


def test_restored_again_and_again() -> None:
    """A restored session expires anew, 48 hours after what restored it."""
    steps = story(3, "50h servicer by=a", "97h+3599 system_message", "98h servicer by=a")
    assert [BEGINNING + 48 * HOUR, None, BEGINNING + 98 * HOUR] == [step.expired_at for step in steps[2:]]
    assert {1} == {step.session for step in steps}


@pytest.mark.parametrize(("state", "said"), cases(OPENING))
def test_opened_anew(state: int, said: str) -> None:
    """Every other entry that leaves FINISHED after a presumed end opens the next session."""
    step = story(state, f"50h {said}")[-1]
    after = step.state
    assert step.row.effect != "restore"
    assert (2, step.entry.position, None, None) == (after.session, after.session_id, after.kept, after.kept_servicer)


@pytest.mark.parametrize("said", STAYING)
@pytest.mark.parametrize("state", STATES)
def test_ended_all_the_same(state: int, said: str) -> None:
    """What fits the end neither restores nor opens a session."""
    step = story(state, f"50h {said}")[-1]
    assert (4, 1) == (step.state.service_state, step.session)


@pytest.mark.parametrize(("said", "since"), [("change 3 old=a", 50), ("changed 4", 50), ("reading 4", 48)])
def test_end_corrected(said: str, since: int) -> None:
    """An event or a call that ends corrects how, and when, the session ended; a reading only how sure that is."""
    after = story(3, f"50h {said}")[-1].state
    assert (BEGINNING + since * HOUR, "none", None) == (after.since, after.doubt, after.kept)
    assert after.evidence in {"event", "api", "reading"}


@pytest.mark.parametrize("said", ["change 3 old=a", "changed 4", "reading 4", "refused 95013", "set 4"])
def test_a_sure_end_is_not_undone(said: str) -> None:
    """Once WeCom, or a person, has said that the session is over, nothing restores it."""
    step = story(3, f"50h {said}", "51h reading 3 by=a")[-1]
    assert ("repaired", 2) == (step.outcome, step.session)


def test_end_by_a_sure_word_keeps_its_time() -> None:
    """A second word of the end does not move the end that WeCom's first word set."""
    assert BEGINNING + 2 == story(3, "2 change 3 old=a", "9 change 3 old=a", "10 changed 4")[-1].state.since


@pytest.mark.parametrize("before", [47, 48, 49, 2000])
def test_state_at(before: int) -> None:
    """A query applies a due expiry, and the doubt by age, to its own now, and changes nothing."""
    last = story(3, "24h customer", "47h servicer by=a")[-1].state
    at = {hours: state_at(last, BEGINNING + hours * HOUR) for hours in (47, 48, 71, 72, 2000)}
    assert story(3, "24h customer", "47h servicer by=a")[-1].state == last
    assert last == at[47]
    assert attrs.evolve(last, doubt="over_48h") == at[48] == at[71]
    assert [4, 4] == [at[hours].service_state for hours in (72, 2000)]
    assert at[72] == at[2000]
    step = evolve(last, entry(f"{before}h system_message", 9))
    now = state_at(last, BEGINNING + before * HOUR)
    assert attrs.evolve(now, second=step.entry.sort_second) == step.state


def test_state_at_of_what_does_not_run() -> None:
    """Nothing is due in a conversation that has ended, or of which nothing is known; other doubts stay."""
    assert SessionState() == state_at(SessionState(), 1 << 40)
    ended = story(3, "2 change 3 old=a")[-1].state
    assert ended == state_at(ended, 1 << 40)
    doubted = story(1, "24h customer", "25h history_gap")[-1].state
    assert doubted == state_at(doubted, BEGINNING + 50 * HOUR)


def test_expiry_of_what_has_ended() -> None:
    """The row for an expiry where no session runs leaves everything as it is."""
    ended = story(3, "2 change 3 old=a")[-1].state
    again = ended.copy()
    row = MACHINE.advance(again, entry("50h expiry", 9), "expiry")
    assert ("expired.again", attrs.evolve(ended, second=again.second)) == (row.name, again)
