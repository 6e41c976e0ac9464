"""Sessions and segments: what steps add up to while one episode, or one servicer's span in it, lasts."""

from operator import attrgetter

import attrs

from kfstate.machine.fold import Step

__all__ = ["Segment", "Session", "end", "note_message", "pack_segment", "pack_session", "take"]

_FINISHED, _MANUAL, _QUEUE = 4, 3, 2
_ENDED_BY = {
    "session_status_change": "servicer",
    "state_changed": "api",
    "state_change_refused": "refusal",
    "message_refused": "refusal",
    "state_reading": "reading",
    "correction": "correction",
}


@attrs.define
class Session:
    """One row of ``kf_session``, in the order of its columns."""

    stream: int
    number: int
    session_id: int
    opened: int
    opened_by: str
    reopens: int | None
    first_reply: int | None = None
    queued: int | None = None
    queue_seconds: int = 0
    abandoned: int = 0
    taken: int | None = None
    ended: int | None = None
    ended_by: str | None = None
    servicer: int | None = None
    segments: int = 0
    transfers: int = 0
    messages_in: int = 0
    messages_out: int = 0
    sends: int = 0
    last_message: int | None = None
    last_message_by: str | None = None
    repairs: int = 0
    base: bytes | None = None


@attrs.define
class Segment:
    """One row of ``kf_segment``, in the order of its columns."""

    stream: int
    session: int
    number: int
    servicer: int | None
    taken_by: str
    began: int
    ended: int | None = None
    ended_by: str | None = None
    first_customer_message: int | None = None
    first_reply: int | None = None
    messages_in: int = 0
    messages_out: int = 0


pack_session = attrgetter(*(field.name for field in attrs.fields(Session)))
pack_segment = attrgetter(*(field.name for field in attrs.fields(Segment)))


def take(session: Session, segment: Segment | None, step: Step, queued_before: int | None) -> Segment | None:
    """Add a step that belongs to this session, and return the segment that is the last one then.

    ``queued_before`` is the second since which the conversation was queued before the step.
    """
    entry, row, folded = step.entry, step.row, step.folded
    after = folded[0]
    kind = entry.as_kind or entry.kind
    if row.dest is not None or row.effect is not None or row.outcome == "confirmed":
        segment = _change(session, segment, step, kind, queued_before)
    if row.outcome == "repaired":
        session.repairs += 1
    if row.outcome != "ignored":
        note_message(session, segment, kind, entry.sort_second, servicer=entry.servicer_to, state=after)
    return segment


def note_message(
    session: Session, segment: Segment | None, kind: str, second: int, *, servicer: object, state: object
) -> None:
    """Count an entry that is a message; of other kinds it notes nothing. ``state`` is the one after the entry."""
    if kind == "customer_message":
        session.messages_in += 1
        session.last_message, session.last_message_by = second, "customer"
        if segment is not None and state == _MANUAL:
            segment.messages_in += 1
            if segment.first_customer_message is None:
                segment.first_customer_message = second
    elif kind == "servicer_message":
        session.messages_out += 1
        session.last_message, session.last_message_by = second, "servicer"
        if segment is not None and (servicer is None or servicer == segment.servicer):
            segment.messages_out += 1
            if segment.first_reply is None:
                segment.first_reply = second
    elif kind == "message_sent":
        session.sends += 1
        session.last_message, session.last_message_by = second, "api"
        if session.first_reply is None:
            session.first_reply = second


def _change(
    session: Session, segment: Segment | None, step: Step, kind: str, queued_before: int | None
) -> Segment | None:
    second, before = step.entry.sort_second, step.before
    after, servicer = step.folded[0], step.folded[1]
    ended_by = _ENDED_BY.get(kind, kind)
    if step.row.effect == "restore":
        if session.abandoned and session.ended is not None:  # it had not ended: the customer waited on
            session.queue_seconds += (second if after != _QUEUE else step.queued_since or second) - session.ended
        session.ended, session.ended_by, session.abandoned = None, None, 0
        if segment is not None and segment.ended_by == "expiry":
            segment.ended, segment.ended_by = None, None
    if after == _FINISHED:
        if session.ended is None or (session.ended_by == "expiry" and step.row.effect == "end"):
            since = step.state.since or second
            end(session, segment, since, ended_by, queued_before if before == _QUEUE else None)
            session.abandoned = int(before == _QUEUE or (before == _FINISHED and session.abandoned))
        return segment
    if before == _QUEUE != after and queued_before is not None:
        session.queue_seconds += second - queued_before
    if after == _QUEUE and session.queued is None:
        session.queued = second
    served = segment is not None and segment.ended is None
    stays = served and segment is not None and after == _MANUAL and segment.servicer == servicer
    if segment is not None and served and not stays:
        segment.ended, segment.ended_by = second, step.row.name
    if after == _MANUAL and not stays:
        session.transfers += served
        session.segments += 1
        session.taken = second if session.taken is None else session.taken
        session.servicer = servicer  # type: ignore[assignment]  # in the log servicers are ids
        segment = Segment(session.stream, session.number, session.segments, session.servicer, step.row.name, second)
    return segment


def end(session: Session, segment: Segment | None, second: int, how: str, queued_before: int | None) -> None:
    """Close a session and its segment; ``queued_before`` is since when it was queued until then."""
    session.ended, session.ended_by = second, how
    if queued_before is not None:
        session.queue_seconds += second - queued_before
        session.abandoned = 1
    if segment is not None and (segment.ended is None or segment.ended_by == "expiry"):
        segment.ended, segment.ended_by = second, how
