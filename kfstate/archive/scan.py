"""The columnar fold over whole conversations: the order inside a second, and what others void or replace."""

from typing import Any

from kfstate.archive.bits import (
    AS_SHIFT,
    CHANGE_SHIFT,
    CUSTOMER,
    KIND_SHIFT,
    MENU_SHIFT,
    ODD,
    RANK_BITS,
    RANK_SHIFT,
    REDECODES,
    SAID_BITS,
    TRIGGER_BITS,
    VOIDS,
)
from kfstate.archive.compiling import jit
from kfstate.archive.kernel import DEST, FITS, NOTHING, advance, expire, reset, select
from kfstate.archive.rules import NONE, TRIGGER_NUMBERS
from kfstate.machine.kinds import OWN_RANK

__all__ = ["FIELDS", "scan"]

FIELDS = 23
"""How many numbers a state has."""
VOIDED, REPLACED = TRIGGER_NUMBERS["voided"], TRIGGER_NUMBERS["replaced"]
MESSAGE = TRIGGER_NUMBERS["customer_message"]


@jit
def scan(rules: Any, columns: Any, scratch: Any, streams: Any, states: Any, fast: Any) -> int:
    """Fold every conversation, and return how many there are; -1 where the rows are not sorted.

    ``columns`` are stream, second, position, tie, servicer_from, servicer_to, target and facts, one conversation after
    the other and each by second; ``facts`` is changed. What comes out stands in ``streams``, ``states`` and ``fast``;
    a conversation that is not ``fast`` has no state yet.
    """
    stream, second, facts = columns[0], columns[1], columns[7]
    rows, found, at = stream.size, 0, 0
    while at < rows:
        end, seen = at + 1, facts[at]
        while end < rows and stream[end] == stream[at]:
            if second[end] < second[end - 1]:
                return -1
            seen |= facts[end]
            end += 1
        if seen & (VOIDS | REDECODES):
            _leave_out(columns, scratch, at, end)
        streams[found] = stream[at]
        reset(states[found])
        fast[found] = _fold(rules, columns, scratch, states, found, at, end)
        found += 1
        at = end
    return found


@jit
def _fold(rules: Any, columns: Any, scratch: Any, states: Any, found: int, at: int, end: int) -> bool:
    """Fold one conversation; return False where that is left to ``machine.fold``."""
    second, position, left, to, facts = columns[1], columns[2], columns[4], columns[5], columns[7]
    state = states[found]
    while at < end:
        now = second[at]
        after = at + 1
        while after < end and second[after] == now:
            after += 1
        expire(rules, state, now)
        if after - at == 1:
            advance(rules, state, facts[at], now, position[at], left[at], to[at])
        elif not _fold_second(rules, columns, scratch, state, states[-1], at, after):
            return False
        at = after
    return True


@jit
def _fold_second(rules: Any, columns: Any, scratch: Any, state: Any, trial: Any, at: int, after: int) -> bool:
    """Fold the entries of one second as ``machine.fold.fold_second`` does; ``trial`` is room for a state."""
    second, position, left, to, facts = columns[1], columns[2], columns[4], columns[5], columns[7]
    rest, fitting = scratch[0], scratch[1]
    count = after - at
    for number in range(count):
        row = at + number
        if facts[row] & ODD:
            return False
        place = number
        while place > 0 and _before(columns, row, rest[place - 1]):
            rest[place] = rest[place - 1]
            place -= 1
        rest[place] = row
    while count > 0:
        chosen = _next(rules, columns, rest, fitting, count, state, trial) if count > 1 else 0
        row = rest[chosen]
        advance(rules, state, facts[row], second[row], position[row], left[row], to[row])
        count -= 1
        for place in range(chosen, count):
            rest[place] = rest[place + 1]
    return True


@jit
def _next(rules: Any, columns: Any, rest: Any, fitting: Any, count: int, state: Any, trial: Any) -> int:
    """Return the place of the entry that is folded next: see ``machine.fold``."""
    second, left, to, facts = columns[1], columns[4], columns[5], columns[7]
    found = 0
    own_before = False
    for place in range(count):
        row = rest[place]
        own = facts[row] >> RANK_SHIFT & RANK_BITS == OWN_RANK
        if own and own_before:
            continue
        own_before = own_before or own
        taken = rules[2][select(rules, state, facts[row], second[row], left[row], to[row])]
        stays = taken[DEST] == NOTHING
        if (stays and facts[row] & TRIGGER_BITS == MESSAGE) or taken[FITS] == 0:
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
        if _spoils(rules, columns, state, trial, first, other) and not _spoils(
            rules, columns, state, trial, other, first
        ):
            return int(fitting[number])
    return int(fitting[0])


