"""Strict validation of a machine's definition: everything that can be known before the first entry."""

from collections.abc import Iterator

from kfstate.machine.entry import CONSTRUCTED_TRIGGERS, triggers_of
from kfstate.machine.guards import GUARDS
from kfstate.machine.kinds import KINDS
from kfstate.machine.spec import ANY, MachineSpec, Row
from kfstate.machine.state import DOUBTS, EVIDENCE, OPENINGS, OUTCOMES

__all__ = ["TRIGGERS", "problems"]

TRIGGERS = tuple(sorted({trigger for kind in KINDS for trigger in triggers_of(kind)} | set(CONSTRUCTED_TRIGGERS)))
"""Every trigger that an entry, or the fold itself, can raise."""

_WORDS = {"outcome": OUTCOMES, "evidence": (*EVIDENCE, None), "doubt": (*DOUBTS, None), "opened_by": OPENINGS}


def problems(spec: MachineSpec) -> tuple[str, ...]:
    """Return a sentence for each thing that is not sound; an empty tuple when the machine is."""
    return (*_rows(spec), *_pairs(spec), *_reachability(spec), *_clockwork(spec), *_api(spec))


def _rows(spec: MachineSpec) -> Iterator[str]:
    names: set[str] = set()
    for row in spec.rows:
        if row.name in names:
            yield f"row {row.name}: the name is used twice"
        names.add(row.name)
        if row.trigger not in TRIGGERS:
            yield f"row {row.name}: no entry has the trigger {row.trigger!r}"
        for state in (*row.sources, *([] if row.dest is None else [row.dest])):
            if state not in ANY:
                yield f"row {row.name}: {state!r} is no state"
        if row.guard is not None and row.guard not in GUARDS:
            yield f"row {row.name}: there is no guard {row.guard!r}"
        for field, words in _WORDS.items():
            if (value := getattr(row, field)) not in words:
                yield f"row {row.name}: {value!r} is no {field}"
        if row.outcome in {"moved", "repaired"} and (row.dest is None or row.evidence is None):
            yield f"row {row.name}: {row.outcome} needs a destination and evidence"


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
    reached = {ANY[-1]}
    while True:
        further = {
            row.dest
            for row in spec.rows
            if row.dest is not None and row.outcome == "moved" and not reached.isdisjoint(row.sources)
        }
        if further <= reached:
            break
        reached |= further
    for state in ANY:
        if state not in reached:
            yield f"{state.word}: no entry leads there"


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
