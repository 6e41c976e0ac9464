"""`may`: the question before `service_state/trans`, answered from the table."""

import itertools

import attrs
import pytest

from kfstate.machine import SessionMachine, SessionState, Verdict, evolve, fold, initial, may
from kfstate.machine.state import DOUBTS
from kfstate.service_state import KfServiceState
from tests.machine.golden import BEGINNING, entry

__all__: list[str] = []

UNTREATED, ROBOT, QUEUE, MANUAL, FINISHED = KfServiceState
TABLE = """
    95016        allowed      allowed      allowed undocumented
    95016        undocumented allowed      allowed undocumented
    95016        95016        undocumented allowed undocumented
    95016        95016        95016        allowed allowed
    95013        95013        95013        95013   95013
"""
"""From (lines) to (columns) 0 … 4: what domain.md 5.2 says of `service_state/trans`."""
SAID = [
    (before, to, said)
    for before, line in zip(KfServiceState, TABLE.strip().splitlines(), strict=True)
    for to, said in zip(KfServiceState, line.split(), strict=True)
]


def state_in(before: KfServiceState, doubt: str = "none") -> SessionState:
    """Return a state of which nothing else is known."""
    return SessionState(service_state=before, servicer="a" if before == MANUAL else None, doubt=doubt)


@pytest.mark.parametrize(("before", "to", "said"), SAID)
def test_every_pair(before: KfServiceState, to: KfServiceState, said: str) -> None:
    """Each of the 25 changes is allowed, undocumented, or forbidden with the errcode that WeCom would give."""
    verdict = may(state_in(before), to, servicer="b")
    word = said if said.isalpha() else "forbidden"
    assert (word, int(said) if said.isdecimal() else None) == (verdict.word, verdict.errcode)
    assert (word == "forbidden") == verdict.forbidden
    assert f"{before.word} → {to.word}" in verdict.reason


@pytest.mark.parametrize("doubt", [doubt for doubt in DOUBTS if doubt != "none"])
def test_never_forbids_on_doubt(doubt: str) -> None:
    """Where the derived state may be behind WeCom's, nothing is forbidden, and the reason names doubt and errcode."""
    for before, to, said in SAID:
        verdict = may(state_in(before, doubt), to)
        assert not verdict.forbidden
        assert verdict.errcode is None
        assert not said.isdecimal() or (said in verdict.reason and doubt in verdict.reason)
        assert said.isdecimal() or said == verdict.word


def test_same_servicer() -> None:
    """A change from a servicer to himself is in no document."""
    assert "undocumented" == may(state_in(MANUAL), MANUAL, servicer="a").word
    assert "allowed" == may(state_in(MANUAL), MANUAL, servicer="b").word
    assert "allowed" == may(state_in(MANUAL), MANUAL).word


def test_nothing_is_forbidden_at_first_sight() -> None:
    """Of a conversation of which nothing is known nothing is forbidden."""
    assert not [to for to in KfServiceState if may(initial(), to).forbidden]


def test_now() -> None:
    """With a now, an expiry that is due and the doubt of age are looked at; without, the state as of the last entry."""
    running = fold([entry("0 customer", 1), entry("1 changed 2", 2)])[-1].state
    assert Verdict("forbidden", 95016, "queue → robot is refused (95016)") == may(running, ROBOT)
    assert may(running, ROBOT, now=BEGINNING + 47 * 3600).forbidden
    assert not may(running, ROBOT, now=BEGINNING + 48 * 3600).forbidden
    assert "untreated → finished is undocumented" == may(state_in(UNTREATED), FINISHED).reason


def test_through_the_machine() -> None:
    """A `SessionMachine` answers as `may` does of its state."""
    machine = SessionMachine()
    machine.feed(entry("0 customer", 1))
    machine.feed(entry("1 changed 1", 2))
    for to, servicer, now in itertools.product(KfServiceState, (None, "a"), (None, BEGINNING + 90 * 3600)):
        assert may(machine.state, to, servicer=servicer, now=now) == machine.may(to, servicer=servicer, now=now)


def test_asking_changes_nothing() -> None:
    """`may` and `state_at` look at a copy."""
    state = evolve(initial(), entry("0 customer", 1)).state
    before = attrs.evolve(state)
    may(state, ROBOT, now=1 << 40)
    assert before == state
