"""Strict validation of a machine's definition: everything that can be known before the first entry."""

from collections.abc import Iterator, Mapping
from string import Formatter

from kfstate.machine.entry import CONSTRUCTED_TRIGGERS, triggers_of
from kfstate.machine.guards import GUARDS
from kfstate.machine.kinds import KINDS
from kfstate.machine.spec import ANY, EFFECTS, OPEN, MachineSpec, Row
from kfstate.machine.state import DOUBTS, EVIDENCE, OPENINGS, OUTCOMES

__all__ = ["TRIGGERS", "hops", "problems"]

TRIGGERS = tuple(sorted({trigger for kind in KINDS for trigger in triggers_of(kind)} | set(CONSTRUCTED_TRIGGERS)))
"""Every trigger that an entry, or the fold itself, can raise."""

_WORDS = {
    "outcome": OUTCOMES,
    "evidence": (*EVIDENCE, None),
    "doubt": (*DOUBTS, None),
    "opened_by": OPENINGS,
    "effect": (*EFFECTS, None),
}
_MOVING = frozenset({"moved", "repaired"})
_SAYS = frozenset({"before", "after", "servicer", "to", "from_", "errcode", "age"})
"""What a sentence may name: as it is, without format or attributes, which could be made to do anything."""
_ENDED = ANY[-1:]


def problems(spec: MachineSpec) -> tuple[str, ...]:
    """Return a sentence for each thing that is not sound; an empty tuple when the machine is."""
    return (*_rows(spec), *_pairs(spec), *_reachability(spec), *_expiry(spec), *_clockwork(spec), *_api(spec))


def hops(spec: MachineSpec) -> dict[int, set[int]]:
    """Return for each state those to which WeCom moves it: without corrections, and without what undoes an expiry."""
    found: dict[int, set[int]] = {int(state): set() for state in ANY}
    for row in spec.rows:
        if row.outcome == "moved" and row.effect != "restore" and row.dest is not None and row.evidence != "correction":
            for source in row.sources:
                found.setdefault(source, set()).add(int(row.dest))
    return found


def _rows(spec: MachineSpec) -> Iterator[str]:
    names: set[str] = set()
    for row in spec.rows:
        if row.name in names:
            yield f"row {row.name}: the name is used twice"
        names.add(row.name)
        yield from _words(row)
        yield from _movement(row)


def _words(row: Row) -> Iterator[str]:
    if row.trigger not in TRIGGERS:
        yield f"row {row.name}: no entry has the trigger {row.trigger!r}"
    if row.guard is not None and row.guard not in GUARDS:
        yield f"row {row.name}: there is no guard {row.guard!r}"
    for field, words in _WORDS.items():
        if (value := getattr(row, field)) not in words:
            yield f"row {row.name}: {value!r} is no {field}"
    try:
        parts = [part for part in Formatter().parse(row.says) if part[1] is not None]
    except ValueError as problem:
        yield f"row {row.name}: its sentence cannot be filled in ({problem!r})"
        return
    for _, named, form, conversion in parts:
        if named not in _SAYS or form or conversion:
            yield f"row {row.name}: its sentence cannot be filled in ({named!r} is nothing that it may name)"


def _movement(row: Row) -> Iterator[str]:
    unknown = [state for state in (*row.sources, row.dest) if state is not None and state not in ANY]
    yield from (f"row {row.name}: {state!r} is no state" for state in unknown)
    if not row.sources:
        yield f"row {row.name}: it has no sources"
    if row.outcome in _MOVING and (row.dest is None or row.evidence is None):
        yield f"row {row.name}: {row.outcome} needs a destination and evidence"
    if row.outcome not in _MOVING and row.dest is not None:
        yield f"row {row.name}: {row.outcome} moves nothing, so it has no destination"
    if row.effect in EFFECTS[:-1] and row.sources != _ENDED:
        yield f"row {row.name}: {row.effect} is for a conversation that is {_ENDED[0].word}"


def _pairs(spec: MachineSpec) -> Iterator[str]:
    for trigger in TRIGGERS:
        for state in ANY:
            rows = [row for row in spec.rows if row.trigger == trigger and state in row.sources]
            if not rows or rows[-1].guard is not None:
                yield f"({state.word}, {trigger}): not every such entry is handled"
            yield from _shadowed(rows)


def _shadowed(rows: list[Row]) -> Iterator[str]:
    seen: set[str | None] = set()
    for row in rows:
        if None in seen or row.guard in seen:
            yield f"row {row.name}: a row before it takes every entry that it would take"
        seen.add(row.guard)


def _reachability(spec: MachineSpec) -> Iterator[str]:
    onward = hops(spec)
    (ended,) = _ENDED
    reached = _reached(onward, ended)
    for state in ANY:
        if state not in reached:
            yield f"{state.word}: no entry leads there"
        elif ended not in _reached(onward, state):
            yield f"{state.word}: no way leads on to {ended.word}"


def _reached(onward: Mapping[int, set[int]], start: int) -> set[int]:
    reached: set[int] = set()
    further = {start}
    while further:
        reached |= further
        further = {dest for state in further for dest in onward.get(state, ())} - reached
    return reached


def _expiry(spec: MachineSpec) -> Iterator[str]:
    for state in OPEN:
        for row in spec.rows:
            if row.trigger == "expiry" and state in row.sources and (row.dest, row.evidence) != (_ENDED[0], "timer"):
                yield f"row {row.name}: expiry ends a session that is {state.word}, by evidence timer"


def _clockwork(spec: MachineSpec) -> Iterator[str]:
    if spec.clockwork.expiry_anchor not in {"last_customer_message", "opening"}:
        yield f"clockwork: {spec.clockwork.expiry_anchor!r} is no expiry_anchor"
    for name in ("expires_after", "doubtful_after", "straggler", "send_limit"):
        if getattr(spec.clockwork, name) <= 0:
            yield f"clockwork: {name} must be greater than 0"


def _api(spec: MachineSpec) -> Iterator[str]:
    for before in ANY:
        for after in ANY:
            verdict = spec.api.get((before, after))
            if verdict is None:
                yield f"api: nothing is said of {before.word} → {after.word}"
            elif verdict not in {"allowed", "undocumented"} and not verdict.isdecimal():
                yield f"api: {verdict!r} is neither allowed, undocumented, nor an errcode"
