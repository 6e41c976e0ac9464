"""A definition that is not sound is refused before the first entry, and every problem is named."""

from collections.abc import Callable

import attrs
import pytest

from kfstate.errors import MachineError
from kfstate.machine import MACHINE, Clockwork, MachineSpec, Row, compiled, definition, fingerprint
from kfstate.machine.check import problems
from kfstate.machine.spec import ANY, OPEN
from kfstate.machine.table import SPEC
from kfstate.service_state import KfServiceState

__all__: list[str] = []

UNTREATED, ROBOT, QUEUE, MANUAL, FINISHED = ANY
FINGERPRINT = "eaca604258d7f8571b6e7b88622ff5da21d1eb2d6a1d065c8b78d5cacef9b18e"
"""Of the shipped machine. Changes only on purpose: with it, every projection is folded again."""


def with_row(wanted: str, /, **changes: object) -> MachineSpec:
    """Return the shipped machine with one row changed."""
    assert wanted in MACHINE.rows
    rows = tuple(attrs.evolve(row, **changes) if row.name == wanted else row for row in SPEC.rows)  # type: ignore[arg-type]
    return attrs.evolve(SPEC, rows=rows)


def without(unwanted: Callable[[Row], bool]) -> MachineSpec:
    """Return the shipped machine without some rows."""
    return attrs.evolve(SPEC, rows=tuple(row for row in SPEC.rows if not unwanted(row)))


def nowhere(row: Row) -> bool:
    """Tell whether a row leads WeCom's way into the pool."""
    return row.dest == QUEUE and row.outcome == "moved" and row.evidence != "correction"


def trapped() -> MachineSpec:
    """Return the shipped machine, with no way out of MANUAL but corrections and repairs."""
    rows = []
    for row in SPEC.rows:
        if row.outcome == "moved" and row.dest == FINISHED and MANUAL in row.sources and row.evidence != "correction":
            row = attrs.evolve(row, sources=tuple(state for state in row.sources if state != MANUAL))  # noqa: PLW2901
        if row.sources:
            rows.append(row)
    return attrs.evolve(SPEC, rows=tuple(rows))


BROKEN = [
    (with_row("customer.wrote", name="customer.opened"), "row customer.opened: the name is used twice"),
    (
        with_row("customer.wrote", trigger="customer_sings"),
        "row customer.wrote: no entry has the trigger 'customer_sings'",
    ),
    (with_row("customer.wrote", sources=(*OPEN, 5)), "row customer.wrote: 5 is no state"),
    (with_row("customer.opened", dest=7), "row customer.opened: 7 is no state"),
    (with_row("customer.wrote", sources=()), "row customer.wrote: it has no sources"),
    (with_row("customer.wrote", guard="moody"), "row customer.wrote: there is no guard 'moody'"),
    (with_row("customer.wrote", outcome="stood"), "row customer.wrote: 'stood' is no outcome"),
    (with_row("customer.opened", evidence="rumour"), "row customer.opened: 'rumour' is no evidence"),
    (with_row("customer.wrote", doubt="some"), "row customer.wrote: 'some' is no doubt"),
    (with_row("customer.opened", opened_by="wind"), "row customer.opened: 'wind' is no opened_by"),
    (with_row("customer.opened", effect="magic"), "row customer.opened: 'magic' is no effect"),
    (
        with_row("customer.wrote", says="{who} wrote"),
        "row customer.wrote: its sentence cannot be filled in ('who' is nothing that it may name)",
    ),
    (with_row("customer.opened", dest=None), "row customer.opened: moved needs a destination and evidence"),
    (
        with_row("ended.unexpectedly", evidence=None),
        "row ended.unexpectedly: repaired needs a destination and evidence",
    ),
    (
        with_row("customer.wrote", dest=ROBOT),
        "row customer.wrote: stayed moves nothing, so it has no destination",
    ),
    (with_row("ended", effect="restore"), "row ended: restore is for a conversation that is finished"),
    (without(lambda row: row.name == "customer.wrote"), "(robot, customer_message): not every such entry is handled"),
    (with_row("customer.opened", guard="serves"), "(finished, customer_message): not every such entry is handled"),
    (
        attrs.evolve(SPEC, rows=(*SPEC.rows, Row("late", "customer_message", (ROBOT,), "stayed", "too late"))),
        "row late: a row before it takes every entry that it would take",
    ),
    (
        with_row("handed_over", guard="serves"),
        "row handed_over: a row before it takes every entry that it would take",
    ),
    (without(nowhere), "queue: no entry leads there"),
    (trapped(), "manual: no way leads on to finished"),
    (with_row("expired", dest=UNTREATED), "row expired: expiry ends a session that is untreated, by evidence timer"),
    (with_row("expired", evidence="event"), "row expired: expiry ends a session that is manual, by evidence timer"),
    (
        attrs.evolve(SPEC, clockwork=Clockwork(expiry_anchor="birthday")),
        "clockwork: 'birthday' is no expiry_anchor",
    ),
    *(
        (attrs.evolve(SPEC, clockwork=Clockwork(**{name: 0})), f"clockwork: {name} must be greater than 0")  # type: ignore[arg-type]
        for name in ("expires_after", "doubtful_after", "straggler", "send_limit")
    ),
    (
        attrs.evolve(SPEC, api={pair: said for pair, said in SPEC.api.items() if pair != (ROBOT, QUEUE)}),
        "api: nothing is said of robot → queue",
    ),
    (
        attrs.evolve(SPEC, api={**SPEC.api, (ROBOT, QUEUE): "perhaps"}),
        "api: 'perhaps' is neither allowed, undocumented, nor an errcode",
    ),
]


