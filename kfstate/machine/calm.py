"""The rows of the table that move nothing, written out for speed: most entries of a log meet one of them.

A row is calm where it only notes the time of a message. What it does here is what :func:`kfstate.machine.effects.apply`
does; a property test holds the two equal.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from kfstate.machine.compiled import Machine
from kfstate.machine.entry import triggers_of
from kfstate.machine.kinds import KINDS
from kfstate.machine.spec import Row
from kfstate.machine.state import SessionState

__all__ = ["Calm", "calm"]

Calm = Callable[[SessionState, tuple[Any, ...]], Row | None]
"""Folds an entry in place if it is calm; any tuple will do that begins with the fields of ``Entry``.

Returns the row that took it, or None, and then nothing has changed.
"""

_REWRITING = frozenset({"correction", "redecoded"})


@lru_cache(maxsize=16)
def calm(machine: Machine) -> Calm:
    """Return the function that folds the calm entries of a machine."""
    table = tuple(dict(_rows(machine, state)) for state in range(5))
    by_message = machine.clockwork.expiry_anchor == "last_customer_message"
    expires_after = machine.clockwork.expires_after

    def fold_calm(state: SessionState, entry: tuple[Any, ...]) -> Row | None:
        row = table[state.service_state].get(entry[2])
        if row is None or entry[13] == 1 or entry[12] is not None:
            return None
        if row.guard is not None and entry[8] is not None and entry[8] != state.servicer:
            return None
        second: int = entry[3]
        due, doubtful = state.expires_at, state.doubtful_from
        if due is not None and (second >= due or (doubtful is not None and second >= doubtful)):
            return None
        state.second = second
        if entry[2] == "customer_message":
            state.last_customer_message = second
            state.sends = 0
            if by_message:
                state.expires_at = second + expires_after
        return row

    return fold_calm


def _rows(machine: Machine, state: int) -> Iterator[tuple[str, Row]]:
    """Find the kinds that are calm in a state: taken by their first row, without guard or by ``no_other``."""
    for kind in KINDS - _REWRITING:
        if triggers_of(kind) != (kind,):
            continue
        row = machine.table[kind][state][0][1]
        silent = row.evidence is None and row.doubt is None and row.effect is None
        if row.outcome == "stayed" and silent and row.guard in {None, "no_other"}:
            yield kind, row
