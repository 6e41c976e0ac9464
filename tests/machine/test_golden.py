"""Golden histories: what each row of the table, and each misfit, does to a whole history."""

import pytest

from kfstate.machine import MACHINE, fold
from tests.machine.golden import History, histories, rendered

__all__: list[str] = []

HISTORIES = list(histories())
NEVER_TAKEN = {"expired.again"}
"""No entry raises `expiry` in a conversation that has ended; the row keeps the table whole."""


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.title)
def test_history(history: History) -> None:
    """Every entry of the history gives the step that stands beside it, in the order that the history tells."""
    steps = fold(history.entries)
    by_position = {step.entry.position: rendered(step) for step in steps}
    assert list(history.steps) == [by_position[entry.position] for entry in history.entries]
    assert history.order == tuple(step.entry.position for step in steps)


def test_every_row_has_a_history() -> None:
    """Each row of the table is taken in some golden history."""
    steps = [step for history in HISTORIES for step in fold(history.entries)]
    taken = {step.row.name for step in steps} | {"expired" for step in steps if step.expired_at is not None}
    assert [] == [name for name in MACHINE.rows if name not in taken | NEVER_TAKEN]


def test_every_misfit_has_a_history() -> None:
    """Each (row, state) in which an entry does not fit is met in some golden history."""
    steps = [step for history in HISTORIES for step in fold(history.entries)]
    met = {(step.row.name, step.before) for step in steps if step.outcome == "repaired"}
    misfits = {
        (row.name, int(state)) for row in MACHINE.rows.values() if row.outcome == "repaired" for state in row.sources
    }
    assert set() == misfits - met


def test_every_step_but_a_plain_one_says_why() -> None:
    """Every outcome but a plain `moved` or `stayed` carries a reason with the values looked at."""
    for step in (step for history in HISTORIES for step in fold(history.entries)):
        plain = step.outcome in {"moved", "stayed"} and step.row.effect is None and step.row.doubt is None
        assert plain == (step.reason is None)
        assert "{" not in step.says
