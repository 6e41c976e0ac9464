"""The fold, compiled: :func:`kfstate.machine.fold` over arrays of numbers, conversation after conversation.

The same decisions in the same order as ``machine.fold``, ``machine.guards`` and ``machine.effects``, which stay the one
definition: property tests hold the two equal for any history and any machine. Compiled by numba when first called, and
kept on the disk.
"""

from typing import Any

from kfstate.archive.columnar.bits import (
    CLICKED,
    COUNTS_BITS,
    COUNTS_SHIFT,
    COUNTS_ZERO,
    CUSTOMER,
    PLAIN_FACTS,
    TRIGGER_BITS,
    WINDOW,
)
from kfstate.archive.columnar.compiling import inlined, jit
from kfstate.archive.columnar.rules import CLOCKWORK, NONE, STATES, TRIGGER_NUMBERS
from kfstate.machine.spec import EFFECTS
from kfstate.machine.state import DOUBTS, EVIDENCE, OUTCOMES, STRONG, WEAK

__all__ = [
    "DEST",
    "DOUBT",
    "DOUBTFUL_FROM",
    "EXPIRES_AT",
    "FITS",
    "LAST_MESSAGE",
    "NOTHING",
    "NO_DOUBT",
    "OVER_48H",
    "PLAIN",
    "SECOND",
    "SENDS",
    "STATE",
    "advance",
    "candidates",
    "expire",
    "expiry",
    "reset",
    "select",
]

# Where a state, an array of numbers, has the fields of SessionState.
STATE, SERVICER, PREVIOUS, SESSION, SESSION_ID, OPENED_BY, REOPENS, OPENED, SINCE = range(9)
LAST_MESSAGE, QUEUED_SINCE, SENDS, PROVED, DOUBT, POSITION, DECIDED, DOUBTFUL_FROM, EXPIRES_AT = range(9, 18)
KEPT, KEPT_SERVICER, KEPT_PREVIOUS, KEPT_SINCE, SECOND = range(18, 23)

# Rules: the clockwork at the front, and the columns of a row.
EXPIRES_AFTER, BY_MESSAGE, DOUBTFUL_AFTER, STRAGGLER, SEND_LIMIT = range(5)
DEST, OUTCOME, EVIDENCE_, DOUBT_, OPENED_BY_, EFFECT, FITS, PLAIN = range(8)
FINISHED, MANUAL, QUEUE = 4, 3, 2
NOTHING = -1
MOVED, REPAIRED, REFUSED, IGNORED = (OUTCOMES.index(word) for word in ("moved", "repaired", "refused", "ignored"))
RESTORE, REOPEN, OPEN_AND_CLOSE, END = (
    EFFECTS.index(word) for word in ("restore", "reopen", "open_and_close", "end")
)  # fmt: skip
INITIAL, TIMER = EVIDENCE.index("initial"), EVIDENCE.index("timer")
WEAK_BITS = sum(1 << EVIDENCE.index(word) for word in WEAK)
STRONG_BITS = sum(1 << EVIDENCE.index(word) for word in STRONG)
NO_DOUBT, FIRST_SEEN, OVER_48H = (DOUBTS.index(word) for word in ("none", "first_seen", "over_48h"))
EXPIRY = TRIGGER_NUMBERS["expiry"] | PLAIN_FACTS


@inlined
def reset(state: Any) -> None:
    """Make it the state of a conversation of which nothing is known."""
    for field in range(state.size):
        state[field] = NONE
    state[STATE] = FINISHED
    state[SESSION] = state[SENDS] = state[SECOND] = 0
    state[PROVED], state[DOUBT] = INITIAL, FIRST_SEEN


@inlined
def candidates(rules: Any, facts: int, state: int) -> int:
    """Return where the rows stand that are tried for such an entry in a service_state, each behind its guard."""
    found: int = rules[CLOCKWORK + (facts & TRIGGER_BITS) * STATES + state]
    return found


