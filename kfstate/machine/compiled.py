"""A machine ready to run: the definition, validated and compiled to a lookup table.

Live entries and replays at volume use the table; ``reference.py`` builds the same machine with ``transitions``, and a
property test holds the two equal.
"""

from collections import deque
from collections.abc import Mapping

import attrs

from kfstate.errors import MachineError
from kfstate.machine.check import TRIGGERS, hops, problems
from kfstate.machine.effects import apply
from kfstate.machine.entry import Entry, trigger_of
from kfstate.machine.guards import GUARDS, Guard
from kfstate.machine.spec import ANY, Clockwork, MachineSpec, Row, fingerprint
from kfstate.machine.state import SessionState
from kfstate.machine.table import SPEC

__all__ = ["MACHINE", "Machine", "compiled", "fits"]

_CONTRADICTING = frozenset({"refused", "sent_in_2_3_4"})
"""Doubts that arise because WeCom does what it would not do in the state that the log says."""
Candidates = tuple[tuple[Guard | None, Row], ...]


@attrs.frozen(eq=False)
class Machine:
    """A sound definition and its lookup table. Immutable: share one between all threads and conversations."""

    spec: MachineSpec
    fingerprint: str
    table: dict[str, tuple[Candidates, ...]] = attrs.field(repr=False)
    """Trigger → for each state the rows to try, in order."""
    rows: dict[str, Row] = attrs.field(repr=False)
    """Name → row."""
    missing: dict[tuple[str, int], tuple[int, ...]] = attrs.field(repr=False)
    """(Trigger, state) → the states that were passed unseen when this entry comes in that state."""

    @property
    def clockwork(self) -> Clockwork:
        """The times of this machine, in seconds."""
        return self.spec.clockwork

    def select(self, state: SessionState, entry: Entry, trigger: str) -> Row:
        """Return the row that takes this entry. Changes nothing."""
        for guard, row in self.table[trigger][state.service_state]:
            if guard is None or guard(state, entry, self.spec.clockwork):
                return row
        raise AssertionError(trigger)  # pragma: no cover - compiled() refuses a table with a hole

    def advance(self, state: SessionState, entry: Entry, trigger: str | None = None) -> Row:
        """Fold one entry into ``state``, in place, and return the row that took it.

        The state must not be past its ``expires_at``: :func:`kfstate.machine.fold.expire` first.
        """
        row = self.select(state, entry, trigger or trigger_of(entry))
        apply(self.spec.clockwork, state, entry, row)
        return row

    def fits(self, state: SessionState, entry: Entry, trigger: str) -> bool:
        """Tell whether the table takes this entry without a misfit."""
        return fits(self.select(state, entry, trigger))


def fits(row: Row) -> bool:
    """Tell whether an entry that this row takes fits the state.

    A misfit is a repair, or what WeCom would not do in this state: a refused change, a send accepted or refused
    against the rules. A refusal for another reason (a servicer who rests, a window used up) fits any state.
    """
    return row.outcome != "repaired" and row.doubt not in _CONTRADICTING


def compiled(spec: MachineSpec) -> Machine:
    """Validate and compile a definition.

    Raises:
        MachineError: naming every problem of the definition.
    """
    if found := problems(spec):
        raise MachineError(found)
    table = {trigger: tuple(_candidates(spec, trigger, state) for state in ANY) for trigger in TRIGGERS}
    return Machine(spec, fingerprint(spec), table, {row.name: row for row in spec.rows}, _missing(spec))


def _candidates(spec: MachineSpec, trigger: str, state: int) -> Candidates:
    return tuple(
        (GUARDS[row.guard] if row.guard else None, row)
        for row in spec.rows
        if row.trigger == trigger and state in row.sources
    )


def _missing(spec: MachineSpec) -> dict[tuple[str, int], tuple[int, ...]]:
    """Find the shortest way from each state to one in which the repairing entry would have fitted."""
    ways = hops(spec)
    found = {}
    for row in spec.rows:
        if row.outcome != "repaired" or row.dest is None:
            continue
        fitting = {
            int(state) for other in spec.rows if other.trigger == row.trigger and other.outcome == "moved"
            and other.effect != "restore" for state in other.sources
        }  # fmt: skip
        for state in row.sources:
            found[row.trigger, int(state)] = _way(ways, int(state), fitting, int(row.dest))
    return found


def _way(ways_on: Mapping[int, set[int]], start: int, fitting: set[int], dest: int) -> tuple[int, ...]:
    if start in fitting:
        return (start,)
    goals = fitting or {dest}
    ways: deque[tuple[int, ...]] = deque([(start,)])
    seen = {start}
    while ways:
        way = ways.popleft()
        if way[-1] in goals:
            return way[1:] if fitting else way[1:-1]
        for state in sorted(ways_on[way[-1]]):
            if state not in seen:
                seen.add(state)
                ways.append((*way, state))
    raise AssertionError(start)  # pragma: no cover - problems() refuses a state with no way out or in


MACHINE = compiled(SPEC)
"""The machine that this release runs, validated when this module is imported."""
