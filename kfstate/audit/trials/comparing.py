"""The log's conversations held against something else: the projections, another machine; the first entry that differs.

Each is a :class:`~kfstate.audit.trials.spreading.Job`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import attrs
from sqlalchemy import Connection, Table

from kfstate.audit.trials.changes import FoldedAs, Names, folded_as, seen
from kfstate.audit.trials.places import Divergence, Whose, names_of, whose
from kfstate.audit.trials.replaying import machine_of
from kfstate.audit.trials.retelling import Told, entries_of, tell
from kfstate.audit.trials.spreading import Part
from kfstate.machine.fold import Step
from kfstate.machine.state import pack
from kfstate.projections import builds
from kfstate.projections.sessions import pack_segment, pack_session
from kfstate.projections.steps import StepRow, step_row
from kfstate.projections.tables import kf_conversation, kf_segment, kf_session, kf_step
from kfstate.queries.views import at_second
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import query, query_in

__all__ = ["Drift", "Machines", "outside", "row_as", "stored_steps"]

_STEPS = (
    "SELECT e.stream, s.* FROM kf_entry e JOIN kf_step s ON s.position = e.position "
    "WHERE s.known_from <= ? AND e.stream IN (??) ORDER BY s.known_from"
)
_STRAY = (
    "SELECT COUNT(*), MIN({0}) FROM {1} LEFT JOIN kf_stream s ON s.id = {2} AND s.kind = 'conversation' "
    "WHERE s.id IS NULL"
)
_STRAYS = {
    "kf_step": _STRAY.format("r.position", "kf_step r LEFT JOIN kf_entry e ON e.position = r.position", "e.stream")
    + " AND (e.position IS NOT NULL OR r.position > (SELECT COALESCE(MAX(position), 0) FROM kf_archive_mark))",
    "kf_conversation": _STRAY.format("NULL", "kf_conversation r", "r.stream"),
    "kf_session": _STRAY.format("NULL", "kf_session r", "r.stream"),
    "kf_segment": _STRAY.format("NULL", "kf_segment r", "r.stream"),
}
"""Table → how many of its rows belong to no conversation, and where the first one stands."""
Fields = dict[str, tuple[Any, Any]]
_STATE = 3
"""Columns of ``kf_conversation`` before the folded state; those of the reject switch are after it."""


@attrs.frozen
class Machines:
    """Tell conversations by two machines, and find the first entry that they fold otherwise."""

    before: str
    after: str
    until: int

    def run(self, conn: Connection, streams: Sequence[int]) -> Part:
        """Compare these conversations."""
        part, other = Part(), {}
        for stream, entries in entries_of(conn, streams, self.until).items():
            if entries:
                part.conversations += 1
                part.entries += len(entries)
                was, now = tell(entries, machine_of(self.before)), tell(entries, machine_of(self.after))
                if (pair := _first(was, now)) is not None:
                    other[stream] = (was, now, *pair)
        names = names_of(conn, [told for was, now, *_ in other.values() for told in (was, now)])
        owners = whose(conn, other)
        for stream, (_, _, step, against) in other.items():
            before, after = folded_as(step, names), folded_as(against, names)
            part.apart.append(_apart(owners[stream], "step", step, before=before, after=after))
        return part


def _first(was: Told, now: Told) -> tuple[Step, Step] | None:
    other = {step.entry.position: step for step in now.steps}
    pairs = ((step, other[step.entry.position]) for step in was.steps)
    return next(((step, against) for step, against in pairs if seen(was, step) != seen(now, against)), None)


@attrs.frozen
class Drift:
    """Fold conversations again, and find the first row of a build of the projections that says otherwise.

    ``before`` is what the rows say, ``after`` what the fold does. Each part is one snapshot: writes go on.
    """

    machine: str
    version: int
    """Of the build."""

    def run(self, conn: Connection, streams: Sequence[int]) -> Part:
        """Compare these conversations."""
        part = Part()
        until = next((one.position for one in builds.builds(conn, builds.NAME) if one.version == self.version), 0)
        with builds.of_build(conn, self.version):
            rows = stored_steps(conn, streams, until)
            tables = [
                (what, _rows(conn, table, streams))
                for what, table in (("conversation", kf_conversation), ("session", kf_session), ("segment", kf_segment))
            ]
        told = {}
        for stream, entries in entries_of(conn, streams, until).items():
            if entries:
                part.conversations += 1
                part.entries += len(entries)
                told[stream] = tell(entries, machine_of(self.machine), stream=stream)
        names, owners = names_of(conn, told.values()), whose(conn, told)
        for stream, one in told.items():
            found = _step_apart(one, rows.get(stream, {}), owners[stream], names)
            found = found or _row_apart(one, {what: held.get(stream, []) for what, held in tables}, owners[stream])
            part.apart += [found] if found else []
        return part


def outside(conn: Connection, version: int) -> list[Divergence]:
    """Return a divergence for each table of a build that has rows of what is no conversation."""
    found = []
    with builds.of_build(conn, version):
        for table, sql in _STRAYS.items():
            ((count, position),) = query(conn, sql)
            if count:
                fields = {f"rows of {table}": (count, 0)}
                found.append(Divergence("", None, "outside", position, None, None, None, None, fields, stream=""))
    return found


def stored_steps(conn: Connection, streams: Sequence[int], until: int) -> dict[int, dict[int, StepRow]]:
    """Return stream → position → the current row of its step, as known at a position."""
    found: dict[int, dict[int, StepRow]] = {}
    for stream, *row in query_in(conn, _STEPS, streams, until):
        found.setdefault(stream, {})[row[0]] = tuple(row)
    return found


def _rows(conn: Connection, table: Table, streams: Sequence[int]) -> dict[int, list[tuple[Any, ...]]]:
    key = ", ".join(column.name for column in table.primary_key)
    sql = f"SELECT * FROM {table.name} WHERE stream IN (??) ORDER BY {key}"
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row in query_in(conn, sql, streams):
        found.setdefault(row[0], []).append(row)
    return found


def _step_apart(told: Told, rows: Mapping[int, StepRow], owner: Whose, names: Names) -> Divergence | None:
    left = set(rows)
    for _, group in groupby(told.steps, key=lambda step: step.entry.sort_second):
        for place, step in enumerate(group):
            wanted, row = step_row(step, place, 0), rows.get(step.entry.position)
            left.discard(step.entry.position)
            if row is None:
                return _apart(owner, "missing", step, before=None, after=folded_as(step, names))
            if row[2:] != wanted[2:]:
                before, after = row_as(row, names), folded_as(step, names)
                fields = _different(kf_step.columns.keys()[2:], row[2:], wanted[2:])
                return _apart(owner, "step", step, before=before, after=after, fields=fields)
    if left:
        position = min(left)
        row = rows[position]
        return Divergence(*owner, "extra", position, None, None, row_as(row, names), None)
    return None


def _row_apart(told: Told, rows: Mapping[str, list[tuple[Any, ...]]], owner: Whose) -> Divergence | None:
    state = pack(told.state)
    (held,) = rows["conversation"] or [()]
    names = kf_conversation.columns.keys()[_STATE : _STATE + len(state)]
    checks = [("conversation", names, [tuple(held[_STATE : _STATE + len(state)])], [state])]
    for what, table, packed in (
        ("session", kf_session, sorted(pack_session(one) for one in told.sessions)),
        ("segment", kf_segment, sorted(pack_segment(one) for one in told.segments)),
    ):
        checks.append((what, table.columns.keys(), rows[what], packed))
    for what, columns, stored, wanted in checks:
        for row, other in _pairs(stored, wanted):
            if _plain(row) != _plain(other):
                return Divergence(*owner, what, None, None, None, None, None, _different(columns, row, other))
    return None


def _pairs(stored: Sequence[Any], wanted: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    for at in range(max(len(stored), len(wanted))):
        yield (stored[at] if at < len(stored) else ()), (wanted[at] if at < len(wanted) else ())


def _plain(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(value.hex() if isinstance(value, bytes) else value for value in row)


def _different(columns: Sequence[str], row: Sequence[Any], wanted: Sequence[Any]) -> Fields:
    here, there = (_plain(one) or (None,) * len(columns) for one in (row, wanted))
    return {name: (a, b) for name, a, b in zip(columns, here, there, strict=True) if a != b}


def row_as(row: StepRow, names: Names) -> FoldedAs:
    """Return a row of ``kf_step`` as people see a step."""
    _, _, _, transition, outcome, before, after, _, servicer, session, evidence, doubt, _, expired_at = row
    return FoldedAs(
        transition=transition,
        outcome=outcome,
        before=KfServiceState.word_of(before),
        after=KfServiceState.word_of(after),
        servicer_userid=names.get(servicer),
        session=session,
        evidence=evidence,
        doubt=doubt,
        expired_at=at_second(expired_at),
        says=None,
    )


def _apart(
    owner: Whose,
    what: str,
    step: Step,
    *,
    before: FoldedAs | None,
    after: FoldedAs | None,
    fields: Fields | None = None,
) -> Divergence:
    entry = step.entry
    at, kind = at_second(entry.sort_second), entry.as_kind or entry.kind
    return Divergence(*owner, what, entry.position, at, kind, before, after, fields or {})
