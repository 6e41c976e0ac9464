"""The state at T as it was known at K, from the log alone (P8), and what has been learned since."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.audit.history.learning import learned
from kfstate.audit.history.stories import Names, Story
from kfstate.audit.knowing import Known
from kfstate.clock import SECOND
from kfstate.machine import Machine, SessionState
from kfstate.queries.entries import EntryView, entry_views
from kfstate.queries.views import QueueView, at_second, at_time
from kfstate.service_state import KfServiceState
from kfstate.store.read import names_by_id, rows_at

__all__ = ["AsOf", "Change", "StateThen", "as_of", "queue_view", "states", "then"]

_MANUAL = KfServiceState.MANUAL


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


def as_of(
    conn: Connection, story: Story, *, at: int, known: Known, head: Known, machine: Machine, machine_now: Machine
) -> AsOf:
    """Return the state of a conversation at ``at`` (microseconds) as known then, and as known now."""
    second = at // SECOND
    before = then(conn, story, story.state(known.position, second, machine), machine)
    now = then(conn, story, story.state(head.position, second, machine_now), machine_now)
    places = learned(story, second, known.position, head.position, machine_now) if before != now else ()
    found = rows_at(conn, places)
    return AsOf(
        at=at_time(at),
        known_at=known.position,
        known_until=at_time(known.recorded) if known.position else None,
        state=before,
        now=now,
        changes=_changes(before, now),
        learned=tuple(entry_views(conn, [found[position] for position in sorted(found)])),
    )


def then(conn: Connection, story: Story, found: tuple[SessionState, bool] | None, machine: Machine) -> StateThen | None:
    """Return a state, and whether a gap makes it doubtful, as people see it."""
    if found is None:
        return None
    ids = {id_ for id_ in (found[0].servicer, found[0].previous_servicer) if isinstance(id_, int)}
    return _view(story, *found, machine, dict(names_by_id(conn, ids)))


def _view(story: Story, state: SessionState, gap: bool, machine: Machine, names: Names) -> StateThen:  # noqa: FBT001
    service_state = KfServiceState(state.service_state)
    return StateThen(
        open_kfid=story.stream.open_kfid,
        external_userid=story.external_userid,
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


def states(
    conn: Connection,
    told: Iterable[Story],
    *,
    second: int,
    position: int,
    machine: Machine,
    state: KfServiceState | None = None,
) -> Iterator[StateThen]:
    """Yield the state of each conversation of which anything was known, or of those in one state."""
    for story in told:
        found = story.state(position, second, machine)
        if found is not None and state in {None, found[0].service_state}:
            view = then(conn, story, found, machine)
            if view is not None:
                yield view


def queue_view(view: StateThen, second: int) -> QueueView:
    """Return a conversation that waited in the pool at a second, as such."""
    since = view.queued_since
    return QueueView(
        open_kfid=view.open_kfid,
        external_userid=view.external_userid,
        session=view.session,
        queued_since=since,
        waiting_seconds=second - int(since.timestamp()) if since else 0,
        last_customer_message_at=view.last_customer_message_at,
        doubt=view.doubt,
    )


def _changes(before: StateThen | None, now: StateThen | None) -> tuple[Change, ...]:
    names = [field.name for field in attrs.fields(StateThen)]
    pairs = [(name, getattr(before, name, None), getattr(now, name, None)) for name in names]
    return tuple(Change(*pair) for pair in pairs if pair[1] != pair[2])
