"""The state at T as it was known at K, from the log alone (P8), and what has been learned since."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.audit.knowing import Known, story
from kfstate.clock import SECOND
from kfstate.machine import Entry, Machine, SessionState, fold, state_at
from kfstate.machine.fold import Step
from kfstate.machine.state import STRONG
from kfstate.queries.entries import EntryView, entry_views
from kfstate.queries.views import at_second, at_time
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import query
from kfstate.store.read import find_stream, names_by_id, rows_at
from kfstate.store.rows import Stream, StreamKey

__all__ = ["AsOf", "Change", "StateThen", "as_of"]

_MANUAL = KfServiceState.MANUAL
_GAPS = "SELECT position, sort_second FROM kf_entry WHERE stream = ? AND kind = 'history_gap'"


@attrs.frozen
class StateThen:
    """The state of a conversation at a time, as it was known at a place of the log."""

    open_kfid: str
    external_userid: str | None
    service_state: KfServiceState
    state: str
    servicer_userid: str | None
    previous_servicer_userid: str | None
    session: int
    session_id: int | None
    opened_by: str | None
    opened_at: datetime | None
    since: datetime | None
    queued_since: datetime | None
    evidence: str
    doubt: str
    position: int | None
    """Of the deciding entry."""
    last_customer_message_at: datetime | None
    expires_at: datetime | None
    sends: int
    machine: str
    """Version of the machine that folded it."""


@attrs.frozen
class Change:
    """What is told otherwise now than it was then."""

    field: str
    then: Any
    now: Any


@attrs.frozen
class AsOf:
    """The answer to one question: what was the state at ``at``, as far as ``known_at``?"""

    at: datetime | None
    known_at: int
    """The last position that was known."""
    known_until: datetime | None
    """When that entry was stored."""
    state: StateThen | None
    """None: no entry of the conversation was known."""
    now: StateThen | None
    """The state at the same time, as it is known now."""
    changes: tuple[Change, ...]
    learned: tuple[EntryView, ...]
    """The entries that came later and changed what is known of that time."""


@attrs.define
class _Reading:
    """One conversation with all its entries, to be folded as far as they were known."""

    conn: Connection
    stream: Stream
    external_userid: str
    entries: list[Entry]
    second: int
    gaps: Sequence[tuple[int, int]]
    """Position and second of the gaps in the history of the account."""

    def known(self, position: int, machine: Machine) -> tuple[SessionState, bool] | None:
        """Return the state at the second from the entries up to a position, and whether a gap makes it doubtful."""
        known = [entry for entry in self.entries if entry.position <= position]
        if not known:
            return None
        steps = [step for step in fold(known, machine=machine) if step.entry.sort_second <= self.second]
        state = steps[-1].state if steps else SessionState()
        return state_at(state, self.second, machine=machine), self._gap(position, state, steps)

    def _gap(self, position: int, state: SessionState, steps: Sequence[Step]) -> bool:
        """Tell whether entries of the account were lost after which nothing strong came."""
        known = [second for place, second in self.gaps if place <= position and second <= self.second]
        found = max(known, default=0)
        if found <= (state.decided or 0):
            return False
        return not any(step.row.evidence in STRONG and step.entry.sort_second >= found for step in steps)

    def view(self, found: tuple[SessionState, bool] | None, machine: Machine) -> StateThen | None:
        """Return a state as people see it."""
        if found is None:
            return None
        state, gap = found
        ids = {id_ for id_ in (state.servicer, state.previous_servicer) if isinstance(id_, int)}
        names: dict[Any, str | None] = dict(names_by_id(self.conn, ids))
        service_state = KfServiceState(state.service_state)
        return StateThen(
            open_kfid=self.stream.open_kfid,
            external_userid=self.external_userid,
            service_state=service_state,
            state=service_state.word,
            servicer_userid=names.get(state.servicer) if service_state == _MANUAL else None,
            previous_servicer_userid=names.get(state.previous_servicer),
            session=state.session,
            session_id=state.session_id,
            opened_by=state.opened_by,
            opened_at=at_second(state.opened),
            since=at_second(state.since),
            queued_since=at_second(state.queued_since),
            evidence=state.evidence,
            doubt="history_gap" if gap and state.doubt == "none" else state.doubt,
            position=state.position,
            last_customer_message_at=at_second(state.last_customer_message),
            expires_at=at_second(state.expires_at),
            sends=state.sends,
            machine=machine.spec.version,
        )

    def learned(self, after: int, until: int, machine: Machine) -> list[int]:
        """Return the positions with which what is known of that second changed."""
        before = self.known(after, machine)
        changed = []
        bearing = [entry.position for entry in self.entries if self._bears(entry)]
        for position in sorted([*bearing, *(place for place, _ in self.gaps)]):
            if after < position <= until:
                state = self.known(position, machine)
                if state != before:
                    changed.append(position)
                before = state
        return changed

    def _bears(self, entry: Entry) -> bool:
        """Tell whether an entry can say anything about that second: by its own, or by what it voids."""
        return entry.sort_second <= self.second or entry.target is not None


def as_of(
    conn: Connection,
    stream: Stream,
    external_userid: str,
    *,
    at: int,
    known: Known,
    head: Known,
    machine: Machine,
    machine_now: Machine,
) -> AsOf:
    """Return the state of a conversation at ``at`` (microseconds) as known then, and as known now.

    Every entry that was known counts, also what a later one says of an earlier (a correction that voids it); those that
    happened by ``at`` are folded, and an end that was due by then is presumed.
    """
    entries = story(conn, stream.id)
    reading = _Reading(conn, stream, external_userid, entries, at // SECOND, _gaps(conn, stream))
    then = reading.view(reading.known(known.position, machine), machine)
    now = reading.view(reading.known(head.position, machine_now), machine_now)
    learned = reading.learned(known.position, head.position, machine_now) if then != now else []
    return AsOf(
        at=at_time(at),
        known_at=known.position,
        known_until=at_time(known.recorded) if known.position else None,
        state=then,
        now=now,
        changes=_changes(then, now),
        learned=_entries(conn, learned),
    )


def _gaps(conn: Connection, stream: Stream) -> Sequence[tuple[int, int]]:
    account = find_stream(conn, StreamKey(stream.corp_id, "account", stream.open_kfid))
    return [] if account is None else [(row[0], row[1]) for row in query(conn, _GAPS, (account.id,))]


def _changes(then: StateThen | None, now: StateThen | None) -> tuple[Change, ...]:
    names = [field.name for field in attrs.fields(StateThen)]
    pairs = [(name, getattr(then, name, None), getattr(now, name, None)) for name in names]
    return tuple(Change(*pair) for pair in pairs if pair[1] != pair[2])


def _entries(conn: Connection, positions: Iterable[int]) -> tuple[EntryView, ...]:
    found = rows_at(conn, positions)
    return tuple(entry_views(conn, [found[position] for position in sorted(found)]))
