"""What others void or replace, in the columnar fold: ``machine.fold.left_out``."""

from typing import Any

from kfstate.archive.columnar.bits import REDECODES, SHAPE_FACTS, SHAPE_TARGET, TRIGGER_BITS, VOIDS
from kfstate.archive.columnar.compiling import jit
from kfstate.archive.columnar.rules import TRIGGER_NUMBERS

__all__ = ["leave_out"]

VOIDED, REPLACED = TRIGGER_NUMBERS["voided"], TRIGGER_NUMBERS["replaced"]


@jit
def leave_out(shapes: Any, position: Any, total: int, made: Any, live: Any) -> None:
    """Mark what others void or replace in the shapes, one for each of the entries.

    ``made`` and ``live`` are room for lists.
    """
    count = 0
    for row in range(total):
        if shapes[row, SHAPE_FACTS] & (VOIDS | REDECODES):
            place = count
            while place > 0 and position[made[place - 1]] < position[row]:
                made[place] = made[place - 1]
                place -= 1
            made[place] = row
            count += 1
    for place in range(count):
        facts, target = shapes[made[place], SHAPE_FACTS], shapes[made[place], SHAPE_TARGET]
        live[place] = facts & TRIGGER_BITS != VOIDED
        if live[place] and facts & VOIDS:
            _mark(shapes, position, total, target, VOIDED)
        elif live[place]:
            for earlier in range(place):
                other = shapes[made[earlier]]
                if live[earlier] and other[SHAPE_FACTS] & REDECODES and other[SHAPE_TARGET] == target:
                    _mark(shapes, position, total, position[made[place]], REPLACED)
            _mark(shapes, position, total, target, REPLACED)
    for back in range(count):
        said = shapes[made[count - 1 - back]]
        if said[SHAPE_FACTS] & REDECODES and _voided(shapes, position, total, made, live, count, said[SHAPE_TARGET]):
            said[SHAPE_FACTS] = said[SHAPE_FACTS] & ~TRIGGER_BITS | VOIDED


@jit
def _mark(shapes: Any, position: Any, total: int, target: int, trigger: int) -> None:
    """Leave out the entry at a position: what is replaced can still be voided, what is voided stays so."""
    for row in range(total):
        facts = shapes[row, SHAPE_FACTS]
        if position[row] == target and (trigger == VOIDED or facts & TRIGGER_BITS != VOIDED):
            shapes[row, SHAPE_FACTS] = facts & ~TRIGGER_BITS | trigger


@jit
def _voided(shapes: Any, position: Any, total: int, made: Any, live: Any, count: int, target: int) -> bool:
    """Tell whether the entry at a position is voided, be it here or not."""
    for row in range(total):
        if position[row] == target and shapes[row, SHAPE_FACTS] & TRIGGER_BITS == VOIDED:
            return True
    for place in range(count):
        said = shapes[made[place]]
        if live[place] and said[SHAPE_FACTS] & VOIDS and said[SHAPE_TARGET] == target:
            return True
    return False
