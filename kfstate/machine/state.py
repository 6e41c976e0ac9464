"""The folded state of a conversation, and the words for evidence, doubt and opening."""

from operator import attrgetter

import attrs

__all__ = [
    "DOUBTS",
    "EVIDENCE",
    "OPENINGS",
    "OUTCOMES",
    "STRONG",
    "WEAK",
    "SessionState",
    "initial",
    "pack",
]

OUTCOMES = ("moved", "stayed", "confirmed", "repaired", "refused", "ignored", "unknown")
EVIDENCE = ("event", "api", "reading", "message", "timer", "correction", "initial")
STRONG = frozenset({"event", "api", "reading", "correction"})
"""Evidence in which WeCom itself, or a person, names the state: it clears doubt."""
WEAK = frozenset({"initial", "timer", "message"})
"""Evidence from which kfstate concludes the state: stronger evidence for the same state takes its place."""
DOUBTS = (
    "none",
    "first_seen",
    "expiry_presumed",
    "over_48h",
    "refused",
    "sent_in_2_3_4",
    "servicer_wrote_in_4",
    "menu_click",
    "history_gap",
    "reply_lost",
)
OPENINGS = ("customer", "menu_click", "reaccess", "api", "reading", "unseen")


@attrs.define
class SessionState:
    """What the fold knows of one conversation after an entry. All times are whole seconds since 1970 UTC.

    A value to everyone but the fold, which changes its own copy in place: replay at volume affords no new object
    for each entry.
    """

    service_state: int = 4
    servicer: int | str | None = None
    previous_servicer: int | str | None = None
    session: int = 0
    """Ordinal of the current (or last) session; 0 before the first."""
    session_id: int | None = None
    """Position of the entry that opened it."""
    opened_by: str | None = None
    reopens: int | None = None
    """Id of the session that this one reopens (change_type 4)."""
    opened: int | None = None
    """When the session opened, or was restored after a presumed expiry: the anchor of the next expiry."""
    since: int | None = None
    """When the state began to be this."""
    last_customer_message: int | None = None
    queued_since: int | None = None
    sends: int = 0
    """``send_msg`` calls since the customer's last message, intended ones included."""
    evidence: str = "initial"
    doubt: str = "first_seen"
    position: int | None = None
    """Position of the deciding entry."""
    decided: int | None = None
    """Second of the deciding entry."""
    doubtful_from: int | None = None
    expires_at: int | None = None
    kept: int | None = None
    """The state that a presumed expiry ended, as long as a later entry may still restore it."""
    kept_servicer: int | str | None = None
    kept_previous_servicer: int | str | None = None
    kept_since: int | None = None
    second: int = 0
    """Second of the last folded entry."""

    def copy(self) -> "SessionState":
        """Return an equal state that can be changed alone."""
        return SessionState(*pack(self))


pack = attrgetter(*(field.name for field in attrs.fields(SessionState)))
"""Return the fields of a state as a tuple, in the order that ``SessionState(*fields)`` takes."""


def initial() -> SessionState:
    """Return the state of a conversation of which nothing is known: finished (or not started)."""
    return SessionState()
