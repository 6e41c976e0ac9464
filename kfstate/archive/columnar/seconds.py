"""The columnar fold of the entries of one second: which comes first, as ``machine.fold.fold_second`` decides it."""

from typing import Any

from kfstate.archive.columnar.bits import (
    AS_SHIFT,
    CHANGE_BITS,
    CHANGE_SHIFT,
    KIND_SHIFT,
    MENU_BITS,
    MENU_SHIFT,
    ODD,
    RANK_BITS,
    RANK_SHIFT,
    SAID_BITS,
    SHAPE_FACTS,
    SHAPE_FROM,
    SHAPE_TO,
    TRIGGER_BITS,
)
from kfstate.archive.columnar.compiling import inlined
from kfstate.archive.columnar.kernel import DEST, FITS, NOTHING, advance, select
from kfstate.archive.columnar.rules import NONE, TRIGGER_NUMBERS
from kfstate.machine.kinds import OWN_RANK

__all__ = ["advance_by", "fold_second", "select_for"]

MESSAGE = TRIGGER_NUMBERS["customer_message"]


@inlined
def select_for(rules: Any, shapes: Any, rows: Any, entry: int, state: Any) -> int:
    """Return the row that takes an entry."""
    shape = rows[3][entry]
    facts, left, to = shapes[shape, SHAPE_FACTS], shapes[shape, SHAPE_FROM], shapes[shape, SHAPE_TO]
    return select(rules, state, facts, rows[0][entry], left, to)


@inlined
def advance_by(row: int, rules: Any, shapes: Any, rows: Any, entry: int, state: Any) -> None:
    """Fold the entry that a row takes."""
    second, position, _, shape = rows
    at = shape[entry]
    facts, left, to = shapes[at, SHAPE_FACTS], shapes[at, SHAPE_FROM], shapes[at, SHAPE_TO]
    advance(rules, state, row, facts, second[entry], position[entry], left, to)


@inlined
def fold_second(
    rules: Any, shapes: Any, rows: Any, begin: int, end: int, rest: Any, fitting: Any, state: Any, trial: Any
) -> bool:
    """Fold the entries of a second; return False where their order cannot be told.

    ``rest`` and ``fitting`` are room for lists of rows, ``trial`` for a state.
    """
    shape = rows[3]
    for row in range(begin, end):
        if shapes[shape[row], SHAPE_FACTS] & ODD:
            return False
        place = row - begin
        while place > 0 and _before(shapes, rows, row, rest[place - 1]):
            rest[place] = rest[place - 1]
            place -= 1
        rest[place] = row
    count = end - begin
    while count > 0:
        chosen = _next(rules, shapes, rows, rest, fitting, count, state, trial) if count > 1 else 0
        entry = rest[chosen]
        advance_by(select_for(rules, shapes, rows, entry, state), rules, shapes, rows, entry, state)
        count -= 1
        for place in range(chosen, count):
            rest[place] = rest[place + 1]
    return True


@inlined
def _next(rules: Any, shapes: Any, rows: Any, rest: Any, fitting: Any, count: int, state: Any, trial: Any) -> int:
    """Return the place of the entry that is folded next: see ``machine.fold``."""
    shape = rows[3]
    found = 0
    own_before = False
    for place in range(count):
        facts = shapes[shape[rest[place]], SHAPE_FACTS]
        own = facts >> RANK_SHIFT & RANK_BITS == OWN_RANK
        if own and own_before:
            continue
        own_before = own_before or own
        row = select_for(rules, shapes, rows, rest[place], state)
        stays = rules[row + DEST] == NOTHING
        if (stays and facts & TRIGGER_BITS == MESSAGE) or rules[row + FITS] == 0:
            continue
        if stays and found == 0:
            return place
        fitting[found] = place
        found += 1
    if found == 0:
        return 0
    first = rest[fitting[0]]
    for number in range(1, found):
        other = rest[fitting[number]]
        if _spoils(rules, shapes, rows, first, other, state, trial) and not _spoils(
            rules, shapes, rows, other, first, state, trial
        ):
            return int(fitting[number])
    return int(fitting[0])


@inlined
def _spoils(rules: Any, shapes: Any, rows: Any, first: int, then: int, state: Any, trial: Any) -> bool:
    """Tell whether the second entry is a misfit once the first is folded."""
    for field in range(state.size):
        trial[field] = state[field]
    advance_by(select_for(rules, shapes, rows, first, trial), rules, shapes, rows, first, trial)
    return bool(rules[select_for(rules, shapes, rows, then, trial) + FITS] == 0)


@inlined
def _before(shapes: Any, rows: Any, one: int, other: int) -> bool:
    """Tell which of two entries the search looks at first: ``machine.entry.place``."""
    _, position, tie, shape = rows
    left, right = shapes[shape[one]], shapes[shape[other]]
    a, b = left[SHAPE_FACTS], right[SHAPE_FACTS]
    rank, rank_b = a >> RANK_SHIFT & RANK_BITS, b >> RANK_SHIFT & RANK_BITS
    if rank != rank_b:
        return bool(rank < rank_b)
    if tie[one] != tie[other]:
        return bool(tie[one] < tie[other])
    if rank == OWN_RANK:
        return bool(position[one] < position[other])
    order = (a >> KIND_SHIFT & SAID_BITS) - (b >> KIND_SHIFT & SAID_BITS)
    if order == 0:
        order = (a >> CHANGE_SHIFT & CHANGE_BITS) - (b >> CHANGE_SHIFT & CHANGE_BITS)
    if order == 0:
        order = (a >> MENU_SHIFT & MENU_BITS) - (b >> MENU_SHIFT & MENU_BITS)
    if order == 0:
        order = _spelled(left[SHAPE_FROM], right[SHAPE_FROM])
    if order == 0:
        order = _spelled(left[SHAPE_TO], right[SHAPE_TO])
    if order == 0:
        order = (a >> AS_SHIFT & SAID_BITS) - (b >> AS_SHIFT & SAID_BITS)
    return bool(order < 0 or (order == 0 and position[one] < position[other]))


@inlined
def _spelled(one: int, other: int) -> int:
    """Compare two numbers, NONE or not below 0, as their digits are in text: below 0, 0 or above 0."""
    if one == other:
        return 0
    if one == NONE or other == NONE:
        return -1 if one == NONE else 1
    high = low = 1
    while one // high >= 10:
        high *= 10
    while other // low >= 10:
        low *= 10
    while high > 0 and low > 0:
        if one // high != other // low:
            return one // high - other // low
        one, other = one % high, other % low
        high, low = high // 10, low // 10
    return high - low
