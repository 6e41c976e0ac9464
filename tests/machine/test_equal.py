"""The compiled table, the `transitions` machine, the fold and the replay at volume are one machine."""

import itertools
import random
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfstate.machine import (
    MACHINE,
    Clockwork,
    Entry,
    Machine,
    SessionMachine,
    SessionState,
    Step,
    compiled,
    evolve,
    fold,
    initial,
)
from kfstate.machine.calm import calm
from kfstate.machine.check import TRIGGERS
from kfstate.machine.entry import CONSTRUCTED_TRIGGERS, trigger_of
from kfstate.machine.replay import replay
from kfstate.machine.spec import ANY
from kfstate.machine.state import pack
from kfstate.machine.table import SPEC
from tests.machine.golden import entry
from tests.machine.random_histories import log, seeded, stories

__all__: list[str] = []

BY_FOLD_ALONE = set(CONSTRUCTED_TRIGGERS) - {"repeated", "unknown"}
"""Triggers that no single entry raises."""


@given(stories(), st.integers(0, 2))
def test_table_equals_transitions(story: list[Entry], again: int) -> None:
    """The compiled table and the `transitions` machine give the same steps for any history."""
    machine, state = SessionMachine(), initial()
    for made in [*story, *(last._replace(again=again) for last in story[-1:])]:
        step = evolve(state, made)
        assert step == machine.feed(made)
        state = step.state
        assert state == machine.state
        assert state.service_state == machine.service_state


def test_table_equals_transitions_everywhere() -> None:
    """The two are equal for every trigger in every state, and by every row."""
    chance = random.Random(20)
    pairs, rows, expired = set(), set(), False
    for _ in range(150):
        machine, state = SessionMachine(), initial()
        for made in seeded(chance, 80):
            taken = made._replace(again=int(chance.random() < 0.02))
            pairs.add((trigger_of(taken), state.service_state))
            step = evolve(state, taken)
            assert step == machine.feed(taken)
            state = step.state
            rows.add(step.row.name)
            expired = expired or step.expired_at is not None
    wanted = set(itertools.product(set(TRIGGERS) - BY_FOLD_ALONE, map(int, ANY)))
    assert set() == wanted - pairs
    assert expired
    assert set() == set(MACHINE.rows) - rows - {"expired", "expired.again", "voided", "replaced"}


@given(stories())
def test_evolve_leaves_its_argument(story: list[Entry]) -> None:
    """`evolve` returns a step and never changes the state that it was given."""
    state = initial()
    for made in story:
        before = pack(state)
        step = evolve(state, made)
        assert before == pack(state)
        state = step.state


@given(stories(), st.sets(st.integers(0, 30)))
def test_fold_in_parts(story: list[Entry], cuts: set[int]) -> None:
    """Folding on from a state, second by second or in larger parts, gives the steps of folding all at once."""
    story = [made._replace(target=None) for made in story]  # what speaks of another part needs the whole
    seconds = [list(group) for _, group in itertools.groupby(story, key=lambda made: made.sort_second)]
    state = initial()
    steps: list[Step] = []
    part: list[Entry] = []
    for number, group in enumerate(seconds):
        part += group
        if number in cuts or number == len(seconds) - 1:
            steps += fold(part, state=state)
            state, part = steps[-1].state, []
    assert fold(story) == tuple(steps)


def replayed(entries: Sequence[Entry], size: int, refolded: set[int]) -> dict[int, SessionState]:
    """Replay a log in chunks of this size, and note which streams take the full fold."""

    def refold(stream: int) -> list[Entry]:
        refolded.add(stream)
        return [entry for entry in entries if entry.stream == stream]

    last = {entry.stream: entry.position for entry in entries}
    rows = [tuple(entry) for entry in entries]
    chunks = [rows[at : at + size] for at in range(0, len(rows), size)]
    found = replay(
        chunks,
        last_positions=lambda streams: {stream: last[stream] for stream in streams},
        refold=refold,
    )
    return dict(found)


def unruly(entries: Sequence[Entry], stream: int) -> bool:
    """Tell whether a stream has entries that came late, or that rewrite others."""
    own = [entry for entry in entries if entry.stream == stream]
    late = any(later.sort_second < made.sort_second for made, later in itertools.pairwise(own))
    return late or any(made.kind in {"correction", "redecoded"} for made in own)


@pytest.mark.parametrize("seed", range(40))
def test_replay_equals_fold(seed: int) -> None:
    """The replay at volume gives each conversation the state of its fold, however the log is cut into chunks."""
    chance = random.Random(seed)
    entries = log(chance, streams=12, size=40)
    streams = {entry.stream for entry in entries}
    folded = {stream: fold(entry for entry in entries if entry.stream == stream)[-1].state for stream in streams}
    for size in (1, 7, 10_000):
        refolded: set[int] = set()
        assert folded == replayed(entries, size, refolded)
        assert {stream for stream in streams if unruly(entries, stream)} == refolded
    assert 4 <= len(refolded) < len(streams)


@given(st.lists(stories(max_size=12), min_size=1, max_size=3), st.integers(1, 9))
def test_replay_equals_fold_for_any_history(stories_: list[list[Entry]], size: int) -> None:
    """Replay and fold agree on any histories that came in order."""
    entries = [
        made._replace(stream=stream, position=len(stories_) * made.position + stream)
        for stream, story in enumerate(stories_)
        for made in story
    ]
    entries.sort(key=lambda made: made.position)
    streams = {entry.stream for entry in entries}
    folded = {stream: fold(entry for entry in entries if entry.stream == stream)[-1].state for stream in streams}
    assert folded == replayed(entries, size, set())


OPENING = compiled(attrs.evolve(SPEC, clockwork=Clockwork(expiry_anchor="opening")))


@pytest.mark.parametrize("machine", [MACHINE, OPENING], ids=["last_customer_message", "opening"])
@given(story=stories(), again=st.integers(0, 2))
def test_calm_equals_table(machine: Machine, story: list[Entry], again: int) -> None:
    """What is written out for calm entries does what their row of the table does; every other entry it leaves alone."""
    fold_calm, state = calm(machine), initial()
    for made in [*story, *(last._replace(again=again) for last in story[-1:])]:
        step = evolve(state, made, machine=machine)
        calmly = state.copy()
        row = fold_calm(calmly, tuple(made))
        assert (state, None) == (calmly, row) or (step.state, step.row) == (calmly, row)
        state = step.state


def test_calm_is_what_is_common() -> None:
    """Messages, and what stays in every state, are calm; what unknown kinds are called is not taken for a trigger."""
    fold_calm = calm(MACHINE)
    served = fold([entry("0 customer", 1), entry("1 changed 3 new=a", 2)])[-1].state
    for said in ("2 customer", "2 servicer by=a", "2 servicer", "2 enter_session", "2 own_action"):
        assert fold_calm(served.copy(), tuple(entry(said, 3))) is not None
    for said in (
        "2 servicer by=b",
        "2 expiry",
        "2 correction/void",
        "2 redecoded 9",
        "2 customer again=1",
        "48h customer",
    ):
        assert fold_calm(served.copy(), tuple(entry(said, 3))) is None
