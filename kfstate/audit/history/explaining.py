"""Why an entry did what it did: entry, guards, transition, and the rows that the projections keep of it."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.audit.history.stories import Names, Story
from kfstate.audit.history.telling import expiry_view, named, step_view
from kfstate.audit.history.words import sentence_of, words_of_guard
from kfstate.machine import Machine, SessionState, Step
from kfstate.machine.fold import expire
from kfstate.machine.state import initial
from kfstate.queries.entries import EntryView, entry_views
from kfstate.queries.views import StepView, Transition
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import query
from kfstate.store.read import rows_at

__all__ = ["Explained", "KeptStep", "Tried", "explained", "unfolded"]

_KEPT = (
    "SELECT known_from, transition, outcome, before_state, after_state, session FROM kf_step WHERE position = ? "
    "ORDER BY known_from"
)


@attrs.frozen
class Tried:
    """A row of the machine's table that was looked at for an entry; the last one took it."""

    name: str
    guard: str | None
    asks: str | None
    """What the guard asks, in words."""
    asks_zh: str | None
    holds: bool


@attrs.frozen
class KeptStep:
    """A row of ``kf_step``: what was known of an entry from a position on; a late entry can revise it."""

    known_from: int
    transition: str
    outcome: str
    before: str
    after: str
    session: int


@attrs.frozen
class Explained:
    """Why one entry did what it did, or nothing."""

    entry: EntryView
    trigger: str | None
    """What the entry is to the machine; None: it is in no conversation, and not folded."""
    tried: tuple[Tried, ...]
    transition: Transition | None
    expired: StepView | None
    """The end that was presumed before it was folded."""
    step: StepView | None
    missing: tuple[str, ...]
    words: str
    words_zh: str
    kept: tuple[KeptStep, ...]


def explained(
    conn: Connection, story: Story, steps: Sequence[Step], at: int, *, machine: Machine, names: Names
) -> Explained:
    """Return why the step at this place of a conversation is what it is."""
    step = steps[at]
    state = steps[at - 1].state if at else initial()
    expired = None
    if step.expired_at is not None:
        expired = expiry_view(step.expired_at, state, machine, names)
        state = state.copy()
        expire(machine, state, step.entry.sort_second)
    row, said = step.row, named(step, names)
    missing = tuple(KfServiceState(each).word for each in step.missing)
    return Explained(
        entry=_entry(conn, step.entry.position),
        trigger=row.trigger,
        tried=_tried(machine, state, step),
        transition=Transition(
            row.name, row.trigger, KfServiceState(step.before).word, step.state_after.word, row.guard, row.outcome
        ),
        expired=expired,
        step=step_view(step, story.noted[step.entry.position], names),
        missing=missing,
        words=sentence_of(said, "en"),
        words_zh=sentence_of(said, "zh"),
        kept=_kept(conn, step.entry.position),
    )


def unfolded(conn: Connection, position: int) -> Explained:
    """Return what there is to say of an entry that belongs to no conversation."""
    entry = _entry(conn, position)
    words = f"an entry of the stream {entry.stream!r} is not folded: it belongs to no conversation"
    words_zh = f"“{entry.stream}”流的记录不属于任何会话，不参与状态推导"
    return Explained(entry, None, (), None, None, None, (), words, words_zh, _kept(conn, position))


def _entry(conn: Connection, position: int) -> EntryView:
    (view,) = entry_views(conn, rows_at(conn, [position]).values())
    return view


def _tried(machine: Machine, state: SessionState, step: Step) -> tuple[Tried, ...]:
    tried = []
    for guard, row in machine.table[step.row.trigger][state.service_state]:
        holds = guard is None or guard(state, step.entry, machine.clockwork)
        asks = None if row.guard is None else words_of_guard(row.guard, "en")
        asks_zh = None if row.guard is None else words_of_guard(row.guard, "zh")
        tried.append(Tried(row.name, row.guard, asks, asks_zh, holds))
        if holds:
            break
    return tuple(tried)


def _kept(conn: Connection, position: int) -> tuple[KeptStep, ...]:
    return tuple(_kept_row(row) for row in query(conn, _KEPT, (position,)))


def _kept_row(row: tuple[Any, ...]) -> KeptStep:
    known_from, transition, outcome, before, after, session = row
    return KeptStep(
        known_from, transition, outcome, KfServiceState.word_of(before), KfServiceState.word_of(after), session
    )
