"""Events: entries with what they did, as the commit that appended them left it."""

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kfstate.errors import StoreError
from kfstate.queries.entries import EntryView, entry_views
from kfstate.queries.history import STEPS, step_views
from kfstate.queries.views import StepView
from kfstate.store.dialect import query, query_in
from kfstate.store.read import rows_after
from kfstate.store.rows import EntryRow
from kfstate.store.upcasting import SHIPPED, Upcasters

__all__ = ["Event", "projected", "read_events"]

_REWRITING = frozenset({"correction", "redecoded"})
_OF_THEIR_COMMIT = f"{STEPS} WHERE s.position > ? AND s.position <= ? ORDER BY s.position, s.known_from"
_OF_A_COMMIT = f"{STEPS} WHERE e.stream = ? AND s.known_from = ? ORDER BY e.sort_second, s.place"

StepRow = tuple[Any, ...]


@attrs.frozen
class Event:
    """One entry for a handler, with what the commit that appended it did.

    These are the steps as of that commit, whatever later entries made of them.
    """

    entry: EntryView
    steps: tuple[StepView, ...] = ()
    """What folding the entry did: one step, after the expiry that it met first, if any. Entries without a conversation
    have none."""
    revised: tuple[StepView, ...] = ()
    """The steps of earlier entries of its conversation that its commit changed, because the entry came late, or
    corrects; with the first such entry of the commit."""
    connection: Connection | None = None
    """The open transaction, in which the checkpoint moves; None where the subscription is not transactional."""

    @property
    def position(self) -> int:
        """The position of the entry."""
        return self.entry.position


def projected(conn: Connection) -> int:
    """Return the position up to which the steps are there."""
    found = query(conn, "SELECT MAX(position) FROM kf_projection WHERE name = 'shipped' AND status = 'live'")
    return int(found[0][0] or 0)


def read_events(
    conn: Connection,
    after: int,
    limit: int,
    *,
    steps: bool = True,
    upcasters: Upcasters = SHIPPED,
    until: int | None = None,
) -> list[Event]:
    """Return the events of the entries after a position, in order; at most ``limit``.

    Events with steps end where the projections do: they never come without the steps that belong to them. An entry of
    which no event can be made has a ``problem``, and stops no other. ``until`` is what :func:`projected` says, where
    the caller has asked it in the same transaction.
    """
    if steps and until is None:
        until = projected(conn)
    rows = rows_after(conn, after, limit=limit, until=until if steps else None)
    if not rows:
        return []
    try:
        return _events(conn, rows, steps, upcasters)
    except Exception as error:
        if isinstance(error, SQLAlchemyError | StoreError):
            raise
        if len(rows) == 1:
            return [_poison(rows[0], error)]
    return [event for row in rows for event in read_events(conn, row.position - 1, 1, steps=steps, upcasters=upcasters)]


def _events(conn: Connection, rows: Sequence[EntryRow], steps: bool, upcasters: Upcasters) -> list[Event]:  # noqa: FBT001
    entries = entry_views(conn, rows, upcasters)
    if not steps:
        return [Event(entry) for entry in entries]
    own: dict[int, StepRow] = {}
    for row in query(conn, _OF_THEIR_COMMIT, (rows[0].position - 1, rows[-1].position)):
        own.setdefault(row[0], row)
    revised = _revised(conn, rows, {position: row[20] for position, row in own.items()})
    views = step_views(conn, [*own.values(), *(row for found in revised.values() for row in found)])
    return [
        Event(
            entry,
            steps=views[entry.position, own[entry.position][20]] if entry.position in own else (),
            revised=tuple(view for row in revised.get(entry.position, ()) for view in views[row[0], row[20]]),
        )
        for entry in entries
    ]


def _revised(conn: Connection, rows: Sequence[EntryRow], commits: dict[int, int]) -> dict[int, list[StepRow]]:
    """Return position → rows of the steps of earlier entries that the commit of that entry changed.

    ``commits`` is position → the last position of its commit, for entries that have steps.
    """
    latest = _latest(
        conn, {row.stream for row in rows if row.position in commits and row.version > 1}, rows[0].position
    )
    suspects: dict[tuple[int, int], int] = {}
    for row in rows:
        if row.position not in commits:
            continue
        before = latest.get(row.stream)
        latest[row.stream] = row.sort_second if before is None else max(before, row.sort_second)
        if before is not None and (row.sort_second <= before or row.kind in _REWRITING):
            suspects.setdefault((row.stream, commits[row.position]), row.recorded_at)
    there = {row.position for row in rows}
    found: dict[int, list[StepRow]] = {}
    for (stream, known_from), recorded_at in suspects.items():
        changed = [row for row in query(conn, _OF_A_COMMIT, (stream, known_from)) if row[4] != recorded_at]
        if changed and (first := _first_back(conn, stream, known_from, recorded_at)) in there:
            found[first] = changed
    return found


def _latest(conn: Connection, streams: Iterable[int], before: int) -> dict[int, int]:
    """Return stream → the latest second of its entries before a position."""
    sql = "SELECT stream, MAX(sort_second) FROM kf_entry WHERE position < ? AND stream IN (??) GROUP BY stream"
    return {row[0]: row[1] for row in query_in(conn, sql, sorted(streams), before)}


def _first_back(conn: Connection, stream: int, known_from: int, recorded_at: int) -> int:
    """Return the first entry of a commit that made the fold of its conversation go back."""
    sql = "SELECT position, sort_second, kind, recorded_at FROM kf_entry WHERE stream = ? AND position <= ?"
    entries = sorted(query(conn, sql, (stream, known_from)))
    before = max(second for _, second, _, at in entries if at < recorded_at)
    back = (
        position
        for position, second, kind, at in entries
        if at == recorded_at and (second <= before or kind in _REWRITING)
    )
    return int(next(back))


def _poison(row: EntryRow, error: Exception) -> Event:
    return Event(
        EntryView(
            position=row.position, kind=row.kind, stream="", open_kfid="", external_userid=None, servicer_userid=None,
            version=row.version, occurred=None, recorded=row.recorded_at, actor=row.actor, again=row.again,
            cause=row.cause, target=row.target, body=None, chain=row.chain.hex(),
            failed=f"{type(error).__name__}: {error}",
        )
    )  # fmt: skip
