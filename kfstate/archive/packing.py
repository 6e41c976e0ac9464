"""From the Arrow columns of entries to the numbers that the columnar fold reads."""

from functools import lru_cache
from typing import Any

from kfstate.archive.arrow import np, pa, pc
from kfstate.archive.bits import (
    AS_SHIFT,
    CHANGE_SHIFT,
    CLICKED,
    COUNTS_SHIFT,
    CUSTOMER,
    KIND_SHIFT,
    MENU_SHIFT,
    ODD,
    PLAIN_FACTS,
    RANK_SHIFT,
    REDECODES,
    TRIGGER_BITS,
    VOIDS,
    WINDOW,
)
from kfstate.archive.compiling import jit
from kfstate.archive.rules import NONE, TRIGGER_NUMBERS, Ints
from kfstate.machine.entry import Entry, place, trigger_of
from kfstate.machine.kinds import KINDS

__all__ = ["columns_of"]

_KINDS = {kind: number for number, kind in enumerate(sorted(KINDS), start=1)}
_FAMILIES = {
    "session_status_change": 1,
    "state_changed": 2,
    "state_reading": 3,
    "correction": 4,
    "state_change_refused": 5,
    "message_refused": 5,
    "message_sent": 6,
}
FAMILY_SHIFT, FAMILY_BITS = 60, 7
"""Which column decides the trigger; only while the bits are put together."""
FAMILY = FAMILY_BITS << FAMILY_SHIFT
CORRECTION, REDECODED = 1 << 14, 1 << 15
"""The kind, whatever it is folded as; VOIDS and REDECODES are less than that."""
_ERRCODES = (0, 95001, 95002, 95013, 95014, 95016, 95018, 95019)
REPEATED = TRIGGER_NUMBERS["repeated"]


def columns_of(table: Any) -> tuple[Ints, ...]:
    """Return stream, second, position, tie, servicer_from, servicer_to, target and facts of entries, as numbers."""
    column = {name: _one(table.column(name)) for name in Entry._fields}
    facts = _facts_of(column["kind"], column["as_kind"])
    wide = tuple(_plain(column[name]) for name in _WIDE)
    small = tuple(_plain(column[name]) for name in _SMALL)
    _pack(facts, small, _on_event(column["via"]), wide, _triggers())
    return (*wide, facts)


_WIDE = ("stream", "sort_second", "position", "tie", "servicer_from", "servicer_to", "target")
_SMALL = ("change_type", "service_state", "errcode", "menu_click", "counts", "again")


def _one(column: Any) -> Any:
    """Return a column in one piece, text of it dictionary-encoded."""
    if pa.types.is_string(column.type):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _plain(array: Any) -> Ints:
    """Return a column of numbers, NONE where it is null."""
    if array.null_count == len(array):
        return np.full(len(array), NONE, np.int64)
    wide = array if array.type == pa.int64() else array.cast(pa.int64())
    found: Ints = (pc.fill_null(wide, NONE) if wide.null_count else wide).to_numpy()
    return found


def _facts_of(kinds: Any, as_kinds: Any) -> Ints:
    """Return the facts of entries as far as their kinds tell them."""
    words = kinds.dictionary.to_pylist()
    facts: Ints = np.array([_of(word, None) for word in words] or [0], np.int64)[kinds.indices.to_numpy()]
    if as_kinds.null_count < len(as_kinds):
        for row in np.flatnonzero(as_kinds.is_valid().to_numpy(zero_copy_only=False)):
            facts[row] = _of(kinds[row].as_py(), as_kinds[row].as_py())
    return facts


