"""Replay at volume: the rows of a whole log, in order of position, to the last state of every conversation.

One pass, no steps, no new object for an entry. An entry waits until the next one of its conversation shows that its
second is over. Conversations whose entries came late, were voided, or were decoded again take the full fold.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from kfstate.machine.calm import calm
from kfstate.machine.compiled import MACHINE, Machine
from kfstate.machine.entry import Entry, place
from kfstate.machine.fold import expire, fold, fold_second
from kfstate.machine.state import SessionState, initial

__all__ = ["Rows", "replay"]

Rows = Sequence[tuple[Any, ...]]
"""A chunk of the log: tuples in the order of :class:`Entry`'s fields."""

_REWRITING = frozenset({"correction", "redecoded"})


@attrs.define
class _Open:
    """A conversation of which more entries may come."""

    state: SessionState
    second: int
    waiting: tuple[Any, ...] | None
    tied: list[Entry] | None = None
    """Set in place of ``waiting`` where several entries share the second."""


def replay(
    chunks: Iterable[Rows],
    *,
    last_positions: Callable[[Sequence[int]], Mapping[int, int]],
    refold: Callable[[int], Iterable[Entry]],
    machine: Machine = MACHINE,
) -> Iterator[tuple[int, SessionState]]:
    """Yield stream and state of every conversation, each as soon as its last entry is folded.

    ``chunks`` give the log by position. ``last_positions`` tells, for streams that are new in a chunk, where their
    last entry stands, so that memory holds only the conversations that are still open. ``refold`` gives all entries
    of a stream that needs the full fold.
    """
    held: dict[int, _Open] = {}
    ends: dict[int, int] = {}
    slow: set[int] = set()
    settle = _settler(machine)
    for chunk in chunks:
        ends.update(last_positions([stream for stream in {row[1] for row in chunk} if stream not in ends]))
        for row in chunk:
            stream, second = row[1], row[3]
            known = held.get(stream)
            if known is None:
                held[stream] = known = _Open(initial(), second, row)
            elif second > known.second:
                settle(known)
                known.waiting, known.second = row, second
            elif second == known.second:
                _tie(known, row)
            else:
                slow.add(stream)
            if row[2] in _REWRITING:
                slow.add(stream)
            if row[0] == ends[stream]:
                del held[stream], ends[stream]
                if stream in slow:
                    slow.discard(stream)
                    yield stream, fold(refold(stream), machine=machine)[-1].state
                else:
                    settle(known)
                    yield stream, known.state


def _tie(known: _Open, row: tuple[Any, ...]) -> None:
    if known.tied is None:
        known.tied = [Entry._make(known.waiting or ())]
        known.waiting = None
    known.tied.append(Entry._make(row))


def _settler(machine: Machine) -> Callable[[_Open], None]:
    """Return the function that folds what waits, with the calm rows of the table written out."""
    fold_calm = calm(machine)

    def settle(known: _Open) -> None:
        row, state = known.waiting, known.state
        if row is None:
            _settle_tied(machine, known)
        elif fold_calm(state, row) is None:
            expire(machine, state, known.second)
            machine.advance(state, Entry._make(row))

    return settle


def _settle_tied(machine: Machine, known: _Open) -> None:
    group = sorted(known.tied or (), key=place)
    known.tied = None
    expire(machine, known.state, known.second)
    for entry, trigger in fold_second(machine, known.state, group, {}):
        machine.advance(known.state, entry, trigger)
