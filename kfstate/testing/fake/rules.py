"""The rules of a session, as WeCom documents them (pages 94669, 94677, 94698). Pure: a session in, a session out.

This is a second reading of the documents, on purpose: it shares nothing with :mod:`kfstate.machine`, so that either may
show what is wrong with the other.
"""

from typing import NamedTuple

import attrs

from kfstate.clock import SECOND
from kfstate.service_state import KfServiceState as State
from kfstate.testing.fake.facts import OpenFacts

__all__ = [
    "HOUR",
    "LIMIT",
    "SESSION",
    "WINDOW",
    "Due",
    "Session",
    "Window",
    "after_message",
    "after_send",
    "answered",
    "ended",
    "is_over",
    "moved",
    "own_end",
    "refusal_of_send",
    "refusal_of_trans",
    "reopened",
]

HOUR = 3_600 * SECOND
SESSION = 48 * HOUR
"""How long a session lasts, in microseconds."""
WINDOW = 48 * HOUR
"""How long a customer message may be answered."""
LIMIT = 5
"""How many messages may be sent in that time."""


@attrs.frozen
class Window:
    """What may be sent to a customer: ``since`` is the message that opened it, ``sent`` counts what was sent since."""

    since: int | None = None
    sent: int = 0


@attrs.frozen
class Session:
    """What the server knows of a conversation; of a new one it knows nothing. Times in microseconds.

    Attributes:
        state: As ``service_state/get`` says it.
        servicer: Who has it; empty outside of 3.
        previous: Who had it before.
        number: How many sessions the conversation has had.
        opened_at: When the present one opened, or was opened again.
        written_at: When the customer last wrote in it.
        unanswered_since: In 3: since when the servicer who got it has said nothing; None once something was said.
        coded: The states (2, 3) for which this session has given its code.
        expired: Whether it ended by the 48 hours.
        window: What may still be sent.
    """

    state: State = State.FINISHED
    servicer: str = ""
    previous: str = ""
    number: int = 0
    opened_at: int = 0
    written_at: int = 0
    unanswered_since: int | None = None
    coded: frozenset[int] = frozenset()
    expired: bool = False
    window: Window = attrs.field(factory=Window)


class Due(NamedTuple):
    """When a session ends by itself, and why: ``expiry`` (48 hours) or ``timeout`` (nobody answered)."""

    at: int
    why: str


def own_end(session: Session, facts: OpenFacts) -> Due | None:
    """Return when the session ends by itself, if nothing happens before."""
    if session.state is State.FINISHED:
        return None
    anchor = session.opened_at
    if facts.session_anchor == "last_message":
        anchor = max(anchor, session.written_at)
    due = Due(anchor + SESSION, "expiry")
    if facts.silent_end_after is not None and session.unanswered_since is not None:
        due = min(due, Due(session.unanswered_since + facts.silent_end_after * SECOND, "timeout"))
    return due


def is_over(session: Session, facts: OpenFacts, now: int) -> Due | None:
    """Return the end that is due by ``now``."""
    due = own_end(session, facts)
    return due if due is not None and due.at <= now else None


def ended(session: Session, *, expired: bool = False) -> Session:
    """Return the session in 4."""
    previous = session.servicer or session.previous
    return attrs.evolve(
        session, state=State.FINISHED, servicer="", previous=previous, unanswered_since=None, expired=expired
    )


def after_message(session: Session, facts: OpenFacts, now: int, *, menu_click: bool = False) -> Session:
    """Return the session after a customer message: 4 becomes 0 of a new one, anything else stays."""
    if session.state is State.FINISHED and (not menu_click or facts.menu_click_opens):
        session = attrs.evolve(_opened(session, now), state=State.UNTREATED)
    renews = facts.menu_click_renews if menu_click else True
    if session.state is State.MANUAL and not facts.manual_message_renews:
        renews = False
    window = Window(now) if renews else session.window
    written_at = session.written_at if session.state is State.FINISHED else now
    return attrs.evolve(session, written_at=written_at, window=window)


def reopened(session: Session, servicer: str, now: int) -> Session:
    """Return the ended session after a servicer wrote in it: 4 → 3."""
    return moved(_opened(session, now), State.MANUAL, servicer, now)


def moved(session: Session, to: State, servicer: str, now: int) -> Session:
    """Return the session in another state, or with another servicer."""
    if to is State.FINISHED:
        return ended(session)
    previous = session.servicer or session.previous
    if to is not State.MANUAL:
        return attrs.evolve(session, state=to, servicer="", previous=previous, unanswered_since=None)
    if session.state is State.MANUAL and session.servicer == servicer:
        return session
    return attrs.evolve(session, state=to, servicer=servicer, previous=previous, unanswered_since=now)


def answered(session: Session) -> Session:
    """Return the session after its servicer said something."""
    return attrs.evolve(session, unanswered_since=None)


def refusal_of_trans(session: Session, to: State, servicer: str, facts: OpenFacts) -> int:
    """Return the errcode with which ``service_state/trans`` is refused; 0: it is accepted."""
    if session.state is State.FINISHED:
        return 95013
    same = session.servicer == servicer
    accepted = {
        (State.UNTREATED, State.ROBOT): True,
        (State.UNTREATED, State.QUEUE): True,
        (State.UNTREATED, State.MANUAL): True,
        (State.UNTREATED, State.FINISHED): facts.ends_untreated,
        (State.ROBOT, State.ROBOT): facts.robot_again,
        (State.ROBOT, State.QUEUE): True,
        (State.ROBOT, State.MANUAL): True,
        (State.ROBOT, State.FINISHED): facts.ends_robot,
        (State.QUEUE, State.QUEUE): facts.queue_again,
        (State.QUEUE, State.MANUAL): True,
        (State.QUEUE, State.FINISHED): facts.ends_queue,
        (State.MANUAL, State.MANUAL): not same or facts.same_servicer,
        (State.MANUAL, State.FINISHED): True,
    }
    return 0 if accepted.get((session.state, to), False) else 95016


def refusal_of_send(session: Session, facts: OpenFacts, now: int) -> int:
    """Return the errcode with which ``send_msg`` is refused; 0: it is accepted."""
    if session.state is State.FINISHED:
        return 95018 if session.expired else 95013
    accepted = {
        State.UNTREATED: facts.send_in_untreated != "refused",
        State.ROBOT: True,
        State.MANUAL: facts.send_in_manual,
    }
    if not accepted.get(session.state, False):
        return 95018
    if session.window.since is None or now - session.window.since >= WINDOW:
        return 95002
    return 95001 if session.window.sent >= LIMIT else 0


def after_send(session: Session, facts: OpenFacts) -> Session:
    """Return the session after an accepted ``send_msg``."""
    window = attrs.evolve(session.window, sent=session.window.sent + 1)
    moves = session.state is State.UNTREATED and facts.send_in_untreated == "moves"
    return attrs.evolve(session, window=window, state=State.ROBOT if moves else session.state)


def _opened(session: Session, now: int) -> Session:
    return attrs.evolve(session, number=session.number + 1, opened_at=now, coded=frozenset(), expired=False)
