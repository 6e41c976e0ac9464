"""One second folded onto a conversation in hand, with the sessions and segments that its steps add to. Pure."""

from collections.abc import Mapping, Sequence

from kfstate.machine.compiled import Machine
from kfstate.machine.entry import Entry
from kfstate.machine.fold import Step, expire, steps
from kfstate.machine.state import SessionState, pack
from kfstate.projections.conversations import Conversation, packed
from kfstate.projections.sessions import Segment, Session, end, take

__all__ = ["expire_onto", "fold_onto", "follow", "parts"]

_FINISHED = 4


def fold_onto(machine: Machine, held: Conversation, group: Sequence[Entry], skip: Mapping[int, str]) -> list[Step]:
    """Fold one second, and let its steps add to the sessions they belong to."""
    state = held.state
    could_open = state.service_state == _FINISHED or (
        state.expires_at is not None and group[0].sort_second >= state.expires_at
    )
    before = pack(state) if could_open else None
    queued_since = state.queued_since
    folded = steps(machine, state, group, skip)
    for place, step in enumerate(folded):
        follow(held, step, queued_since, None if place else before)
        queued_since = step.queued_since
    return folded


def follow(held: Conversation, step: Step, queued_before: int | None, before: tuple[object, ...] | None = None) -> None:
    """Let a step add to the session that it belongs to; ``before`` is the packed state that a new one builds on."""
    session = held.session
    if session is not None and session.ended is None and step.expired_at is not None:
        end(session, held.segment, step.expired_at, "expiry", queued_before)
    if session is None or session.number != step.session:
        session = _open(held, step, before) if step.session else None
    if session is not None:
        segment = take(session, held.segment, step, queued_before)
        if segment is not held.segment:
            if held.segment is not None:
                held.closed.append(held.segment)
            held.segment = segment


def parts(held: Conversation) -> tuple[tuple[Session, ...], tuple[Segment, ...]]:
    """Return the sessions and the segments of a conversation that was followed from its beginning."""
    all_ = [*held.closed, *(part for part in (held.session, held.segment) if part is not None)]
    sessions = tuple(part for part in all_ if isinstance(part, Session))
    return sessions, tuple(part for part in all_ if isinstance(part, Segment))


def expire_onto(machine: Machine, held: Conversation, now: int) -> int | None:
    """Presume the end of a session that is due by ``now`` (seconds); return when it was due, or None."""
    queued_since = held.state.queued_since
    due = expire(machine, held.state, now)
    if due is not None and held.session is not None and held.session.ended is None:
        end(held.session, held.segment, due, "expiry", queued_since)
    return due


def _open(held: Conversation, step: Step, before: tuple[object, ...] | None) -> Session | None:
    state = step.state
    if state.session_id is None or state.opened is None or state.opened_by is None:
        return None
    if held.session is not None:
        held.closed.append(held.session)
    if held.segment is not None:
        held.closed.append(held.segment)
        held.segment = None
    base = None if before is None else packed(SessionState(*before))  # type: ignore[arg-type]  # pack() gave them
    held.session = Session(
        held.stream, state.session, state.session_id, state.opened, state.opened_by, state.reopens, base=base
    )
    return held.session