@jit
def _spoils(rules: Any, columns: Any, state: Any, trial: Any, first: int, then: int) -> bool:
    """Tell whether the second entry is a misfit once the first is folded."""
    second, position, left, to, facts = columns[1], columns[2], columns[4], columns[5], columns[7]
    trial[:] = state
    advance(rules, trial, facts[first], second[first], position[first], left[first], to[first])
    return bool(rules[2][select(rules, trial, facts[then], second[then], left[then], to[then]), FITS] == 0)


@jit
def _before(columns: Any, one: int, other: int) -> bool:
    """Tell which of two entries the search looks at first: ``machine.entry.place``."""
    position, tie, left, to, facts = columns[2], columns[3], columns[4], columns[5], columns[7]
    a, b = facts[one], facts[other]
    rank, rank_b = a >> RANK_SHIFT & RANK_BITS, b >> RANK_SHIFT & RANK_BITS
    if rank != rank_b:
        return bool(rank < rank_b)
    if tie[one] != tie[other]:
        return bool(tie[one] < tie[other])
    if rank == OWN_RANK:
        return bool(position[one] < position[other])
    for shift in (KIND_SHIFT, CHANGE_SHIFT, MENU_SHIFT):
        bits = SAID_BITS if shift == KIND_SHIFT else SAID_BITS >> 4 if shift == CHANGE_SHIFT else 3
        if a >> shift & bits != b >> shift & bits:
            return bool(a >> shift & bits < b >> shift & bits)
    order = _spelled(left[one], left[other])
    if order == 0:
        order = _spelled(to[one], to[other])
    if order == 0:
        order = (a >> AS_SHIFT & SAID_BITS) - (b >> AS_SHIFT & SAID_BITS)
    return bool(order < 0 or (order == 0 and position[one] < position[other]))


@jit
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


@jit
def _leave_out(columns: Any, scratch: Any, at: int, end: int) -> None:
    """Mark what others void or replace: ``machine.fold.left_out``."""
    position, target, facts = columns[2], columns[6], columns[7]
    made, live = scratch[0], scratch[1]
    count = 0
    for row in range(at, end):
        if facts[row] & (VOIDS | REDECODES):
            place = count
            while place > 0 and position[made[place - 1]] < position[row]:
                made[place] = made[place - 1]
                place -= 1
            made[place] = row
            count += 1
    for place in range(count):
        row = made[place]
        live[place] = facts[row] & TRIGGER_BITS != VOIDED
        if live[place] and facts[row] & VOIDS:
            _mark(position, facts, at, end, target[row], VOIDED)
        elif live[place]:
            for earlier in range(place):
                other = made[earlier]
                if live[earlier] and facts[other] & REDECODES and target[other] == target[row]:
                    _mark(position, facts, at, end, position[row], REPLACED)
            _mark(position, facts, at, end, target[row], REPLACED)
    for back in range(count):
        row = made[count - 1 - back]
        if facts[row] & REDECODES and _voided(columns, scratch, at, end, count, target[row]):
            facts[row] = facts[row] & ~TRIGGER_BITS | VOIDED


@jit
def _mark(position: Any, facts: Any, at: int, end: int, target: int, trigger: int) -> None:
    """Leave out the entry at a position: what is replaced can still be voided, what is voided stays so."""
    for row in range(at, end):
        if position[row] == target:
            now = facts[row] & TRIGGER_BITS
            if trigger == VOIDED or now != VOIDED:
                facts[row] = facts[row] & ~TRIGGER_BITS | trigger


@jit
def _voided(columns: Any, scratch: Any, at: int, end: int, count: int, target: int) -> bool:
    """Tell whether an entry is voided, be it here or not."""
    position, facts = columns[2], columns[7]
    made, live = scratch[0], scratch[1]
    for row in range(at, end):
        if position[row] == target and facts[row] & TRIGGER_BITS == VOIDED:
            return True
    for place in range(count):
        row = made[place]
        if live[place] and facts[row] & VOIDS and columns[6][row] == target:
            return True
    return False