@lru_cache(maxsize=4096)
def _of(kind: str, as_kind: str | None) -> int:
    """Return the facts of an entry of which only the kinds are known."""
    entry = Entry(kind=kind, as_kind=as_kind)
    taken = as_kind or kind
    known = kind in _KINDS and (not as_kind or as_kind in _KINDS)
    return (
        PLAIN_FACTS
        | TRIGGER_NUMBERS[trigger_of(entry)]
        | int(place(entry)[0]) << RANK_SHIFT
        | _KINDS.get(kind, 0) << KIND_SHIFT
        | _KINDS.get(as_kind or "", 0) << AS_SHIFT
        | _FAMILIES.get(taken, 0) << FAMILY_SHIFT
        | (CUSTOMER if (kind if as_kind is None else as_kind) == "customer_message" else 0)
        | (CORRECTION if kind == "correction" else REDECODED if kind == "redecoded" else 0)
        | (0 if known else ODD)
    )


def _on_event(via: Any) -> Any:
    """Return where ``via`` is ``send_msg_on_event``; one False where it is nowhere."""
    words = via.dictionary.to_pylist()
    if "send_msg_on_event" not in words:
        return np.zeros(1, np.bool_)
    matches = np.array([*(word == "send_msg_on_event" for word in words), False], np.bool_)
    indices = pc.fill_null(via.indices, len(words)) if via.null_count else via.indices
    return matches[indices.to_numpy()]


@lru_cache(maxsize=1)
def _triggers() -> Ints:
    """Return the triggers of each family: by number, the last for any other number."""
    names = (
        [],
        ["session_status_change/?", *(f"session_status_change/{number}" for number in (1, 2, 3, 4))],
        [*(f"state_changed/{number}" for number in range(5)), "state_changed/?"],
        [*(f"state_reading/{number}" for number in range(5)), "state_reading/?"],
        [*(f"correction/{number}" for number in range(5)), "correction/void"],
        ["refusal/other", *(f"refusal/{number}" for number in _ERRCODES[1:])],
        ["message_sent/send_msg", "message_sent/send_msg_on_event"],
    )
    found: Ints = np.zeros((len(names), 8), np.int64)
    for family, triggers in enumerate(names):
        found[family, : len(triggers)] = [TRIGGER_NUMBERS[trigger] for trigger in triggers]
    return found


@jit
def _pack(facts: Any, small: Any, on_event: Any, wide: Any, triggers: Any) -> None:
    """Complete the facts, in place."""
    change, state, errcode, menu, counts, again = small
    left, to, target = wide[4], wide[5], wide[6]
    for row in range(facts.size):
        found = facts[row]
        family = found >> FAMILY_SHIFT & FAMILY_BITS
        if family != 0:
            number = 0
            if family == 1:
                number = change[row] if 1 <= change[row] <= 4 else 0
            elif family <= 4:
                number = state[row] if 0 <= state[row] <= 4 else 5
            elif family == 5:
                for at in range(1, len(_ERRCODES)):
                    if errcode[row] == _ERRCODES[at]:
                        number = at
            elif on_event.size > 1:
                number = 1 if on_event[row] else 0
            found = found & ~FAMILY & ~TRIGGER_BITS | triggers[family, number]
        if again[row] == 1:
            found = found & ~TRIGGER_BITS | REPEATED
        if found & CORRECTION and (target[row] == NONE or state[row] != NONE):
            found &= ~VOIDS
        if found & REDECODED and target[row] == NONE:
            found &= ~REDECODES
        if errcode[row] == 95001 or errcode[row] == 95002:
            found |= WINDOW
        if menu[row] != NONE:
            found |= (CLICKED if menu[row] != 0 else 0) | (menu[row] + 1 & 3) << MENU_SHIFT
            if menu[row] != 0 and menu[row] != 1:
                found |= ODD
        if change[row] != NONE:
            found |= (change[row] + 1 & 15) << CHANGE_SHIFT
            if change[row] < 0 or change[row] > 9:
                found |= ODD
        if counts[row] != NONE:
            found += counts[row] << COUNTS_SHIFT
        if (left[row] < 0 and left[row] != NONE) or (to[row] < 0 and to[row] != NONE):
            found |= ODD
        facts[row] = found
