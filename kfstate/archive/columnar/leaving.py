"""What others void or replace, in the columnar fold: ``machine.fold.left_out``."""

from typing import Any

from kfstate.archive.columnar.bits import ENTRY_FACTS, ENTRY_POSITION, ENTRY_TARGET, REDECODES, TRIGGER_BITS, VOIDS
from kfstate.archive.columnar.compiling import jit
from kfstate.archive.columnar.rules import TRIGGER_NUMBERS

__all__ = ["leave_out"]

VOIDED, REPLACED = TRIGGER_NUMBERS["voided"], TRIGGER_NUMBERS["replaced"]


@jit
def leave_out(entries: Any, made: Any, live: Any) -> None:
    """Mark what others void or replace; ``made`` and ``live`` are room for lists."""
    count = 0
    for row in range(len(entries)):
        if entries[row, ENTRY_FACTS] & (VOIDS | REDECODES):
            place = count
            while place > 0 and entries[made[place - 1], ENTRY_POSITION] < entries[row, ENTRY_POSITION]:
                made[place] = made[place - 1]
                place -= 1
            made[place] = row
            count += 1
    for place in range(count):
        entry = entries[made[place]]
        live[place] = entry[ENTRY_FACTS] & TRIGGER_BITS != VOIDED
        if live[place] and entry[ENTRY_FACTS] & VOIDS:
            _mark(entries, entry[ENTRY_TARGET], VOIDED)
        elif live[place]:
            for earlier in range(place):
                other = entries[made[earlier]]
                if live[earlier] and other[ENTRY_FACTS] & REDECODES and other[ENTRY_TARGET] == entry[ENTRY_TARGET]:
                    _mark(entries, entry[ENTRY_POSITION], REPLACED)
            _mark(entries, entry[ENTRY_TARGET], REPLACED)
    for back in range(count):
        entry = entries[made[count - 1 - back]]
        if entry[ENTRY_FACTS] & REDECODES and _voided(entries, made, live, count, entry[ENTRY_TARGET]):
            entry[ENTRY_FACTS] = entry[ENTRY_FACTS] & ~TRIGGER_BITS | VOIDED


@jit
def _mark(entries: Any, target: int, trigger: int) -> None:
    """Leave out the entry at a position: what is replaced can still be voided, what is voided stays so."""
    for row in range(len(entries)):
        facts = entries[row, ENTRY_FACTS]
        if entries[row, ENTRY_POSITION] == target and (trigger == VOIDED or facts & TRIGGER_BITS != VOIDED):
            entries[row, ENTRY_FACTS] = facts & ~TRIGGER_BITS | trigger


@jit
def _voided(entries: Any, made: Any, live: Any, count: int, target: int) -> bool:
    """Tell whether the entry at a position is voided, be it here or not."""
    for row in range(len(entries)):
        if entries[row, ENTRY_POSITION] == target and entries[row, ENTRY_FACTS] & TRIGGER_BITS == VOIDED:
            return True
    for place in range(count):
        entry = entries[made[place]]
        if live[place] and entry[ENTRY_FACTS] & VOIDS and entry[ENTRY_TARGET] == target:
            return True
    return False
