"""The fold at large: strict mode, what is left out, and the object for one conversation."""

import pytest

from kfstate.errors import StrictOutcomeError
from kfstate.machine import MACHINE, Entry, SessionMachine, SessionState, evolve, fold, initial
from kfstate.machine.compiled import fits
from kfstate.machine.entry import trigger_of, triggers_of
from kfstate.machine.fold import left_out
from kfstate.machine.kinds import FROM_WECOM, KINDS, OWN_KINDS
from kfstate.machine.state import OUTCOMES, pack
from kfstate.service_state import KfServiceState
from tests.machine.golden import entry

__all__: list[str] = []

STRICT = {
    "confirmed": "0 reading 4",
    "repaired": "0 reading 1",
    "refused": "0 refused 95013",
    "ignored": "0 customer again=1",
    "unknown": "0 unknown_event",
    "moved": "0 customer",
    "stayed": "0 enter_session",
}


def told(*said: str) -> list[Entry]:
    """Return entries at positions 1, 2 and so on."""
    return [entry(line, at) for at, line in enumerate(said, start=1)]


def test_nothing_gives_nothing() -> None:
    """No entries, no steps; of a new conversation nothing is known."""
    assert () == fold([])
    assert (4, "initial", "first_seen", 0) == (SessionState().service_state, *pack(initial())[12:14], initial().session)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_strict(outcome: str) -> None:
    """Strict mode makes an error of a chosen outcome, with the position and the reason, and of no other."""
    entries = told(STRICT[outcome])
    with pytest.raises(StrictOutcomeError) as raised:
        fold(entries, strict=[outcome])
    (step,) = fold(entries, strict=set(OUTCOMES) - {outcome})
    assert (outcome, 1, step.says) == (raised.value.outcome, raised.value.position, raised.value.reason)


def test_strict_names_the_first() -> None:
    """Strict mode stops at the first step, in the order of the fold, that it refuses."""
    with pytest.raises(StrictOutcomeError) as raised:
        fold(told("9 reading 2", "0 reading 1", "20 unknown_event"), strict=["repaired", "unknown"])
    assert 2 == raised.value.position


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_triggers_of_a_kind(kind: str) -> None:
    """Every entry of a kind raises one of the triggers that the kind is said to have."""
    for number in (None, -1, 0, 1, 2, 3, 4, 5, 95001, 95013):
        made = Entry(kind=kind, change_type=number, service_state=number, errcode=number)
        for via in (None, "send_msg", "send_msg_on_event"):
            assert trigger_of(made._replace(via=via)) in triggers_of(kind)
            assert trigger_of(Entry(kind="redecoded", as_kind=kind, via=via)) in triggers_of(kind)
    assert (kind in FROM_WECOM) != (kind in OWN_KINDS)


LEFT_OUT = {
    "nothing": (["0 customer", "1 set 1", "1 redecoded 9 target="], {}),
    "voided": (["0 customer", "1 void 1"], {1: "voided"}),
    "voided twice": (["0 customer", "1 void 1", "2 void 1"], {1: "voided"}),
    "voiding voided": (["0 customer", "1 void 1", "2 void 2"], {2: "voided"}),
    "voiding voided, and voided again": (
        ["0 customer", "1 void 1", "2 void 2", "3 void 3"],
        {1: "voided", 3: "voided"},
    ),
    "replaced": (["0 customer", "0 redecoded 1 as=system_message"], {1: "replaced"}),
    "replaced twice": (
        ["0 customer", "0 redecoded 1 as=system_message", "0 redecoded 1 as=unknown_event"],
        {1: "replaced", 2: "replaced"},
    ),
    "replaced in a row": (
        ["0 customer", "0 redecoded 1 as=system_message", "0 redecoded 2 as=unknown_event"],
        {1: "replaced", 2: "replaced"},
    ),
    "decoding voided": (["0 customer", "0 redecoded 1 as=system_message", "3 void 2"], {2: "voided"}),
    "last decoding voided": (
        ["0 customer", "0 redecoded 1 as=system_message", "0 redecoded 1 as=unknown_event", "3 void 3"],
        {1: "replaced", 3: "voided"},
    ),
    "voided, then decoded": (["0 customer", "3 void 1", "0 redecoded 1 as=system_message"], {1: "voided", 3: "voided"}),
    "decoded twice, then voided": (
        ["0 customer", "0 redecoded 1 as=system_message", "0 redecoded 2 as=system_message", "3 void 1"],
        {1: "voided", 2: "voided", 3: "voided"},
    ),
}


