"""The fold: entries of one conversation, in the order that they themselves give, onto its state."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from kfstate.errors import StrictOutcomeError
from kfstate.machine.compiled import MACHINE, Machine
from kfstate.machine.entry import Entry, place, trigger_of
from kfstate.machine.spec import Row
from kfstate.machine.state import SessionState, initial, pack
from kfstate.service_state import KfServiceState

__all__ = ["Step", "evolve", "expire", "fold", "fold_second", "in_seconds", "left_out", "state_at"]


class Step(NamedTuple):
    """What folding one entry did."""

    entry: Entry
    row: Row
    before: int
    servicer_before: int | str | None
    folded: tuple[object, ...]
    """The fields of the state after the entry; :attr:`state` gives them their names."""
    missing: tuple[int, ...] = ()
    """The states passed unseen, where the outcome is ``repaired``."""
    expired_at: int | None = None
    """Where the fold first had to presume the end of a session: the second at which that was due."""

    @property
    def state(self) -> SessionState:
        """The state after the entry."""
        return SessionState(*self.folded)  # type: ignore[arg-type]  # pack() took them from a SessionState

    @property
    def outcome(self) -> str:
        """``moved``, ``stayed``, ``confirmed``, ``repaired``, ``refused``, ``ignored`` or ``unknown``."""
        return self.row.outcome

    @property
    def says(self) -> str:
        """The row's sentence, with the values looked at."""
        return self.row.says.format(
            before=KfServiceState(self.before).word,
            after=self.state_after.word,
            servicer=self.servicer_before or "nobody",
            to=self.entry.servicer_to or "a servicer",
            from_=self.entry.servicer_from or "a servicer",
            errcode=self.entry.errcode,
        )

    @property
    def state_after(self) -> KfServiceState:
        """The service state after the entry."""
        return KfServiceState(self.folded[0])  # type: ignore[arg-type]  # the first field of SessionState

    @property
    def reason(self) -> str | None:
        """Why, for every outcome but a plain ``moved`` or ``stayed``."""
        if self.row.outcome in {"moved", "stayed"} and self.row.effect is None and self.row.doubt is None:
            return None
        return self.says


def evolve(state: SessionState, entry: Entry, *, machine: Machine = MACHINE) -> Step:
    """Fold one entry onto a state and return the step; the state itself stays as it is."""
    return _steps(machine, state.copy(), [entry], {})[0]


def fold(
    entries: Iterable[Entry],
    *,
    state: SessionState | None = None,
    machine: Machine = MACHINE,
    strict: Iterable[str] = (),
) -> tuple[Step, ...]:
    """Fold the entries of one conversation, given in any order, and return their steps in the order of the fold.

    Raises:
        StrictOutcomeError: at the first step with an outcome that ``strict`` names.
    """
    known = tuple(entries)
    skip = left_out(known)
    folded = initial() if state is None else state.copy()
    refused = frozenset(strict)
    steps: list[Step] = []
    for group in in_seconds(known):
        steps += _steps(machine, folded, group, skip)
    for step in steps:
        if step.outcome in refused:
            raise StrictOutcomeError(step.outcome, step.entry.position, step.says)
    return tuple(steps)


def state_at(state: SessionState, now: int, *, machine: Machine = MACHINE) -> SessionState:
    """Return the state as of ``now`` (seconds): a due expiry is presumed, an age over 48 hours is doubtful."""
    seen = state.copy()
    if expire(machine, seen, now) is None and seen.doubt == "none" and seen.doubtful_from is not None:
        seen.doubt = "over_48h" if now >= seen.doubtful_from else "none"
    return seen


def left_out(entries: Iterable[Entry]) -> dict[int, str]:
    """Return position → trigger of the entries that others void or replace."""
    skip: dict[int, str] = {}
    for entry in sorted(entries, key=lambda entry: entry.position):
        if entry.target is not None and entry.kind == "redecoded":
            skip.setdefault(entry.target, "replaced")
        elif entry.target is not None and entry.kind == "correction" and entry.service_state is None:
            skip[entry.target] = "voided"
    return skip


def in_seconds(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Group entries by second, earliest first; inside a group they stand in the order of the search."""
    group: list[Entry] = []
    for entry in sorted(entries, key=place):
        if group and entry.sort_second != group[0].sort_second:
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def expire(machine: Machine, state: SessionState, now: int) -> int | None:
    """Presume the end of a session that is due by ``now`` (seconds), in place; return when it was due, or None."""
    due = state.expires_at
    if due is None or due > now:
        return None
    machine.advance(state, Entry(sort_second=due), "expiry")
    return due


def fold_second(
    machine: Machine, state: SessionState, group: Sequence[Entry], skip: Mapping[int, str]
) -> Iterator[tuple[Entry, str]]:
    """Yield the entries of one second, which stand in the order of the search, in the order of the fold.

    Always the first entry that the table takes without a misfit; the first of all where none fits. The caller folds
    each entry before it asks for the next.
    """
    rest = [(entry, skip.get(entry.position) or trigger_of(entry)) for entry in group]
    while rest:
        chosen = 0
        if len(rest) > 1:
            fitting = (at for at, (entry, trigger) in enumerate(rest) if machine.fits(state, entry, trigger))
            chosen = next(fitting, 0)
        yield rest.pop(chosen)


def _steps(machine: Machine, state: SessionState, group: Sequence[Entry], skip: Mapping[int, str]) -> list[Step]:
    expired_at = expire(machine, state, group[0].sort_second)
    steps = []
    for entry, trigger in fold_second(machine, state, group, skip):
        before, servicer_before = state.service_state, state.servicer
        row = machine.advance(state, entry, trigger)
        missing = machine.missing[trigger, before] if row.outcome == "repaired" else ()
        steps.append(Step(entry, row, before, servicer_before, pack(state), missing, expired_at))
        expired_at = None
    return steps
