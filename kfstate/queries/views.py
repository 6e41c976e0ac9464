"""What queries return: frozen, with names instead of ids, times as aware UTC datetimes, waits in seconds."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from kfstate.service_state import KfServiceState

if TYPE_CHECKING:
    from kfstate.queries.entries import EntryView

__all__ = [
    "ConversationView",
    "Explanation",
    "LoadView",
    "QueueView",
    "SegmentView",
    "SendWindow",
    "SessionView",
    "StepView",
    "Transition",
    "as_json",
    "at_second",
    "at_time",
    "readable",
    "shown",
]

_HALF = re.compile("[\ud800-\udfff]")


def at_second(second: int | None) -> datetime | None:
    """Return whole seconds since 1970 as a datetime in UTC."""
    return None if second is None else datetime.fromtimestamp(second, UTC)


def at_time(microseconds: int | None) -> datetime | None:
    """Return microseconds since 1970 as a datetime in UTC."""
    if microseconds is None:
        return None
    second, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(second, UTC).replace(microsecond=rest)


def readable(text: str) -> str:
    """Return a text as any file can hold it: half of an emoji, which a message may have and no encoding, becomes �."""
    return _HALF.sub("\N{REPLACEMENT CHARACTER}", text)


@attrs.frozen(slots=False)
class SendWindow:
    """What ``send_msg`` may still do: 5 messages in the 48 hours after a customer's message (page 94677)."""

    used: int
    left: int | None
    """None where the account's sends are not recorded here, so that nobody knows."""
    until: datetime | None


@attrs.frozen(slots=False)
class ConversationView:
    """One conversation: its state, since when, and by what it was decided."""

    open_kfid: str
    external_userid: str | None
    """None: erased."""
    service_state: KfServiceState
    state: str
    servicer_userid: str | None
    previous_servicer_userid: str | None
    session: int
    session_id: int | None
    opened_by: str | None
    since: datetime | None
    queued_since: datetime | None
    evidence: str
    doubt: str
    position: int | None
    last_customer_message_at: datetime | None
    expires_at: datetime | None
    synced_until: datetime | None
    machine: str
    """Version of the machine that folded it."""
    rejected: bool | None
    """Whether a servicer refuses the customer's messages; None: never heard of."""
    send_window: SendWindow


@attrs.frozen
class SegmentView:
    """One servicer's span in a session."""

    servicer_userid: str | None
    taken_by: str
    began_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None
    first_customer_message_at: datetime | None
    first_reply_at: datetime | None
    messages_in: int
    messages_out: int


@attrs.frozen
class SessionView:
    """One episode of a conversation; waits in seconds."""

    open_kfid: str
    external_userid: str | None
    session: int
    session_id: int
    opened_at: datetime | None
    opened_by: str
    reopens: int | None
    first_reply_at: datetime | None
    queued_at: datetime | None
    queue_seconds: int
    abandoned: bool
    taken_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None
    servicer_userid: str | None
    transfers: int
    messages_in: int
    messages_out: int
    sends: int
    last_message_at: datetime | None
    last_message_by: str | None
    repairs: int
    servicers: tuple[SegmentView, ...]


@attrs.frozen
class StepView:
    """What folding one entry did; ``position`` is None for an expiry that the fold presumed between two entries."""

    position: int | None
    kind: str
    occurred_at: datetime | None
    recorded_at: datetime | None
    outcome: str
    before: str
    after: str
    servicer_before: str | None
    servicer_after: str | None
    session: int
    reason: str | None
    evidence: str
    doubt: str


@attrs.frozen
class Transition:
    """The row of the machine's table that a step took."""

    name: str
    trigger: str
    before: str
    after: str
    guard: str | None
    outcome: str


@attrs.frozen
class Explanation:
    """Why a conversation is in its state."""

    entry: "EntryView | None"
    transition: Transition | None
    missing: tuple[str, ...]
    reason: str
    doubt: str


@attrs.frozen
class QueueView:
    """A conversation that waits in the pool; ``waiting_seconds`` until now."""

    open_kfid: str
    external_userid: str | None
    session: int
    queued_since: datetime | None
    waiting_seconds: int
    last_customer_message_at: datetime | None
    doubt: str


@attrs.frozen
class LoadView:
    """What a servicer of an account carries; ``receiving`` None: never heard of."""

    open_kfid: str
    servicer_userid: str | None
    receiving: bool | None
    stop_type: int | None
    open_sessions: int


def shown(view: type[Any]) -> tuple[str, ...]:
    """Return the names of what a view shows: its fields, or what it names itself."""
    names: tuple[str, ...] = getattr(view, "SHOWN", None) or tuple(field.name for field in attrs.fields(view))
    return names


def as_json(view: Any) -> Any:
    """Return a view as JSON data: times as ISO 8601 in UTC, states as numbers."""
    if attrs.has(type(view)):
        return {name: as_json(getattr(view, name)) for name in shown(type(view))}
    if isinstance(view, (list, tuple)):
        return [as_json(item) for item in view]
    if isinstance(view, datetime):
        return view.isoformat().replace("+00:00", "Z")
    if isinstance(view, KfServiceState):
        return int(view)
    return view