@pytest.mark.parametrize(("said", "skipped"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_left_out(said: list[str], skipped: dict[int, str]) -> None:
    """What is voided itself voids nothing, the last decoding counts, and a voided entry takes its decodings with it."""
    entries = [
        made._replace(target=made.target or None) for made in told(*(line.replace("9 target=", "0") for line in said))
    ]
    assert skipped == left_out(entries) == left_out(reversed(entries))


def test_correction_sets_the_state_at_its_time() -> None:
    """A correction counts from the second that it speaks of: what came later is folded onto it."""
    steps = fold(told("0 customer", "5 changed 1", "9 changed 4", "7 set 3 by=a"))
    assert ["customer.opened", "changed.to_robot", "corrected.to_manual", "changed.to_finished"] == [
        step.row.name for step in steps
    ]
    assert "a" == steps[-1].state.previous_servicer


@pytest.mark.parametrize(
    ("said", "sends"),
    [
        (["1 sent", "2 sent"], 2),
        (["1 message_intended counts=1", "2 sent counts=0"], 1),
        (["1 message_intended counts=1", "2 message_refused errcode=45009 counts=-1"], 0),
        (["1 message_refused counts=-1"], 0),
        (["1 sent", "2 customer"], 0),
        (["1 sent", "2 sent_on_event"], 1),
        (["1 sent", "1 sent again=1"], 1),
        (["1 sent", "2 refused 95001"], 5),
        (["1 refused 95002"], 5),
        (["1 refused 95001", "2 customer", "3 sent"], 1),
    ],
)
def test_sends(said: list[str], sends: int) -> None:
    """Sends count from the customer's last message, intended ones included; WeCom's word that none is left counts."""
    assert sends == fold(told("0 customer", "0 changed 1", *said))[-1].state.sends


def test_previous_servicer_is_whom_the_event_names() -> None:
    """Where a change was missed, the servicer before is the one whom the event names, not the one in the log."""
    steps = fold(told("0 customer", "1 changed 3 new=a", "60 change 2 old=b new=c", "90 change 3 old=d"))
    assert [("c", "b"), (None, "d")] == [(step.state.servicer, step.state.previous_servicer) for step in steps[2:]]
    taken_back = fold(told("0 customer", "1 changed 3 new=b", "60 change 4 old=a new=a"))[-1].state
    assert ("a", "b") == (taken_back.servicer, taken_back.previous_servicer)


def test_unseen_end() -> None:
    """An end in an unseen history opens and closes session 1, of which the end and the servicer are known."""
    state = fold(told("5 change 3 old=a"))[-1].state
    assert (1, 1, "unseen", "a") == (state.session, state.session_id, state.opened_by, state.previous_servicer)
    assert state.second == state.opened == state.since == state.decided


def test_reopened_session() -> None:
    """change_type 4 after an end names the session that it reopens."""
    steps = fold(told("0 customer", "1 changed 3 new=a", "2 change 3 old=a", "3 change 4 old=a new=b"))
    assert (2, 4, "reaccess", 1) == tuple(pack(steps[-1].state)[3:7])


def test_fits() -> None:
    """Only repairs, and what WeCom would not do in that state, are misfits."""
    misfits = {row.name for row in MACHINE.rows.values() if not fits(row) and row.outcome != "repaired"}
    assert {"refused.transition", "refused.sending", "sent.unexpectedly"} == misfits
    assert MACHINE.fits(initial(), entry("0 customer", 1), "customer_message")


def test_machine_for_one_conversation() -> None:
    """A `SessionMachine` goes on from a state, which stays the caller's."""
    state = evolve(initial(), entry("0 customer", 1)).state
    machine = SessionMachine(state)
    step = machine.feed(entry("1 changed 1", 2))
    assert (KfServiceState.ROBOT, 1) == (machine.service_state, step.state.service_state)
    assert 0 == state.service_state
    machine.state.service_state = 3
    assert 1 == machine.state.service_state
    assert KfServiceState.FINISHED == SessionMachine().service_state
