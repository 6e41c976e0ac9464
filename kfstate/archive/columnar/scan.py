"""The columnar fold over whole conversations: the order inside a second, and what others void or replace."""

from typing import Any

from kfstate.archive.columnar.bits import (
    AS_SHIFT,
    CHANGE_BITS,
    CHANGE_SHIFT,
    COUNTS_BITS,
    COUNTS_SHIFT,
    CUSTOMER,
    ENTRY_FACTS,
    ENTRY_FROM,
    ENTRY_POSITION,
    ENTRY_SECOND,
    ENTRY_SIZE,
    ENTRY_TIE,
    ENTRY_TO,
    KIND_SHIFT,
    LATE,
    MENU_BITS,
    MENU_SHIFT,
    ODD,
    PLAIN_FACTS,
    RANK_BITS,
    RANK_SHIFT,
    REDECODES,
    SAID_BITS,
    TRIGGER_BITS,
    VOIDS,
    WINDOW,
)
from kfstate.archive.columnar.compiling import jit
from kfstate.archive.columnar.kernel import (
    DEST,
    DOUBTFUL_FROM,
    EXPIRES_AT,
    FITS,
    NOTHING,
    PLAIN,
    SECOND,
    STATE,
    advance,
    expire,
    reset,
    select,
)
from kfstate.archive.columnar.leaving import leave_out
from kfstate.archive.columnar.packing import pack
from kfstate.archive.columnar.rules import CLOCKWORK, NONE, TRIGGER_NUMBERS
from kfstate.machine.kinds import OWN_RANK

__all__ = ["FIELDS", "scan"]

FIELDS = 23
"""How many numbers a state has."""
NOTED = COUNTS_BITS << COUNTS_SHIFT | CUSTOMER | WINDOW
"""What more than the time of an entry can count."""
MESSAGE = TRIGGER_NUMBERS["customer_message"]


@jit
def scan(rules: Any, raw: Any, runs: Any, room: Any, streams: Any, states: Any, fast: Any) -> int:
    """Fold every conversation, and return how many there are.

    ``runs`` are where runs of rows of one stream begin and end, those of a stream together. What comes out stands in
    ``streams``, ``states`` and ``fast``; a conversation that is not ``fast`` has no state yet. ``room`` is for the
    entries of a conversation, and for two lists of them; the last of ``states`` is room, too.
    """
    stream = raw[0][0]
    begins, ends = runs
    entries, one, two = room
    run, found = 0, 0
    while run < begins.size:
        current = stream[begins[run]]
        seen, count = 0, 0
        while run < begins.size and stream[begins[run]] == current:
            seen |= pack(raw, begins[run], ends[run], entries, count)
            count += ends[run] - begins[run]
            run += 1
        talk = entries[:count]
        if seen & LATE:
            _sort(talk)
        if seen & (VOIDS | REDECODES):
            leave_out(talk, one, two)
        streams[found] = current
        fast[found] = _fold(rules, talk, one, two, states[found], states[-1])
        found += 1
    return found


