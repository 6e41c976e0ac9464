"""A machine as arrays of numbers: what the columnar fold looks up instead of rows and guards."""

from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from kfstate.archive.arrow import np
from kfstate.machine.check import TRIGGERS
from kfstate.machine.compiled import Machine, fits
from kfstate.machine.guards import GUARDS
from kfstate.machine.spec import EFFECTS, Row
from kfstate.machine.state import DOUBTS, EVIDENCE, OPENINGS, OUTCOMES

__all__ = ["GUARD_NUMBERS", "NONE", "TRIGGER_NUMBERS", "Ints", "Rules", "rules"]

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
"""The guards by the numbers that :mod:`kfstate.archive.kernel` asks for; 0 is none."""


class Rules(NamedTuple):
    """A machine for the columnar fold."""

    starts: Ints
    """Trigger × 5 + state → where its rows begin in ``candidates``."""
    candidates: Ints
    """Guard and row, in the order in which they are tried."""
    rows: Ints
    """For each row: dest, outcome, evidence, doubt, opened_by, effect, whether it fits, whether it only notes the time.

    -1 is None.
    """
    clockwork: Ints
    """expires_after, whether counted from the customer's last message, doubtful_after, straggler, send_limit."""


@lru_cache(maxsize=16)
def rules(machine: Machine) -> Rules:
    """Return the machine as arrays."""
    missing = set(GUARDS) - set(GUARD_NUMBERS)
    if missing:  # pragma: no cover - a test holds the two equal
        raise AssertionError(missing)
    numbers = {name: number for number, name in enumerate(machine.rows)}
    starts, candidates = [], []
    for trigger in TRIGGERS:
        for tried in machine.table[trigger]:
            starts.append(len(candidates))
            candidates += [(GUARD_NUMBERS[row.guard or ""], numbers[row.name]) for _, row in tried]
    clockwork = machine.clockwork
    by_message = clockwork.expiry_anchor == "last_customer_message"
    return Rules(
        np.array(starts, np.int64),
        np.array(candidates, np.int64),
        np.array([_numbers(row) for row in machine.rows.values()], np.int64),
        np.array(
            [
                clockwork.expires_after,
                int(by_message),
                clockwork.doubtful_after,
                clockwork.straggler,
                clockwork.send_limit,
            ],
            np.int64,
        ),
    )


def _numbers(row: Row) -> tuple[int, ...]:
    plain = row.dest is row.evidence is row.doubt is None and row.effect in {None, "excuse"}
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
