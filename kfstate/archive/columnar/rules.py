"""A machine as arrays of numbers: what the columnar fold looks up instead of rows and guards."""

from functools import lru_cache
from typing import Any, TypeAlias

from kfstate.archive.arrow import np
from kfstate.machine.check import TRIGGERS
from kfstate.machine.compiled import Machine, fits
from kfstate.machine.guards import GUARDS
from kfstate.machine.spec import EFFECTS, Clockwork, Row
from kfstate.machine.state import DOUBTS, EVIDENCE, OPENINGS, OUTCOMES

__all__ = ["CLOCKWORK", "GUARD_NUMBERS", "NONE", "STATES", "TRIGGER_NUMBERS", "Ints", "rules"]

Ints: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

NONE = -(1 << 63)
"""Stands for None in a column of numbers."""
TRIGGER_NUMBERS = {trigger: number for number, trigger in enumerate(TRIGGERS)}
GUARD_NUMBERS = {
    name: number
    for number, name in enumerate(
        (
            "",
            "menu_click",
            "serves",
            "served",
            "no_other",
            "just_decided",
            "unseen",
            "weak_end",
            "presumed_with",
            "presumed_taken",
            "presumed_handed_over",
            "presumed_0",
            "presumed_1",
            "presumed_2",
            "presumed_01",
            "presumed_012",
            "presumed_0123",
        )
    )
}
"""The guards by the numbers that :mod:`kfstate.archive.columnar.kernel` asks for; 0 is none."""


STATES = 5
"""How many values a service_state has."""
CLOCKWORK = 8
"""So many numbers stand before the table: expires_after, whether it counts from the customer's last message,
doubtful_after, straggler, send_limit, and nothing."""
ROW = 8
"""So many numbers has a row: dest, outcome, evidence, doubt, opened_by, effect, whether it fits, whether it only notes
the time. -1 is None."""


@lru_cache(maxsize=16)
def rules(machine: Machine) -> Ints:
    """Return the machine as one array: clockwork; trigger × 5 + state → where its candidates are; candidates; rows.

    A candidate is a guard and where its row is, in the order in which they are tried.
    """
    missing = set(GUARDS) - set(GUARD_NUMBERS)
    if missing:  # pragma: no cover - a test holds the two equal
        raise AssertionError(missing)
    tried = [candidates for trigger in TRIGGERS for candidates in machine.table[trigger]]
    first_candidate = CLOCKWORK + len(tried)
    first_row = first_candidate + 2 * sum(map(len, tried))
    places = {name: first_row + ROW * number for number, name in enumerate(machine.rows)}
    starts: list[int] = []
    flat: list[int] = []
    for candidates in tried:
        starts.append(first_candidate + len(flat))
        for _, row in candidates:
            flat += (GUARD_NUMBERS[row.guard or ""], places[row.name])
    rows = [number for row in machine.rows.values() for number in _numbers(row)]
    found: Ints = np.array([*_clockwork(machine.clockwork), *starts, *flat, *rows], np.int64)
    return found


def _clockwork(clockwork: Clockwork) -> tuple[int, ...]:
    by_message = int(clockwork.expiry_anchor == "last_customer_message")
    times = (clockwork.expires_after, by_message, clockwork.doubtful_after, clockwork.straggler, clockwork.send_limit)
    return (*times, 0, 0, 0)


def _numbers(row: Row) -> tuple[int, ...]:
    plain = row.dest is None and row.evidence is None and row.doubt is None and row.effect in {None, "excuse"}
    return (
        -1 if row.dest is None else int(row.dest),
        OUTCOMES.index(row.outcome),
        -1 if row.evidence is None else EVIDENCE.index(row.evidence),
        -1 if row.doubt is None else DOUBTS.index(row.doubt),
        OPENINGS.index(row.opened_by),
        -1 if row.effect is None else EFFECTS.index(row.effect),
        int(fits(row)),
        int(plain and row.outcome == "stayed"),
    )