@jit
def _sort(entries: Any) -> None:
    """Put entries in order of second, in place: a heap sort."""
    for root in range(len(entries) // 2 - 1, -1, -1):
        _sift(entries, root, len(entries))
    for last in range(len(entries) - 1, 0, -1):
        _swap(entries[0], entries[last])
        _sift(entries, 0, last)


@jit
def _sift(entries: Any, root: int, count: int) -> None:
    while 2 * root + 1 < count:
        child = 2 * root + 1
        if child + 1 < count and entries[child, ENTRY_SECOND] < entries[child + 1, ENTRY_SECOND]:
            child += 1
        if entries[root, ENTRY_SECOND] >= entries[child, ENTRY_SECOND]:
            return
        _swap(entries[root], entries[child])
        root = child


@jit
def _swap(one: Any, other: Any) -> None:
    for column in range(ENTRY_SIZE):
        one[column], other[column] = other[column], one[column]


@jit
def _fold(rules: Any, entries: Any, rest: Any, fitting: Any, state: Any, trial: Any) -> bool:
    """Fold one conversation; return False where that is left to ``machine.fold``."""
    reset(state)
    at, end = 0, len(entries)
    while at < end:
        now = entries[at, ENTRY_SECOND]
        after = at + 1
        while after < end and entries[after, ENTRY_SECOND] == now:
            after += 1
        if NONE < state[EXPIRES_AT] <= now:
            expire(rules, state)
        if after - at == 1:
            if not _note(rules, state, entries[at]):
                _advance(rules, state, entries[at])
        elif not _fold_second(rules, entries[at:after], rest, fitting, state, trial):
            return False
        at = after
    return True


@jit
def _note(rules: Any, state: Any, entry: Any) -> bool:
    """Fold an entry that only notes the time, written out for speed; else do nothing, and return False."""
    facts, second = entry[ENTRY_FACTS], entry[ENTRY_SECOND]
    at = rules[CLOCKWORK + (facts & TRIGGER_BITS) * 5 + state[STATE]]
    if rules[at] != 0 or rules[rules[at + 1] + PLAIN] == 0 or facts & NOTED != PLAIN_FACTS & NOTED:
        return False
    if state[DOUBTFUL_FROM] != NONE and second >= state[DOUBTFUL_FROM]:
        return False
    state[SECOND] = second
    return True


@jit
def _advance(rules: Any, state: Any, entry: Any) -> None:
    advance(
        rules,
        state,
        entry[ENTRY_FACTS],
        entry[ENTRY_SECOND],
        entry[ENTRY_POSITION],
        entry[ENTRY_FROM],
        entry[ENTRY_TO],
    )


@jit
def _select(rules: Any, state: Any, entry: Any) -> int:
    return select(rules, state, entry[ENTRY_FACTS], entry[ENTRY_SECOND], entry[ENTRY_FROM], entry[ENTRY_TO])


@jit
def _fold_second(rules: Any, group: Any, rest: Any, fitting: Any, state: Any, trial: Any) -> bool:
    """Fold the entries of one second as ``machine.fold.fold_second`` does; ``trial`` is room for a state."""
    count = len(group)
    for number in range(count):
        if group[number, ENTRY_FACTS] & ODD:
            return False
        place = number
        while place > 0 and _before(group[number], group[rest[place - 1]]):
            rest[place] = rest[place - 1]
            place -= 1
        rest[place] = number
    while count > 0:
        chosen = _next(rules, group, rest, fitting, count, state, trial) if count > 1 else 0
        _advance(rules, state, group[rest[chosen]])
        count -= 1
        for place in range(chosen, count):
            rest[place] = rest[place + 1]
    return True


@jit
def _next(rules: Any, group: Any, rest: Any, fitting: Any, count: int, state: Any, trial: Any) -> int:
    """Return the place of the entry that is folded next: see ``machine.fold``."""
    found = 0
    own_before = False
    for place in range(count):
        facts = group[rest[place], ENTRY_FACTS]
        own = facts >> RANK_SHIFT & RANK_BITS == OWN_RANK
        if own and own_before:
            continue
        own_before = own_before or own
        row = _select(rules, state, group[rest[place]])
        stays = rules[row + DEST] == NOTHING
        if (stays and facts & TRIGGER_BITS == MESSAGE) or rules[row + FITS] == 0:
            continue
        if stays and found == 0:
            return place
        fitting[found] = place
        found += 1
    if found == 0:
        return 0
    first = group[rest[fitting[0]]]
    for number in range(1, found):
        other = group[rest[fitting[number]]]
        if _spoils(rules, state, trial, first, other) and not _spoils(rules, state, trial, other, first):
            return int(fitting[number])
    return int(fitting[0])


@jit
def _spoils(rules: Any, state: Any, trial: Any, first: Any, then: Any) -> bool:
    """Tell whether the second entry is a misfit once the first is folded."""
    for field in range(FIELDS):
        trial[field] = state[field]
    _advance(rules, trial, first)
    return bool(rules[_select(rules, trial, then) + FITS] == 0)


@jit
def _before(one: Any, other: Any) -> bool:
    """Tell which of two entries the search looks at first: ``machine.entry.place``."""
    a, b = one[ENTRY_FACTS], other[ENTRY_FACTS]
    rank, rank_b = a >> RANK_SHIFT & RANK_BITS, b >> RANK_SHIFT & RANK_BITS
    if rank != rank_b:
        return bool(rank < rank_b)
    if one[ENTRY_TIE] != other[ENTRY_TIE]:
        return bool(one[ENTRY_TIE] < other[ENTRY_TIE])
    if rank == OWN_RANK:
        return bool(one[ENTRY_POSITION] < other[ENTRY_POSITION])
    order = (a >> KIND_SHIFT & SAID_BITS) - (b >> KIND_SHIFT & SAID_BITS)
    if order == 0:
        order = (a >> CHANGE_SHIFT & CHANGE_BITS) - (b >> CHANGE_SHIFT & CHANGE_BITS)
    if order == 0:
        order = (a >> MENU_SHIFT & MENU_BITS) - (b >> MENU_SHIFT & MENU_BITS)
    if order == 0:
        order = _spelled(one[ENTRY_FROM], other[ENTRY_FROM])
    if order == 0:
        order = _spelled(one[ENTRY_TO], other[ENTRY_TO])
    if order == 0:
        order = (a >> AS_SHIFT & SAID_BITS) - (b >> AS_SHIFT & SAID_BITS)
    return bool(order < 0 or (order == 0 and one[ENTRY_POSITION] < other[ENTRY_POSITION]))


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
