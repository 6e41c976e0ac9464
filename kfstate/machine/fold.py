"""The fold: entries of one conversation, in the order that they themselves give, onto its state."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeAlias

import attrs

from kfstate.errors import StrictOutcomeError
from kfstate.machine.compiled import MACHINE, Machine, fits
from kfstate.machine.entry import Entry, is_own, place, trigger_of
from kfstate.machine.spec import Row
from kfstate.machine.state import SessionState, initial, pack
from kfstate.service_state import KfServiceState

__all__ = ["Step", "evolve", "expire", "fold", "fold_second", "in_seconds", "left_out", "state_at", "steps"]

_Named: TypeAlias = tuple[Entry, str]
"""An entry with its trigger."""
_SECOND = attrgetter("sort_second")
_FIELDS = [field.name for field in attrs.fields(SessionState)]
_SESSION, _QUEUED_SINCE = _FIELDS.index("session"), _FIELDS.index("queued_since")


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
            age=self.entry.sort_second - (self.state.decided or 0),
        )

    @property
    def state_after(self) -> KfServiceState:
        """The service state after the entry."""
        return KfServiceState(self.folded[0])  # type: ignore[arg-type]  # the first field of SessionState

    @property
    def session(self) -> int:
        """The number of the session that the entry belongs to; 0 before the first."""
        return self.folded[_SESSION]  # type: ignore[return-value]  # fields of SessionState, as pack() orders them

    @property
    def queued_since(self) -> int | None:
        """Since when the conversation waits in the queue after the entry."""
        return self.folded[_QUEUED_SINCE]  # type: ignore[return-value]

    @property
    def reason(self) -> str | None:
        """Why, for every outcome but a plain ``moved`` or ``stayed``."""
        if self.row.outcome in {"moved", "stayed"} and self.row.effect is None and self.row.doubt is None:
            return None
        return self.says


def evolve(state: SessionState, entry: Entry, *, machine: Machine = MACHINE) -> Step:
    """Fold one entry onto a state and return the step; the state itself stays as it is."""
    return steps(machine, state.copy(), [entry], {})[0]


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
    taken: list[Step] = []
    for group in in_seconds(known):
        taken += steps(machine, folded, group, skip)
    for step in taken:
        if step.outcome in refused:
            raise StrictOutcomeError(step.outcome, step.entry.position, step.says)
    return tuple(taken)


def state_at(state: SessionState, now: int, *, machine: Machine = MACHINE) -> SessionState:
    """Return the state as of ``now`` (seconds): a due expiry is presumed, an age over 48 hours is doubtful."""
    seen = state.copy()
    if expire(machine, seen, now) is None and seen.doubt == "none" and seen.doubtful_from is not None:
        seen.doubt = "over_48h" if now >= seen.doubtful_from else "none"
    return seen


def left_out(entries: Iterable[Entry]) -> dict[int, str]:
    """Return position → trigger of the entries that others void or replace.

    What is voided itself voids and replaces nothing; of several decodings the last counts; to void an entry is to void
    its decodings.
    """
    rewriting = [entry for entry in entries if entry.target is not None and _rewrites(entry)]
    rewriting.sort(key=lambda entry: entry.position)
    skip: dict[int, str] = {}
    decoded: set[int | None] = set()
    for entry in reversed(rewriting):
        target = entry.target or 0
        if skip.get(entry.position) == "voided":
            continue
        if entry.kind == "correction":
            skip[target] = "voided"
            continue
        if target in decoded:
            skip.setdefault(entry.position, "replaced")
        decoded.add(target)
        skip.setdefault(target, "replaced")
    for entry in rewriting:
        if entry.kind == "redecoded" and skip.get(entry.target or 0) == "voided":
            skip[entry.position] = "voided"
    return skip


def _rewrites(entry: Entry) -> bool:
    return entry.kind == "redecoded" or (entry.kind == "correction" and entry.service_state is None)


def in_seconds(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Group entries by second, earliest first; inside a group they stand in the order of the search."""
    for _, grouped in groupby(sorted(entries, key=_SECOND), key=_SECOND):
        group = list(grouped)
        if len(group) > 1:
            group.sort(key=place)
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

    The caller folds each entry before it asks for the next.
    """
    rest = [(entry, skip.get(entry.position) or trigger_of(entry)) for entry in group]
    while rest:
        yield rest.pop(_next(machine, state, rest) if len(rest) > 1 else 0)


def _next(machine: Machine, state: SessionState, rest: Sequence[_Named]) -> int:
    """Return the place of the entry that is folded next: the first that fits, or the first of all where none does.

    Own entries keep their order. A customer's message that opens nothing waits: it fits anywhere, and must not be lost
    in a session that ends in this second. An entry that would spoil another one which fits now (an end before the
    reading of the state that it ended) lets that one go first.
    """
    fitting: list[int] = []
    own_before = False
    for at, (entry, trigger) in enumerate(rest):
        own = is_own(entry)
        if own and own_before:
            continue
        own_before = own_before or own
        row = machine.select(state, entry, trigger)
        if (trigger == "customer_message" and row.dest is None) or not fits(row):
            continue
        if row.dest is None and not fitting:
            return at
        fitting.append(at)
    if not fitting:
        return 0
    first, *others = fitting
    spoiled = (
        at for at in others
        if _spoils(machine, state, rest[first], rest[at]) and not _spoils(machine, state, rest[at], rest[first])
    )  # fmt: skip
    return next(spoiled, first)


def _spoils(machine: Machine, state: SessionState, first: _Named, then: _Named) -> bool:
    """Tell whether the second entry is a misfit once the first is folded."""
    after = state.copy()
    machine.advance(after, *first)
    return not machine.fits(after, *then)


def steps(machine: Machine, state: SessionState, group: Sequence[Entry], skip: Mapping[int, str]) -> list[Step]:
    """Fold the entries of one second onto ``state``, in place, and return their steps."""
    expired_at = expire(machine, state, group[0].sort_second)
    if len(group) == 1:
        (entry,) = group
        return [_step(machine, state, entry, skip.get(entry.position) or trigger_of(entry), expired_at)]
    taken = []
    for entry, trigger in fold_second(machine, state, group, skip):
        taken.append(_step(machine, state, entry, trigger, expired_at))
        expired_at = None
    return taken


def _step(machine: Machine, state: SessionState, entry: Entry, trigger: str, expired_at: int | None) -> Step:
    before, servicer_before = state.service_state, state.servicer
    row = machine.advance(state, entry, trigger)
    missing = machine.missing[trigger, before] if row.outcome == "repaired" else ()
    return Step(entry, row, before, servicer_before, pack(state), missing, expired_at)
