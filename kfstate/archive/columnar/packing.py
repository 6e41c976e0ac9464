"""From the Arrow columns of shapes to the numbers that the columnar fold reads.

A shape is all that an entry says to the fold beside its stream, its time, its position and its tie.
"""

from functools import lru_cache
from typing import Any, TypeAlias

from kfstate.archive.arrow import np, pa
from kfstate.archive.columnar.bits import (
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
    SHAPE_FACTS,
    SHAPE_FROM,
    SHAPE_SIZE,
    SHAPE_TARGET,
    SHAPE_TO,
    TRIGGER_BITS,
    VOIDS,
    WINDOW,
)
from kfstate.archive.columnar.compiling import inlined, jit
from kfstate.archive.columnar.rules import NONE, TRIGGER_NUMBERS, Ints
from kfstate.machine.entry import Entry, place, trigger_of
from kfstate.machine.kinds import KINDS

__all__ = ["pack_shapes"]

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
CHANGES, STATES, REFUSALS = 1, 4, 5
"""Families: 2, 3 and 4 go by the service_state, 6 by ``via``."""
_ERRCODES = (0, 95001, 95002, 95013, 95014, 95016, 95018, 95019)
REPEATED = TRIGGER_NUMBERS["repeated"]


_Raw: TypeAlias = tuple[tuple[Ints, ...], ...]
"""64-bit columns, 32-bit columns, 16-bit columns, bitmaps of what is not null, and what the words stand for."""
_WIDE = ("servicer_from", "servicer_to", "errcode", "target")
_WORDS = ("kind", "via", "as_kind")
_MIDDLE = (*_WORDS, "change_type", "service_state")
_SHORT = ("menu_click", "counts", "again")
_NULLABLE = (*_WIDE, *_MIDDLE[1:], *_SHORT[:2])


def pack_shapes(table: Any) -> Ints:
    """Return shapes, with the columns of ``schema.SHAPED``, as one row of numbers each."""
    shapes: Ints = np.empty((table.num_rows, SHAPE_SIZE), np.int64)
    _pack(_raw_of(table), shapes)
    return shapes


def _raw_of(table: Any) -> _Raw:
    """Return the columns of shapes as arrays, without copying where they have the archive's types."""
    column = {name: _one(table.column(name)) for name in (*_WIDE, *_MIDDLE, *_SHORT)}
    column |= {name: column[name].indices for name in _WORDS}
    words = {name: _one(table.column(name)).dictionary.to_pylist() for name in _WORDS}
    base = [[_of(kind, None), *(_of(kind, as_kind) for as_kind in words["as_kind"])] for kind in words["kind"]]
    on_event = [[word == "send_msg_on_event" for word in words["via"]]]
    return (
        tuple(_values(column[name], pa.int64(), np.int64) for name in _WIDE),
        tuple(_values(column[name], pa.int32(), np.int32) for name in _MIDDLE),
        tuple(_values(column[name], pa.int16(), np.int16) for name in _SHORT),
        tuple(_bitmap(column[name]) for name in _NULLABLE),
        (np.array(base, np.int64), np.array(on_event, np.int64), _triggers()),
    )


def _one(column: Any) -> Any:
    """Return a column in one piece, text of it dictionary-encoded."""
    if pa.types.is_string(column.type):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _values(array: Any, type_: Any, dtype: Any) -> Any:
    """Return the values of a column; whatever stands there where it is null."""
    array = array if array.type == type_ else array.cast(type_)
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * np.dtype(dtype).itemsize)


def _bitmap(array: Any) -> Any:
    """Return the bits of what is not null; no bits where nothing is."""
    if array.null_count == 0:
        return np.frombuffer(b"", np.uint8)  # read-only like the others: one type, compiled once
    if array.offset % 8:
        return np.frombuffer(array.is_valid().buffers()[1], np.uint8)
    return np.frombuffer(array.buffers()[0], np.uint8)[array.offset // 8 :]


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
        | (VOIDS if kind == "correction" else REDECODES if kind == "redecoded" else 0)
        | (0 if known else ODD)
    )


@lru_cache(maxsize=1)
def _triggers() -> Ints:
    """Return the triggers of each family: by number, the last for any other number."""
    names: tuple[list[str], ...] = (
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
def _pack(raw: Any, shapes: Any) -> None:
    left, to, errcode, target = raw[0]
    kind, via, as_kind, change, state = raw[1]
    menu, counts, again = raw[2]
    has_left, has_to, has_errcode, has_target, has_via, has_as, has_change, has_state, has_menu, has_counts = raw[3]
    base, on_event, triggers = raw[4]
    for row in range(len(shapes)):
        facts = base[kind[row], as_kind[row] + 1 if _has(has_as, row) else 0]
        code = errcode[row] if _has(has_errcode, row) else 0
        changed = change[row] if _has(has_change, row) else NONE
        set_to = state[row] if _has(has_state, row) else NONE
        aimed = target[row] if _has(has_target, row) else NONE
        family = facts >> FAMILY_SHIFT & FAMILY_BITS
        if family != 0:
            number = 0
            if family == CHANGES:
                number = changed if 1 <= changed <= 4 else 0
            elif family <= STATES:
                number = set_to if 0 <= set_to <= 4 else 5
            elif family == REFUSALS:
                number = _refusal(code)
            elif _has(has_via, row):
                number = on_event[0, via[row]]
            facts = facts & ~FAMILY & ~TRIGGER_BITS | triggers[family, number]
        if again[row] == 1:
            facts = facts & ~TRIGGER_BITS | REPEATED
        if facts & VOIDS and (aimed == NONE or set_to != NONE):
            facts &= ~VOIDS
        if facts & REDECODES and aimed == NONE:
            facts &= ~REDECODES
        if code == 95001 or code == 95002:
            facts |= WINDOW
        if _has(has_menu, row):
            facts |= CLICKED if menu[row] != 0 else 0
            facts |= (menu[row] + 1) << MENU_SHIFT if 0 <= menu[row] <= 1 else ODD
        if changed != NONE:
            facts |= (changed + 1) << CHANGE_SHIFT if 0 <= changed <= 9 else ODD
        if _has(has_counts, row):
            facts += np.int64(counts[row]) << COUNTS_SHIFT
        came_from = left[row] if _has(has_left, row) else NONE
        goes_to = to[row] if _has(has_to, row) else NONE
        if NONE < came_from < 0 or NONE < goes_to < 0:
            facts |= ODD
        shapes[row, SHAPE_FACTS] = facts
        shapes[row, SHAPE_FROM] = came_from
        shapes[row, SHAPE_TO] = goes_to
        shapes[row, SHAPE_TARGET] = aimed


@inlined
def _has(bitmap: Any, row: int) -> bool:
    return bitmap.size == 0 or bool(bitmap[row >> 3] >> (row & 7) & 1)


@inlined
def _refusal(code: int) -> int:
    for at in range(1, len(_ERRCODES)):
        if code == _ERRCODES[at]:
            return at
    return 0