@pytest.mark.parametrize(("spec", "problem"), BROKEN, ids=[problem for _, problem in BROKEN])
def test_problem(spec: MachineSpec, problem: str) -> None:
    """A machine with this fault is refused, and the fault is named."""
    assert problem in problems(spec)
    with pytest.raises(MachineError) as raised:
        compiled(spec)
    assert problem in raised.value.problems


def test_shipped_machine_is_sound() -> None:
    """The machine that ships has no problem."""
    assert () == problems(SPEC)


def test_fingerprint_is_known() -> None:
    """The fingerprint of the shipped machine changes only on purpose."""
    assert FINGERPRINT == MACHINE.fingerprint == fingerprint(SPEC)


@pytest.mark.parametrize(
    "changed",
    [
        attrs.evolve(SPEC, version="2"),
        attrs.evolve(SPEC, semantics=SPEC.semantics + 1),
        attrs.evolve(SPEC, clockwork=Clockwork(straggler=11)),
        attrs.evolve(SPEC, clockwork=Clockwork(expiry_anchor="opening")),
        attrs.evolve(SPEC, api={**SPEC.api, (ROBOT, QUEUE): "undocumented"}),
        attrs.evolve(SPEC, rows=SPEC.rows[::-1]),
        with_row("customer.opened", name="customer.began"),
        with_row("customer.opened", opened_by="unseen"),
        with_row("customer.opened", doubt="first_seen"),
        with_row("customer.wrote", sources=(UNTREATED,)),
        with_row("customer.opened", dest=ROBOT),
        with_row("ended", guard="serves"),
        with_row("ended", evidence="api"),
        with_row("ended", outcome="repaired"),
        with_row("reaccessed", effect=None),
    ],
)
def test_fingerprint_tells_machines_apart(changed: MachineSpec) -> None:
    """Whatever could fold otherwise has another fingerprint."""
    assert fingerprint(SPEC) != fingerprint(changed)


def test_fingerprint_is_of_what_folds() -> None:
    """A better sentence is the same machine."""
    assert fingerprint(SPEC) == fingerprint(with_row("customer.opened", says="a message opens a session"))


def test_definition_is_plain() -> None:
    """The definition is JSON data: every row once, every pair of the API once."""
    found = definition(SPEC)
    assert [row.name for row in SPEC.rows] == [row["name"] for row in found["rows"]]
    assert sorted([int(before), int(after)] for before in ANY for after in KfServiceState) == [
        pair[:2] for pair in found["api"]
    ]
    assert {"version", "semantics", "clockwork", "rows", "api"} == set(found)
