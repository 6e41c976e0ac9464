"""What the fold looks at of an entry, and the name of what it triggers."""

from collections.abc import Callable
from typing import NamedTuple

from kfstate.machine.kinds import KINDS, OWN_RANK, RANKS

__all__ = ["CONSTRUCTED_TRIGGERS", "Entry", "is_own", "place", "trigger_of", "triggers_of"]


class Entry(NamedTuple):
    """One entry, cut to what decides the state: the first columns of ``kf_entry``, under their names.

    Servicers are whatever compares equal for the same person: ids in the log, ``servicer_userid`` elsewhere.
    """

    position: int = 0
    stream: int = 0
    kind: str = ""
    sort_second: int = 0
    tie: int = 0
    change_type: int | None = None
    service_state: int | None = None
    servicer_from: int | str | None = None
    servicer_to: int | str | None = None
    errcode: int | None = None
    menu_click: int | None = None
    via: str | None = None
    counts: int | None = None
    again: int = 0
    target: int | None = None
    as_kind: str | None = None


def is_own(entry: Entry) -> bool:
    """Tell whether the entry is folded as one of our own: those stand in the order in which they were made."""
    return RANKS.get(entry.as_kind or entry.kind) == OWN_RANK


def place(entry: Entry) -> tuple[int | str, ...]:
    """Return where the search inside a second looks for this entry: by rank, tie, what it says, then position.

    WeCom's entries that share a msgid share the tie; what they say parts them, because their positions are no more
    than the order of arrival. Own entries have their microseconds in the tie, and positions in the order of making.
    """
    rank = RANKS.get(entry.as_kind or entry.kind, 3)
    if rank == OWN_RANK:
        return (rank, entry.tie, entry.position)
    said = (entry.change_type, entry.menu_click, entry.servicer_from, entry.servicer_to, entry.as_kind)
    return (rank, entry.tie, entry.kind, *("" if value is None else str(value) for value in said), entry.position)


_CHANGES = {number: f"session_status_change/{number}" for number in (1, 2, 3, 4)}
_CHANGED = {number: f"state_changed/{number}" for number in range(5)}
_READINGS = {number: f"state_reading/{number}" for number in range(5)}
_CORRECTIONS = {number: f"correction/{number}" for number in range(5)}
_REFUSALS = {number: f"refusal/{number}" for number in (95001, 95002, 95013, 95014, 95016, 95018, 95019)}


def _refusal(entry: Entry) -> str:
    return _REFUSALS.get(entry.errcode or 0, "refusal/other")


_SUBTYPED: dict[str, Callable[[Entry], str]] = {
    "session_status_change": lambda entry: _CHANGES.get(entry.change_type or 0, "session_status_change/?"),
    "state_changed": lambda entry: _CHANGED.get(_state(entry), "state_changed/?"),
    "state_reading": lambda entry: _READINGS.get(_state(entry), "state_reading/?"),
    "correction": lambda entry: _CORRECTIONS.get(_state(entry), "correction/void"),
    "state_change_refused": _refusal,
    "message_refused": _refusal,
    "message_sent": lambda entry: (
        "message_sent/send_msg_on_event" if entry.via == "send_msg_on_event" else "message_sent/send_msg"
    ),
}


def _state(entry: Entry) -> int:
    return -1 if entry.service_state is None else entry.service_state


CONSTRUCTED_TRIGGERS = ("expiry", "repeated", "replaced", "unknown", "voided")
"""Triggers that stand for no kind: made by the fold itself, or for entries that it leaves out."""


def triggers_of(kind: str) -> tuple[str, ...]:
    """Return every trigger that an entry of this kind can have."""
    subtypes: dict[str, tuple[str, ...]] = {
        "session_status_change": (*_CHANGES.values(), "session_status_change/?"),
        "state_changed": (*_CHANGED.values(), "state_changed/?"),
        "state_reading": (*_READINGS.values(), "state_reading/?"),
        "correction": (*_CORRECTIONS.values(), "correction/void"),
        "state_change_refused": (*_REFUSALS.values(), "refusal/other"),
        "message_refused": (*_REFUSALS.values(), "refusal/other"),
        "message_sent": ("message_sent/send_msg_on_event", "message_sent/send_msg"),
    }
    return subtypes.get(kind, (kind,))


def trigger_of(entry: Entry) -> str:
    """Return the name under which the table knows this entry: its kind, with what subdivides the kind."""
    if entry.again == 1:
        return "repeated"
    kind = entry.as_kind or entry.kind
    subtype = _SUBTYPED.get(kind)
    if subtype is not None:
        return subtype(entry)
    return kind if kind in KINDS else "unknown"
