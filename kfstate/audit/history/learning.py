"""How what is known of a time grew, entry by entry as they came: folded on where an entry comes in order, else anew."""

import attrs

from kfstate.audit.history.stories import Story
from kfstate.machine import Entry, Machine, SessionState, fold, state_at
from kfstate.machine.fold import Step
from kfstate.machine.state import STRONG, initial

__all__ = ["learned"]

_UNSHOWN: dict[str, int | None] = {
    "second": 0, "decided": None, "doubtful_from": None, "reopens": None, "kept": None, "kept_servicer": None,
    "kept_previous_servicer": None, "kept_since": None,
}  # fmt: skip
"""The fields of a state that nobody sees, each with a value in its place."""
_REWRITING = frozenset({"correction", "redecoded"})


@attrs.define
class _Growing:
    """A conversation until a second, as far as it is known."""

    machine: Machine
    second: int
    entries: list[Entry] = attrs.Factory(list)
    state: SessionState = attrs.Factory(initial)
    before: SessionState = attrs.Factory(initial)
    """The state before the last second of which entries are known: more of that second may come."""
    last: list[Entry] = attrs.Factory(list)
    strong: int = -1
    """The last second in which something strong came."""
    rewritten: bool = False

    def add(self, entry: Entry) -> None:
        """Know one more entry."""
        self.entries.append(entry)
        self.rewritten = self.rewritten or entry.kind in _REWRITING
        at = entry.sort_second
        known = self.last[0].sort_second if self.last else -1
        if self.rewritten or at < known:
            self._anew()
        elif at <= self.second:
            if at > known:
                self.before, self.last = self.state, []
            self.last.append(entry)
            self._noted(fold(self.last, state=self.before, machine=self.machine))

    def _anew(self) -> None:
        steps = [one for one in fold(self.entries, machine=self.machine) if one.entry.sort_second <= self.second]
        self.state, self.before, self.last, self.strong = initial(), initial(), [], -1
        if steps:
            second = steps[-1].entry.sort_second
            earlier = [one for one in steps if one.entry.sort_second < second]
            self.before = earlier[-1].state if earlier else initial()
            self.last = [one.entry for one in steps if one.entry.sort_second == second]
            self._noted(tuple(steps))

    def _noted(self, steps: tuple[Step, ...]) -> None:
        self.state = steps[-1].state
        seconds = (one.entry.sort_second for one in steps if one.row.evidence in STRONG)
        self.strong = max(self.strong, *seconds, -1)

    def shown(self, gap: int) -> object:
        """Return what people are shown of the state, or None where no entry is known; ``gap`` ended at that second."""
        if not self.entries:
            return None
        doubtful = gap > (self.state.decided or 0) and self.strong < gap
        seen = state_at(self.state, self.second, machine=self.machine)
        return attrs.evolve(seen, **_UNSHOWN), doubtful and seen.doubt == "none"  # type: ignore[arg-type]  # of those


def learned(story: Story, second: int, after: int, until: int, machine: Machine) -> list[int]:
    """Return the positions with which, one after the other, what is known of that second changed."""
    growing, gap = _Growing(machine, second), 0
    gaps = {position: at for position, at in story.gaps if at <= second}
    entries = {entry.position: entry for entry in story.entries}
    changed: list[int] = []
    before: object = None
    for position in sorted(entries.keys() | gaps.keys()):
        if position > until:
            break
        if position in entries:
            growing.add(entries[position])
        gap = max(gap, gaps.get(position, 0))
        shown = growing.shown(gap)
        if position > after and shown != before:
            changed.append(position)
        before = shown
    return changed
