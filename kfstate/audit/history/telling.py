"""What a conversation lived through, as people see it: its steps and its sessions, from the fold alone."""

from collections.abc import Iterable, Sequence

from kfstate.audit.history.stories import Names, Noted, Story
from kfstate.machine import Machine, SessionState, Step
from kfstate.machine.fold import expire
from kfstate.machine.state import initial
from kfstate.projections.conversations import new
from kfstate.projections.onto import expire_onto, follow, parts
from kfstate.projections.sessions import Segment, Session
from kfstate.queries.views import SegmentView, SessionView, StepView, at_second, at_time
from kfstate.service_state import KfServiceState

__all__ = ["Told", "expiry_view", "named", "session_views", "sessions_of", "step_view", "step_views"]

_FINISHED = KfServiceState.FINISHED
Told = list[tuple[Session, list[Segment]]]
"""The sessions of a conversation, each with the spans of its servicers."""


def named(step: Step, names: Names) -> Step:
    """Return a step with names in place of numbers, so that its sentence can be said."""
    entry = step.entry
    return step._replace(
        entry=entry._replace(servicer_from=names.get(entry.servicer_from), servicer_to=names.get(entry.servicer_to)),
        servicer_before=names.get(step.servicer_before),
    )


def step_view(step: Step, noted: Noted, names: Names) -> StepView:
    """Return what folding one entry did."""
    said = named(step, names)
    reason = said.reason
    if step.missing and reason:
        reason += f" (not seen: {', '.join(KfServiceState(state).word for state in step.missing)})"
    state = step.state
    return StepView(
        position=step.entry.position,
        kind=step.entry.kind,
        occurred_at=at_time(noted.occurred),
        recorded_at=at_time(noted.recorded),
        outcome=step.outcome,
        before=KfServiceState(step.before).word,
        after=KfServiceState(state.service_state).word,
        servicer_before=said.servicer_before if isinstance(said.servicer_before, str) else None,
        servicer_after=names.get(state.servicer),
        session=state.session,
        reason=reason,
        evidence=state.evidence,
        doubt=state.doubt,
    )


def expiry_view(second: int, before: SessionState, machine: Machine, names: Names) -> StepView:
    """Return an end that the fold presumed at a second, of the session that this state had."""
    return StepView(
        position=None,
        kind="expiry",
        occurred_at=at_second(second),
        recorded_at=None,
        outcome="moved",
        before=KfServiceState(before.service_state).word,
        after=_FINISHED.word,
        servicer_before=names.get(before.servicer),
        servicer_after=None,
        session=before.session,
        reason=machine.rows["expired"].says if "expired" in machine.rows else None,
        evidence="timer",
        doubt="expiry_presumed",
    )


def step_views(story: Story, steps: Iterable[Step], second: int, machine: Machine, names: Names) -> list[StepView]:
    """Return the steps of a conversation until a second, with the ends that were presumed between them or are due."""
    views: list[StepView] = []
    state = initial()
    for step in steps:
        if step.expired_at is not None:
            views.append(expiry_view(step.expired_at, state, machine, names))
        views.append(step_view(step, story.noted[step.entry.position], names))
        state = step.state
    due = expire(machine, state.copy(), second)
    return views if due is None else [*views, expiry_view(due, state, machine, names)]


def sessions_of(story: Story, steps: Sequence[Step], second: int, machine: Machine) -> Told:
    """Return the sessions that steps add up to, as the projections have them, with an end that is due."""
    held = new(story.stream)
    queued_since: int | None = None
    for step in steps:
        follow(held, step, queued_since)
        queued_since = step.queued_since
    held.state = steps[-1].state if steps else held.state
    expire_onto(machine, held, second)
    sessions, segments = parts(held)
    return [(session, [segment for segment in segments if segment.session == session.number]) for session in sessions]


def session_views(story: Story, told: Told, names: Names) -> list[SessionView]:
    """Return sessions as people see them."""
    return [_session(story, session, segments, names) for session, segments in told]


def _session(story: Story, session: Session, segments: Sequence[Segment], names: Names) -> SessionView:
    return SessionView(
        open_kfid=story.stream.open_kfid,
        external_userid=story.external_userid,
        session=session.number,
        session_id=session.session_id,
        opened_at=at_second(session.opened),
        opened_by=session.opened_by,
        reopens=session.reopens,
        first_reply_at=at_second(session.first_reply),
        queued_at=at_second(session.queued),
        queue_seconds=session.queue_seconds,
        abandoned=bool(session.abandoned),
        taken_at=at_second(session.taken),
        ended_at=at_second(session.ended),
        ended_by=session.ended_by,
        servicer_userid=names.get(session.servicer),
        transfers=session.transfers,
        messages_in=session.messages_in,
        messages_out=session.messages_out,
        sends=session.sends,
        last_message_at=at_second(session.last_message),
        last_message_by=session.last_message_by,
        repairs=session.repairs,
        servicers=tuple(_segment(segment, names) for segment in segments),
    )


def _segment(segment: Segment, names: Names) -> SegmentView:
    return SegmentView(
        servicer_userid=names.get(segment.servicer),
        taken_by=segment.taken_by,
        began_at=at_second(segment.began),
        ended_at=at_second(segment.ended),
        ended_by=segment.ended_by,
        first_customer_message_at=at_second(segment.first_customer_message),
        first_reply_at=at_second(segment.first_reply),
        messages_in=segment.messages_in,
        messages_out=segment.messages_out,
    )
