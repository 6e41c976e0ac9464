"""``kf_step``: what folding each entry did. Insert-only; the greatest ``known_from`` of a position is current."""

from typing import Any

from sqlalchemy import Connection

from kfstate.machine.fold import Step
from kfstate.store.dialect import query

__all__ = ["StepRow", "current", "step_row"]

StepRow = tuple[Any, ...]
"""The values of one row, in the order of the table's columns."""


def step_row(step: Step, place: int, known_from: int) -> StepRow:
    """Return a step as a row; ``place`` is where it was folded inside its second."""
    row, folded = step.row, step.folded
    return (
        step.entry.position,
        known_from,
        place,
        row.name,
        row.outcome,
        step.before,
        folded[0],
        step.servicer_before,
        folded[1],
        folded[3],
        folded[12],
        folded[13],
        ",".join(map(str, step.missing)) if step.missing else "",
        step.expired_at,
    )


def current(conn: Connection, stream: int, second: int, position: int) -> dict[int, StepRow]:
    """Return position → current row of a stream's steps from this second on, as known at ``position``."""
    rows = query(
        conn,
        "SELECT s.* FROM kf_entry e JOIN kf_step s ON s.position = e.position "
        "WHERE e.stream = ? AND e.sort_second >= ? AND e.position <= ? AND s.known_from <= ? ORDER BY s.known_from",
        (stream, second, position, position),
    )
    return {row[0]: row for row in rows}
