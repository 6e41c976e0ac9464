"""The columnar fold over whole conversations, in the order in which their rows stand, or put in order first."""

from typing import Any

from kfstate.archive.columnar.bits import (
    COUNTS_BITS,
    COUNTS_SHIFT,
    COUNTS_ZERO,
    CUSTOMER,
    SHAPE_FACTS,
    SHAPE_SIZE,
)
from kfstate.archive.columnar.compiling import inlined, jit
from kfstate.archive.columnar.kernel import (
    DOUBT,
    DOUBTFUL_FROM,
    EXPIRES_AT,
    LAST_MESSAGE,
    NO_DOUBT,
    OVER_48H,
    PLAIN,
    SECOND,
    SENDS,
    STATE,
    candidates,
    expire,
    expiry,
    reset,
)
from kfstate.archive.columnar.leaving import leave_out
from kfstate.archive.columnar.rules import NONE, STATES
from kfstate.archive.columnar.seconds import advance_by, fold_second, select_for

__all__ = ["FIELDS", "habits", "scan"]

FIELDS = 23
"""How many numbers a state has."""

# What an entry of a shape does in a service_state.
ASKS, MOVES, NOTES, MEDDLES = range(4)
"""What the guards say; more than to be noted; only be noted; void or replace others."""

# How the fold of a conversation ended.
BEGUN, DONE, LATE, MEDDLED, UNTOLD = range(5)
"""Not yet; folded; the rows are out of order; some void or replace others; the order inside a second cannot be told."""


@jit
def habits(rules: Any, shapes: Any, count: int, meddling: int, found: Any) -> None:
    """Write what entries of each of so many shapes do in each state; those with any of some bits meddle."""
    for shape in range(count):
        facts = shapes[shape, SHAPE_FACTS]
        for state in range(STATES):
            found[shape, state] = MEDDLES if facts & meddling else _habit(rules, facts, state)


@inlined
def _habit(rules: Any, facts: int, state: int) -> int:
    at = candidates(rules, facts, state)
    if rules[at] != 0:
        return ASKS
    return NOTES if rules[rules[at + 1] + PLAIN] else MOVES


@jit
def scan(rules: Any, shapes: Any, does: Any, stream: Any, rows: Any, runs: Any, room: Any, out: Any) -> int:
    """Fold every conversation, and return how many there are.

    ``rows`` are the columns ``sort_second``, ``position``, ``tie`` and ``shape``; ``runs`` where runs of rows of one
    stream begin and end, those of a stream together. ``room`` is columns like those of the rows, the same again to be
    written to, own shapes with what they do, two lists, and two states. What comes out stands in ``out``: streams,
    states field by field, and which of the conversations are folded; the others have no state yet.
    """
    begins, ends = runs
    ordered, columns, own, own_does, one, two, state, trial = room
    streams, states, folded = out
    lists = (one, two)
    run, found = 0, 0
    while run < begins.size:
        current = stream[begins[run]]
        after = run + 1
        while after < begins.size and stream[begins[after]] == current:
            after += 1
        said, does_, source, begin, end = shapes, does, rows, begins[run], ends[run]
        how, count = LATE if after - run > 1 else BEGUN, 0
        while how != DONE and how != UNTOLD:
            if how != BEGUN:
                if count == 0:
                    for each in range(run, after):
                        count = _gather(rows, begins[each], ends[each], columns, count)
                    _sort(columns, count)
                source, begin, end = ordered, 0, count
            if how == MEDDLED:
                _own(shapes, columns, count, own)
                leave_out(own, ordered[1], count, one, two)
                habits(rules, own, count, 0, own_does)
                said, does_ = own, own_does
            how = _fold(rules, said, does_, source, begin, end, lists, state, trial)
        streams[found] = current
        folded[found] = how == DONE
        for field in range(FIELDS):
            states[field, found] = state[field]
        found += 1
        run = after
    return found