@inlined
def select(rules: Any, state: Any, facts: int, second: int, left: int, to: int) -> int:
    """Return where the row is that takes an entry."""
    at = candidates(rules, facts, state[STATE])
    while not _holds(rules[at], rules, state, facts, second, left, to):
        at += 2
    found: int = rules[at + 1]
    return found


@inlined
def _holds(guard: int, rules: Any, state: Any, facts: int, second: int, left: int, to: int) -> bool:
    """Answer a guard, by its number in rules.py."""
    if guard == 0:
        return True
    if guard == 1:
        return (facts & CLICKED) != 0
    if guard == 2:
        return bool(state[SERVICER] == to)
    if guard == 3:
        return bool(state[SERVICER] == left)
    if guard == 4:
        return to == NONE or bool(state[SERVICER] == to)
    if guard == 5:
        return state[DECIDED] != NONE and bool(second - state[DECIDED] < rules[STRAGGLER])
    if guard == 6:
        return bool(state[PROVED] == INITIAL)
    if guard == 7:
        return state[PROVED] == INITIAL or bool(state[PROVED] == TIMER)
    return _presumed(guard, state[KEPT], state[KEPT_SERVICER], left, to)


@inlined
def _presumed(guard: int, kept: int, kept_servicer: int, left: int, to: int) -> bool:
    """Answer a guard about the session that a presumed expiry ended."""
    if guard == 8:
        return kept == MANUAL and (to == NONE or to == kept_servicer)
    if guard == 9:
        return kept == QUEUE or (kept == MANUAL and to == kept_servicer)
    if guard == 10:
        return kept == MANUAL and (kept_servicer == left or kept_servicer == to)
    if guard <= 13:
        return kept == guard - 11
    return 0 <= kept <= guard - 13


@inlined
def expire(rules: Any, state: Any) -> None:
    """Presume the end of the session; it is due."""
    due = state[EXPIRES_AT]
    advance(rules, state, select(rules, state, EXPIRY, due, NONE, NONE), EXPIRY, due, 0, NONE, NONE)


@jit
def advance(rules: Any, state: Any, row: int, facts: int, second: int, position: int, left: int, to: int) -> None:
    """Fold the entry that a row takes into the state, in place."""
    state[SECOND] = second
    before = state[STATE]
    outcome, effect = rules[row + OUTCOME], rules[row + EFFECT]
    if rules[row + PLAIN] == 0:
        if rules[row + DEST] != NOTHING:
            _move(rules, state, row, second, position, left, to)
        elif effect == OPEN_AND_CLOSE:
            _open(rules, state, row, second, position)
            _hand_on(state, left, NONE)
            state[SINCE] = second
            state[DOUBTFUL_FROM] = state[EXPIRES_AT] = NONE
        elif effect == END and WEAK_BITS >> state[PROVED] & 1:
            state[SINCE] = second
    counts = (facts >> COUNTS_SHIFT & COUNTS_BITS) - COUNTS_ZERO
    if facts & CUSTOMER and outcome != IGNORED:
        state[LAST_MESSAGE] = second
        state[SENDS] = 0
        state[EXPIRES_AT] = expiry(rules, state)
    elif counts != 0 and outcome != IGNORED:
        state[SENDS] = max(0, state[SENDS] + counts)
    if facts & WINDOW and outcome == REFUSED:
        state[SENDS] = max(state[SENDS], rules[SEND_LIMIT])
    if rules[row + EVIDENCE_] != NOTHING:
        _decide(rules, state, row, second, position, before)
    if rules[row + DOUBT_] != NOTHING:
        state[DOUBT] = rules[row + DOUBT_]
    elif state[DOUBT] == NO_DOUBT and state[DOUBTFUL_FROM] != NONE and second >= state[DOUBTFUL_FROM]:
        state[DOUBT] = OVER_48H


