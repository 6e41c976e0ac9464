"""How a conversation came to its state: its steps, the deciding entry, and the log itself."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from kfstate.machine import MACHINE, Entry, Row, SessionState, Step
from kfstate.machine.state import WEAK, pack
from kfstate.queries.entries import entry_views
from kfstate.queries.views import Explanation, StepView, Transition, at_second, at_time
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import query
from kfstate.store.read import names_by_id, rows_at

__all__ = ["STEPS", "explain", "history", "step_views"]

STEPS = (
    "SELECT e.position, e.kind, e.sort_second, e.occurred_at, e.recorded_at, e.servicer_from, e.servicer_to, "
    "e.errcode, e.as_kind, s.transition, s.outcome, s.before_state, s.after_state, s.servicer_before, "
    "s.servicer_after, s.session, s.evidence, s.doubt, s.missing, s.expired_at, s.known_from, e.stream "
    "FROM kf_entry e JOIN kf_step s ON s.position = e.position "
)
"""What :func:`step_views` makes views of; the caller adds which rows."""
_STEPS = STEPS + (
    "AND s.known_from = (SELECT MAX(x.known_from) FROM kf_step x WHERE x.position = e.position AND x.known_from <= ?) "
    "WHERE {} ORDER BY e.sort_second, s.place"
)
_NO_END = (1 << 63) - 1
_FINISHED = KfServiceState.FINISHED
_MOVING = frozenset({"moved", "repaired"})


def history(conn: Connection, stream: int, *, now: int | None = None, known_at: int = _NO_END) -> list[StepView]:
    """Return the steps of a conversation in the order of the fold, presumed expiries between them.

    ``now`` (seconds) adds an expiry that is due and that no entry has met yet; None: as of the last entry.
    ``known_at`` is the position up to which the log was known; by default all of it.
    """
    rows = query(conn, _STEPS.format("e.stream = ?"), (known_at, stream))
    names = _names(conn, (name for row in rows for name in (*row[5:7], *row[13:15])))
    views: list[StepView] = []
    evidence, decided = "initial", 0
    for row in rows:
        if row[19] is not None:
            views.append(_expiry(row[19], views[-1] if views else None))
            evidence, decided = "timer", row[19]
        views.append(_step(row, names, decided))
        taken = MACHINE.rows.get(row[9])
        if taken is not None and taken.evidence and (row[10] in _MOVING or evidence in WEAK):
            decided = row[2]
        evidence = row[16]
    due = query(conn, "SELECT expires_at FROM kf_conversation WHERE stream = ? AND expires_at <= ?", (stream, now))
    return [*views, *(_expiry(second, views[-1]) for (second,) in due)]


def explain(conn: Connection, position: int | None, doubt: str, *, expired: bool) -> Explanation:
    """Return the deciding entry of a conversation, and what it did.

    ``expired``: the state is a presumed expiry, which no entry decided; then the entry is the one that decided before.
    """
    if position is None:
        return Explanation(None, None, (), "no entry has decided the state yet", doubt)
    (entry,) = entry_views(conn, rows_at(conn, [position]).values())
    (row,) = query(conn, _STEPS.format("e.position = ?"), (_NO_END, position))
    step = _restored(row, _names(conn, (*row[5:7], *row[13:15])), row[2])
    reason = step.says
    taken = step.row
    if expired:
        taken = MACHINE.rows["expired"]
        reason = f"{taken.says}; before that: {reason}"
    transition = Transition(
        taken.name,
        taken.trigger,
        KfServiceState(row[12] if expired else row[11]).word,
        _FINISHED.word if expired else KfServiceState(row[12]).word,
        taken.guard,
        taken.outcome,
    )
    missing = () if expired else tuple(KfServiceState(state).word for state in step.missing)
    return Explanation(entry, transition, missing, reason, doubt)


def _names(conn: Connection, ids: Iterable[int | None]) -> dict[int | None, str | None]:
    return dict(names_by_id(conn, {id_ for id_ in ids if id_}).items())


def step_views(conn: Connection, rows: Iterable[tuple[Any, ...]]) -> dict[tuple[int, int], tuple[StepView, ...]]:
    """Return (position, known_from) → what that step did, as it was known then: after the expiry that it met, if any.

    ``rows`` are those of :data:`STEPS`.
    """
    rows = list(rows)
    names = _names(conn, (name for row in rows for name in (*row[5:7], *row[13:15])))
    views: dict[tuple[int, int], tuple[StepView, ...]] = {}
    told: dict[tuple[int, int], list[StepView]] = {}
    for row in rows:
        position, known_from, stream = row[0], row[20], row[21]
        if not _leans_on_earlier(row):
            views[position, known_from] = (_step(row, names, row[2]),)
            continue
        if (stream, known_from) not in told:
            told[stream, known_from] = history(conn, stream, known_at=known_from)
        story = told[stream, known_from]
        at = next(at for at, view in enumerate(story) if view.position == position)
        views[position, known_from] = tuple(story[at - (row[19] is not None) : at + 1])
    return views


def _leans_on_earlier(row: tuple[Any, ...]) -> bool:
    """Tell whether what a step says depends on the steps before: an expiry that it met, or the age of a decision."""
    taken = MACHINE.rows.get(row[9])
    return row[19] is not None or (taken is not None and "{age}" in taken.says)


def _restored(row: tuple[Any, ...], names: dict[int | None, str | None], decided: int) -> Step:
    """Rebuild the step, with names in place of ids, so that its sentence can be said.

    ``decided`` is the second of the entry that decided the state before it.
    """
    entry = Entry(
        position=row[0],
        kind=row[1],
        sort_second=row[2],
        servicer_from=names.get(row[5]),
        servicer_to=names.get(row[6]),
        errcode=row[7],
        as_kind=row[8],
    )
    taken = MACHINE.rows.get(row[9]) or Row(row[9], row[1], (), row[10], "a row of another machine")
    missing = tuple(int(state) for state in row[18].split(",") if state)
    state = SessionState(row[12], names.get(row[14]), decided=decided)
    return Step(entry, taken, row[11], names.get(row[13]), pack(state), missing, row[19])


def _step(row: tuple[Any, ...], names: dict[int | None, str | None], decided: int) -> StepView:
    step = _restored(row, names, decided)
    reason = step.reason
    if step.missing and reason:
        reason += f" (not seen: {', '.join(KfServiceState(state).word for state in step.missing)})"
    return StepView(
        position=row[0],
        kind=row[1],
        occurred_at=at_time(row[3]),
        recorded_at=at_time(row[4]),
        outcome=row[10],
        before=KfServiceState(row[11]).word,
        after=KfServiceState(row[12]).word,
        servicer_before=names.get(row[13]),
        servicer_after=names.get(row[14]),
        session=row[15],
        reason=reason,
        evidence=row[16],
        doubt=row[17],
    )


def _expiry(second: int, before: StepView | None) -> StepView:
    return StepView(
        position=None,
        kind="expiry",
        occurred_at=at_second(second),
        recorded_at=None,
        outcome="moved",
        before=before.after if before else _FINISHED.word,
        after=_FINISHED.word,
        servicer_before=before.servicer_after if before else None,
        servicer_after=None,
        session=before.session if before else 0,
        reason=MACHINE.rows["expired"].says,
        evidence="timer",
        doubt="expiry_presumed",
    )
