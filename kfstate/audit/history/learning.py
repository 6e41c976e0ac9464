"""How what is known of a time grew, entry by entry as they came: each is folded from its own second on.

It goes on from there only as far as states differ from those that were known before. So an entry in order costs one
step, a late one or a correction as many as it changes.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence

import attrs

from kfstate.audit.history.stories import Story
from kfstate.machine import Entry, Machine, SessionState, state_at
from kfstate.machine.calm import Calm, calm
from kfstate.machine.entry import place
from kfstate.machine.fold import expire, fold_second, left_out
from kfstate.machine.state import STRONG, initial, pack

__all__ = ["learned"]

_UNSHOWN: dict[str, int | None] = {
    "second": 0, "decided": None, "doubtful_from": None, "reopens": None, "kept": None, "kept_servicer": None,
    "kept_previous_servicer": None, "kept_since": None,
}  # fmt: skip
"""The fields of a state that nobody sees, each with a value in its place."""
_REWRITING = frozenset({"correction", "redecoded"})


@attrs.define
class _Second:
    """A second of which entries are known, in the order of the search."""

    second: int
    entries: list[Entry] = attrs.Factory(list)
    folded: tuple[object, ...] = ()
    """The fields of the state after it."""
    strong: bool = False
    """Whether something strong came in it."""


@attrs.define
class _Growing:
    """A conversation until a second, as far as it is known."""

    machine: Machine
    until: int
    calm: Calm
    seconds: list[int] = attrs.Factory(list)
    """Those of ``folds``, in order."""
    folds: list[_Second] = attrs.Factory(list)
    known: dict[int, int] = attrs.Factory(dict)
    """Position → second."""
    rewriting: list[Entry] = attrs.Factory(list)
    skip: dict[int, str] = attrs.Factory(dict)

    def add(self, entries: Collection[Entry]) -> None:
        """Know more entries."""
        changed = {entry.sort_second for entry in entries}
        for entry in entries:
            self.known[entry.position] = entry.sort_second
            if entry.sort_second <= self.until:
                self._place(entry)
        rewriting = [entry for entry in entries if entry.kind in _REWRITING]
        if rewriting:
            self.rewriting += rewriting
            before, self.skip = self.skip, left_out(self.rewriting)
            differing = {position for position, _ in before.items() ^ self.skip.items()}
            changed |= {self.known[position] for position in differing & self.known.keys()}
        if changed:
            self._fold(min(changed), max(changed))

    def _place(self, entry: Entry) -> None:
        at = bisect_left(self.seconds, entry.sort_second)
        if at == len(self.seconds) or self.seconds[at] != entry.sort_second:
            self.seconds.insert(at, entry.sort_second)
            self.folds.insert(at, _Second(entry.sort_second))
        group = self.folds[at].entries
        group.append(entry)
        group.sort(key=place)

    def _fold(self, first: int, last: int) -> None:
        """Fold anew what changed in the seconds from ``first`` to ``last``, and on until nothing is changed by it."""
        begin = bisect_left(self.seconds, first)
        state = self._state(begin)
        for one in self.folds[begin:]:
            one.strong = self._strong(state, one.entries)
            before, one.folded = one.folded, pack(state)
            if one.folded == before and one.second >= last:
                return

    def _strong(self, state: SessionState, group: Sequence[Entry]) -> bool:
        """Fold a second onto a state, in place, and tell whether something strong came in it."""
        if len(group) == 1 and group[0].position not in self.skip and self.calm(state, group[0]) is not None:
            return False
        strong = False
        expire(self.machine, state, group[0].sort_second)
        for entry, trigger in fold_second(self.machine, state, group, self.skip):
            strong = self.machine.advance(state, entry, trigger).evidence in STRONG or strong
        return strong

    def _state(self, number: int) -> SessionState:
        """Return the state after so many seconds with entries."""
        return SessionState(*self.folds[number - 1].folded) if number else initial()  # type: ignore[arg-type]  # as in Step

    def shown(self, gap: int) -> object:
        """Return what people are shown of the state, or None where no entry is known; ``gap`` ended at that second."""
        if not self.known:
            return None
        state = self._state(len(self.folds))
        seen = state_at(state, self.until, machine=self.machine)
        doubtful = seen.doubt == "none" and gap > (state.decided or 0) and not self._strong_since(gap)
        return attrs.evolve(seen, **_UNSHOWN), doubtful  # type: ignore[arg-type]  # of those

    def _strong_since(self, second: int) -> bool:
        return any(one.strong for one in self.folds[bisect_left(self.seconds, second) :])


def learned(story: Story, second: int, after: int, until: int, machine: Machine) -> list[int]:
    """Return the positions with which, one after the other, what is known of that second changed."""
    growing = _Growing(machine, second, calm(machine))
    gaps = {position: at for position, at in story.gaps if at <= second and position <= until}
    entries = {entry.position: entry for entry in story.known(until)}
    growing.add([entry for position, entry in entries.items() if position <= after])
    gap = max((at for position, at in gaps.items() if position <= after), default=0)
    before = growing.shown(gap)
    changed: list[int] = []
    for position in sorted(at for at in entries.keys() | gaps.keys() if at > after):
        if position in entries:
            growing.add([entries[position]])
        gap = max(gap, gaps.get(position, 0))
        shown = growing.shown(gap)
        if shown != before:
            changed.append(position)
        before = shown
    return changed