@inlined
def expiry(rules: Any, state: Any) -> int:
    """Return when the session is presumed to end."""
    if state[STATE] == FINISHED or state[OPENED] == NONE:
        return NONE
    anchor: int = state[OPENED]
    if rules[BY_MESSAGE] and state[LAST_MESSAGE] > anchor:
        anchor = state[LAST_MESSAGE]
    return anchor + int(rules[EXPIRES_AFTER])


@inlined
def _move(rules: Any, state: Any, row: int, second: int, position: int, left: int, to: int) -> None:
    if rules[row + EVIDENCE_] == TIMER:
        state[KEPT], state[KEPT_SERVICER] = state[STATE], state[SERVICER]
        state[KEPT_PREVIOUS], state[KEPT_SINCE] = state[PREVIOUS], state[SINCE]
    elif rules[row + EFFECT] == RESTORE:
        _restore(rules, state, second)
    before, after = state[STATE], rules[row + DEST]
    servicer = to if after == MANUAL else NONE
    if rules[row + EFFECT] == RESTORE and after == MANUAL and servicer == NONE:
        servicer = state[SERVICER]
    if after != before:
        state[SINCE] = second
        state[QUEUED_SINCE] = second if after == QUEUE else NONE
    _hand_on(state, left, servicer)
    state[STATE] = after
    if before == FINISHED and after != FINISHED:
        _open(rules, state, row, second, position)
        _forget(state)
    elif after == FINISHED:
        state[DOUBTFUL_FROM] = state[EXPIRES_AT] = NONE


@inlined
def _restore(rules: Any, state: Any, second: int) -> None:
    state[STATE] = FINISHED if state[KEPT] == NONE else state[KEPT]
    state[SERVICER] = state[KEPT_SERVICER]
    state[PREVIOUS], state[SINCE] = state[KEPT_PREVIOUS], state[KEPT_SINCE]
    state[QUEUED_SINCE] = state[SINCE] if state[KEPT] == QUEUE else NONE
    _forget(state)
    _anchor(rules, state, second)


@inlined
def _forget(state: Any) -> None:
    state[KEPT] = state[KEPT_SERVICER] = state[KEPT_PREVIOUS] = state[KEPT_SINCE] = NONE


@inlined
def _hand_on(state: Any, left: int, servicer: int) -> None:
    if left == NONE or left == servicer:
        left = state[SERVICER]
    if left != NONE and left != servicer:
        state[PREVIOUS] = left
    state[SERVICER] = servicer


@inlined
def _open(rules: Any, state: Any, row: int, second: int, position: int) -> None:
    state[REOPENS] = state[SESSION_ID] if rules[row + EFFECT] == REOPEN else NONE
    state[SESSION] += 1
    state[SESSION_ID] = position
    state[OPENED_BY] = rules[row + OPENED_BY_]
    _anchor(rules, state, second)


@inlined
def _anchor(rules: Any, state: Any, second: int) -> None:
    state[OPENED] = second
    state[DOUBTFUL_FROM] = second + rules[DOUBTFUL_AFTER]
    state[EXPIRES_AT] = expiry(rules, state)


@inlined
def _decide(rules: Any, state: Any, row: int, second: int, position: int, before: int) -> None:
    proved, outcome = rules[row + EVIDENCE_], rules[row + OUTCOME]
    if outcome == MOVED or outcome == REPAIRED or WEAK_BITS >> state[PROVED] & 1:
        state[PROVED] = proved
        state[DECIDED] = second
        if proved != TIMER:
            state[POSITION] = position
        if before == FINISHED and state[STATE] == FINISHED:
            _forget(state)
    if STRONG_BITS >> proved & 1:
        state[DOUBT] = NO_DOUBT
        if state[DOUBTFUL_FROM] != NONE and second >= state[DOUBTFUL_FROM]:
            state[DOUBTFUL_FROM] = second + rules[DOUBTFUL_AFTER]
