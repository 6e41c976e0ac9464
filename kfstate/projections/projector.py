"""From entries to rows: folds each commit of the log onto the shipped projections.

The same code runs inside the append (inline), behind it (catch-up) and over the whole log (rebuild), so that the
tables are equal whichever way they were filled.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.machine.calm import calm
from kfstate.machine.compiled import MACHINE, Machine
from kfstate.machine.entry import Entry
from kfstate.machine.fold import Step, in_seconds, left_out
from kfstate.projections import conversations
from kfstate.projections.conversations import Conversation
from kfstate.projections.onto import fold_onto
from kfstate.projections.sessions import note_message
from kfstate.projections.side import SideTables
from kfstate.projections.steps import StepRow, current, step_row
from kfstate.projections.tables import kf_step
from kfstate.store.dialect import bulk_insert, in_one_go, query, query_in
from kfstate.store.rows import EntryRow, Stream

__all__ = ["Projected", "Projector"]

_FOLDED = len(Entry._fields)
_KIND, _SECOND, _TO = (Entry._fields.index(name) for name in ("kind", "sort_second", "servicer_to"))
_STEPS = 20_000
_REWRITING = frozenset({"correction", "redecoded"})
_PLAIN = frozenset({"moved", "stayed"})
_UNKNOWN = frozenset({"unknown_event", "unknown_message"})


@attrs.define
class Projected:
    """What folding a commit met."""

    late: set[int] = attrs.Factory(set)
    """Positions of entries that sort before what was folded already."""


class Projector:
    """Folds commits, in the order of the log, onto the tables behind one connection."""

    def __init__(self, conn: Connection, *, machine: Machine = MACHINE, hold: int = 50_000) -> None:
        """Write through ``conn``; keep at most about ``hold`` conversations in memory."""
        self._conn = conn
        self._machine = machine
        self._hold = hold
        self._held: dict[int, Conversation] = {}
        self._dirty: dict[int, Conversation] = {}
        self._steps: list[StepRow] = []
        self._side = SideTables(conn)
        self._looked_at = self._side.kinds
        self._calm = calm(machine)

    def join(self, conn: Connection) -> None:
        """Go on in another transaction. Nobody else may have written to these tables since :meth:`flush`."""
        self._conn = conn
        self._side.join(conn)

    def commit(
        self, rows: Sequence[EntryRow], streams: Mapping[int, Stream], *, known_from: int | None = None
    ) -> Projected:
        """Fold the entries of one commit, the last of which is at ``known_from``. ``streams`` has their streams."""
        met = Projected()
        grouped: dict[int, list[EntryRow]] = {}
        for row in rows:
            stream = streams[row.stream]
            if stream.kind == "conversation":
                grouped.setdefault(row.stream, []).append(row)
            elif row.kind in _UNKNOWN:
                self._side.anomaly(row, "unknown")
            if row.again:
                self._side.anomaly(row, "conflicting_msgid")
            if row.servicer_to is not None or row.servicer_from is not None:
                self._side.named(row, stream)
            if row.again != 1 and (row.as_kind or row.kind) in self._looked_at:
                self._side.take(row, stream)
        self._load(grouped, streams)
        known_from = rows[-1].position if known_from is None else known_from
        for number, group in grouped.items():
            self._fold(self._held[number], group, known_from, met)
        if len(self._held) > self._hold:
            self.flush()
            self._held.clear()
        elif len(self._steps) > _STEPS:
            bulk_insert(self._conn, kf_step, self._steps)
            self._steps.clear()
        return met

    def flush(self) -> None:
        """Write everything that is still in memory."""
        for held in self._dirty.values():
            self._side.serving(held.open_kfid, held.served, held.serving)
            held.served = held.serving
        with in_one_go(self._conn, len(self._steps)):
            bulk_insert(self._conn, kf_step, self._steps)
            conversations.write(self._conn, self._dirty.values())
        self._steps.clear()
        self._dirty.clear()
        self._side.flush()

    def _load(self, grouped: Mapping[int, Sequence[EntryRow]], streams: Mapping[int, Stream]) -> None:
        absent = [number for number in grouped if number not in self._held]
        known = [number for number in absent if grouped[number][0].version > 1]
        self._held.update((held.stream, held) for held in conversations.load(self._conn, known))
        for number in absent:
            if number not in self._held:
                self._held[number] = conversations.new(streams[number])

    def _fold(self, held: Conversation, group: Sequence[EntryRow], known_from: int, met: Projected) -> None:
        for row in group:
            if (row.as_kind or row.kind) == "reject_customer_msg_switch_change" and row.again != 1:
                _reject(held, row)
        before = second = held.state.second
        in_order = True
        for row in group:
            in_order = in_order and row.sort_second > second and row.kind not in _REWRITING
            second = row.sort_second
        if in_order:
            self._dirty[held.stream] = held
            for row in group:
                self._on_time(held, row, known_from)
            return
        entries = [Entry._make(row[:_FOLDED]) for row in group]
        earliest = min(entry.sort_second for entry in entries)
        if earliest <= before or not _REWRITING.isdisjoint(entry.kind for entry in entries):
            met.late.update(entry.position for entry in entries if entry.sort_second < before)
            self._refold(held, entries, earliest, known_from)
            return
        self._dirty[held.stream] = held
        for tied in in_seconds(entries):
            if len(tied) == 1:
                self._on_time(held, tied[0], known_from)
            else:
                self._together(held, tied, known_from)

    def _on_time(self, held: Conversation, entry: tuple[Any, ...], known_from: int) -> None:
        """Fold an entry that has its second to itself."""
        state, session = held.state, held.session
        row = self._calm(state, entry)
        if row is None:
            self._together(held, (Entry._make(entry[:_FOLDED]),), known_from)
            return
        now, servicer = state.service_state, state.servicer
        self._steps.append(
            (
                entry[0], known_from, 0, row.name, row.outcome, now, now, servicer, servicer, state.session,
                state.evidence, state.doubt, "", None,
            )
        )  # fmt: skip
        if session is not None and session.number == state.session:
            note_message(session, held.segment, entry[_KIND], entry[_SECOND], servicer=entry[_TO], state=now)

    def _together(self, held: Conversation, group: Sequence[Entry], known_from: int) -> None:
        for place, step in enumerate(fold_onto(self._machine, held, group, {})):
            self._note(step_row(step, place, known_from), step)

    def _note(self, row: StepRow, step: Step) -> None:
        self._steps.append(row)
        outcome = step.row.outcome
        if outcome not in _PLAIN:
            self._side.step(step.entry.position, outcome, step.entry.stream, step.entry.sort_second)

    def _refold(self, held: Conversation, entries: Sequence[Entry], earliest: int, known_from: int) -> None:
        """Fold a conversation again from the last session that opened before the earliest entry or target.

        What is before these comes out as it did, so that its steps are not looked at.
        """
        if held.stream in self._dirty:
            bulk_insert(self._conn, kf_step, self._steps)
            self._steps.clear()
            conversations.write(self._conn, [held])
        rewriting = self._rewriting(held.stream, known_from)
        second = min([earliest, *self._rewritten(held.stream, entries, rewriting)])
        number, start, state = conversations.checkpoint(self._conn, held.stream, second)
        stored = current(self._conn, held.stream, second, known_from)
        conversations.forget_sessions(self._conn, held.stream, number)
        held.state, held.session, held.segment = state, None, None
        skip = left_out(rewriting)
        self._dirty[held.stream] = held
        for group in in_seconds(self._entries(held.stream, start, known_from)):
            if group[0].sort_second < second:
                if len(group) > 1 or group[0].position in skip or not self._calmly(held, group[0]):
                    fold_onto(self._machine, held, group, skip)
                continue
            for place, step in enumerate(fold_onto(self._machine, held, group, skip)):
                row = step_row(step, place, known_from)
                was = stored.get(row[0])
                if was is None:
                    self._note(row, step)
                elif was[2:] != row[2:]:
                    self._side.forget_steps([row[0]])
                    self._note(row, step)

    def _calmly(self, held: Conversation, entry: Entry) -> bool:
        """Fold an entry if it moves nothing, without its step; tell whether that was so."""
        if self._calm(held.state, entry) is None:
            return False
        session, state = held.session, held.state
        if session is not None and session.number == state.session:
            servicer, now = entry.servicer_to, state.service_state
            note_message(session, held.segment, entry.kind, entry.sort_second, servicer=servicer, state=now)
        return True

    def _rewritten(self, stream: int, entries: Iterable[Entry], rewriting: Sequence[Entry]) -> list[int]:
        """Return the seconds of all whose part in the fold these entries change.

        That is what they rewrite, what that would have rewritten, what else rewrites it, and so on: a void brings back
        what the voided entry had voided, and takes all decodings of its target with it.
        """
        touched = {entry.position for entry in entries if entry.kind in _REWRITING and entry.target is not None}
        size = 0
        while len(touched) > size:
            size = len(touched)
            for entry in rewriting:
                if entry.position in touched or entry.target in touched:
                    touched |= {entry.position, entry.target or 0}
        sql = "SELECT sort_second FROM kf_entry WHERE stream = ? AND position IN (??)"
        return [row[0] for row in query_in(self._conn, sql, sorted(touched), stream)]

    def _rewriting(self, stream: int, position: int) -> list[Entry]:
        return self._read(
            "stream = ? AND position <= ? AND kind IN ('correction', 'redecoded') AND target IS NOT NULL",
            (stream, position),
        )

    def _entries(self, stream: int, second: int, position: int) -> list[Entry]:
        return self._read("stream = ? AND sort_second >= ? AND position <= ?", (stream, second, position))

    def _read(self, where: str, values: tuple[int, ...]) -> list[Entry]:
        columns = ", ".join(Entry._fields)
        return [Entry._make(row) for row in query(self._conn, f"SELECT {columns} FROM kf_entry WHERE {where}", values)]


def _reject(held: Conversation, row: EntryRow) -> None:
    switch, second, tie = held.rejected
    now = row.sort_second, row.tie, row.reject_switch or 0
    if second is None or tie is None or now >= (second, tie, switch or 0):
        held.rejected = (row.reject_switch, row.sort_second, row.tie)