@inlined
def _fold(
    rules: Any, shapes: Any, does: Any, rows: Any, begin: int, end: int, lists: Any, state: Any, trial: Any
) -> int:
    """Fold one conversation."""
    second, _, _, shape = rows
    reset(state)
    at = begin
    while at < end:
        now = second[at]
        after = at + 1
        while after < end and second[after] == now:
            after += 1
        if after < end and second[after] < now:
            return LATE
        if NONE < state[EXPIRES_AT] <= now:
            expire(rules, state)
        habit = does[shape[at], state[STATE]]
        row = 0
        if after - at > 1:
            habit = _together(rules, shapes, does, rows, at, after, state)
        elif habit == ASKS or habit == MOVES:
            row = select_for(rules, shapes, rows, at, state)
            habit = NOTES if rules[row + PLAIN] else MOVES
        if habit == NOTES:
            for entry in range(at, after):
                _note(rules, shapes[shape[entry], SHAPE_FACTS], now, state)
        elif habit == MEDDLES:
            return MEDDLED
        elif after - at == 1:
            advance_by(row, rules, shapes, rows, at, state)
        elif not fold_second(rules, shapes, rows, at, after, lists[0], lists[1], state, trial):
            return UNTOLD
        at = after
    return DONE


@inlined
def _together(rules: Any, shapes: Any, does: Any, rows: Any, at: int, after: int, state: Any) -> int:
    """Return what the entries of a second do; NOTES only where their order cannot matter."""
    shape = rows[3]
    counted = moved = False
    for entry in range(at, after):
        facts, habit = shapes[shape[entry], SHAPE_FACTS], does[shape[entry], state[STATE]]
        if habit == MEDDLES:
            return MEDDLES
        if habit == ASKS:
            habit = NOTES if rules[select_for(rules, shapes, rows, entry, state) + PLAIN] else MOVES
        moved = moved or habit == MOVES
        counted = counted or facts >> COUNTS_SHIFT & COUNTS_BITS != COUNTS_ZERO
    return MOVES if moved or counted else NOTES


@inlined
def _note(rules: Any, facts: int, now: int, state: Any) -> None:
    """Fold an entry that moves nothing: ``kernel.advance`` for such, written out for speed."""
    state[SECOND] = now
    if facts & CUSTOMER:
        state[LAST_MESSAGE] = now
        state[SENDS] = 0
        state[EXPIRES_AT] = expiry(rules, state)
    else:
        state[SENDS] = max(0, state[SENDS] + (facts >> COUNTS_SHIFT & COUNTS_BITS) - COUNTS_ZERO)
    if state[DOUBT] == NO_DOUBT and NONE < state[DOUBTFUL_FROM] <= now:
        state[DOUBT] = OVER_48H


@jit
def _gather(rows: Any, begin: int, end: int, columns: Any, count: int) -> int:
    """Copy rows behind those that are there already; return how many there are then."""
    for row in range(begin, end):
        columns[0][count] = rows[0][row]
        columns[1][count] = rows[1][row]
        columns[2][count] = rows[2][row]
        columns[3][count] = rows[3][row]
        count += 1
    return count


@jit
def _own(shapes: Any, columns: Any, count: int, own: Any) -> None:
    """Give every row a shape of its own."""
    for row in range(count):
        for number in range(SHAPE_SIZE):
            own[row, number] = shapes[columns[3][row], number]
        columns[3][row] = row


@jit
def _sort(columns: Any, count: int) -> None:
    """Put rows in order of second, in place, where they are not: a heap sort."""
    late = False
    for row in range(1, count):
        late = late or columns[0][row] < columns[0][row - 1]
    if late:
        for root in range(count // 2 - 1, -1, -1):
            _sift(columns, root, count)
        for last in range(count - 1, 0, -1):
            _swap(columns, 0, last)
            _sift(columns, 0, last)


@jit
def _sift(columns: Any, root: int, count: int) -> None:
    second = columns[0]
    while 2 * root + 1 < count:
        child = 2 * root + 1
        if child + 1 < count and second[child] < second[child + 1]:
            child += 1
        if second[root] >= second[child]:
            return
        _swap(columns, root, child)
        root = child


@jit
def _swap(columns: Any, one: int, other: int) -> None:
    columns[0][one], columns[0][other] = columns[0][other], columns[0][one]
    columns[1][one], columns[1][other] = columns[1][other], columns[1][one]
    columns[2][one], columns[2][other] = columns[2][other], columns[2][one]
    columns[3][one], columns[3][other] = columns[3][other], columns[3][one]
