"""The order of the fold is worked out from the entries, never from their arrival (P3)."""

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from kfstate.machine import Entry, Step, fold
from kfstate.machine.state import SessionState, pack
from tests.machine.golden import BEGINNING, entry
from tests.machine.random_histories import BASIC, RARE, arrived, told

__all__: list[str] = []

SHARED = 0.2
GAPS = (0, 0, 0, 1, 3, 9, 5_000, 48 * 3600)
BEFORE = ["", "customer", "changed 1", "changed 2", "changed 3 new=a", "changed 3 new=b", "reading 4"]
PAIRS = {
    "message and end": ("customer", "change 3 old=a"),
    "transfer and end": ("change 2 old=a new=b", "change 3 old=b"),
    "farewell and end": ("servicer by=a", "change 3 old=a"),
    "pick and end": ("change 1 new=a", "change 3 old=a"),
    "message and pick": ("customer", "change 1 new=a"),
    "farewell and taking back": ("servicer by=b", "change 4 old=a new=b"),
    "end and taking back": ("change 3 old=a", "change 4 old=a new=b"),
    "one msgid, other facts": ("change 1 new=a tie=5", "change 3 old=a tie=5"),
    "one msgid, other servicer": ("change 2 old=a new=b tie=5", "change 2 old=a new=c tie=5"),
    "one msgid, click or not": ("customer tie=5", "click tie=5"),
}


def unplaced(steps: Sequence[Step]) -> list[tuple[object, ...]]:
    """Return steps as data without positions: an entry, and who is named by position, stands for what it says."""
    said = {step.entry.position: step.entry._replace(position=0, again=0) for step in steps}

    def state(folded: SessionState) -> tuple[object, ...]:
        named = [said.get(position or 0) for position in (folded.session_id, folded.position, folded.reopens)]
        return (*pack(folded)[:4], *pack(folded)[5:6], *pack(folded)[7:14], *pack(folded)[15:], *named)

    return [
        (said[step.entry.position], step.row.name, step.before, step.servicer_before, step.missing, step.expired_at,
         *state(step.state))
        for step in steps
    ]  # fmt: skip


def shared(story: Sequence[Entry]) -> float:
    """Return the share of neighbours that have the same second."""
    pairs = list(itertools.pairwise(story))
    return sum(one.sort_second == other.sort_second for one, other in pairs) / max(1, len(pairs))


@given(
    st.lists(
        st.tuples(st.sampled_from(BASIC + BASIC + RARE), st.sampled_from(GAPS), st.integers(0, 99)),
        min_size=2, max_size=14,
    ),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_any_arrival_gives_the_same_steps(words: list[tuple[str, int, int]], chance: random.Random) -> None:
    """However WeCom's entries of a conversation come in, steps and state are the same, but for positions."""
    story = told(words)
    assume(shared(story) >= SHARED)
    order = list(range(len(story)))
    in_order = unplaced(fold(arrived(story, order)))
    chance.shuffle(order)
    event(f"{shared(story):.1f} of neighbours share a second")
    assert in_order == unplaced(fold(arrived(story, order)))


def test_any_arrival_at_volume() -> None:
    """The same for long seeded histories, of which more than a fifth of all neighbours share a second."""
    chance = random.Random(6)
    shares = []
    for _ in range(60):
        words = [(chance.choice(BASIC + BASIC + RARE), chance.choice(GAPS), chance.randrange(50)) for _ in range(60)]
        story = told(words)
        shares.append(shared(story))
        order = list(range(len(story)))
        in_order = unplaced(fold(arrived(story, order)))
        for _ in range(4):
            chance.shuffle(order)
            assert in_order == unplaced(fold(arrived(story, order)))
    assert min(shares) >= SHARED


@pytest.mark.parametrize("before", BEFORE, ids=lambda before: before or "unseen")
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_two_in_one_second(before: str, pair: tuple[str, str]) -> None:
    """Two entries of one second give the same whichever comes first, from every state before them."""
    start = [entry("0 customer", 1), entry(f"1 {before}", 2)] if before else []
    one, other = (entry(f"90 {said}", 3) for said in pair)
    ties = [(one.tie, other.tie)] if one.tie else [(1, 2), (2, 1)]
    for tie, other_tie in ties:
        story = [*start, one._replace(tie=tie), other._replace(tie=other_tie)]
        back = [*range(len(start)), len(start) + 1, len(start)]
        assert unplaced(fold(arrived(story, range(len(story))))) == unplaced(fold(arrived(story, back)))


@pytest.mark.parametrize("tie", [1, 3])
@pytest.mark.parametrize(
    ("before", "pair", "state", "session"),
    [
        ("changed 3 new=a", "message and end", 0, 2),
        ("changed 1", "message and end", 0, 2),
        ("changed 3 new=a", "transfer and end", 4, 1),
        ("changed 3 new=a", "farewell and end", 4, 1),
        ("changed 2", "pick and end", 4, 1),
        ("changed 3 new=a", "pick and end", 4, 1),
        ("reading 4", "message and pick", 3, 2),
        ("changed 3 new=a", "end and taking back", 3, 2),
    ],
)
def test_what_two_in_one_second_come_to(before: str, pair: str, state: int, session: int, tie: int) -> None:
    """Two entries of one second are taken in the order in which they make sense, whatever their ties."""
    one, other = (entry(f"90 {said}", 3) for said in PAIRS[pair])
    story = [entry("0 customer", 1), entry(f"1 {before}", 2), one._replace(tie=tie), other._replace(tie=2, position=4)]
    last = fold(story)[-1].state
    assert (state, session) == (last.service_state, last.session)
    assert (
        [] == [step.row.name for step in fold(story)[2:] if step.outcome == "repaired"]
        or pair == "message and pick"
        or before == "changed 1"
    )


def test_own_entries_keep_their_order() -> None:
    """What we made ourselves in one second is folded in the order of its ties, which hold the microseconds."""
    story = [
        entry(f"5 {said}", 9 - at)._replace(tie=at) for at, said in enumerate(["changed 1", "changed 2", "changed 4"])
    ]
    steps = fold([entry("0 customer", 1), *story])
    assert ["changed.to_robot", "changed.to_queue", "changed.to_finished"] == [step.row.name for step in steps[1:]]


def test_own_entries_without_tie_keep_their_order() -> None:
    """Where ties say nothing, own entries of one second are folded in the order of the log."""
    story = [entry(f"5 {said}", at) for at, said in enumerate(["changed 4", "changed 2", "changed 1"], start=2)]
    steps = fold([entry("0 customer", 1), *reversed(story)])
    assert [1, 2, 3, 4] == [step.entry.position for step in steps]


@pytest.mark.parametrize("position", [1, 2])
def test_repeated_msgid_is_left_out(position: int) -> None:
    """The same msgid with the same facts changes nothing, wherever it stands in its second."""
    story = [entry("5 customer", 3 - position), entry("5 customer again=1", position)]
    steps = fold([*story, entry("9 changed 2", 3), entry("9 change 1 new=a again=1", 4)])
    assert ["ignored", "ignored"] == [step.outcome for step in steps if step.entry.again]
    assert (2, 1) == (steps[-1].state.service_state, steps[-1].state.session)
    assert BEGINNING + 5 == steps[-1].state.last_customer_message
