"""What the fold looks at of an entry, and the name of what it triggers."""

from collections.abc import Callable
from typing import NamedTuple

from kfstate.machine.kinds import KINDS, RANKS

__all__ = ["CONSTRUCTED_TRIGGERS", "Entry", "place", "trigger_of", "triggers_of"]


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


def place(entry: Entry) -> tuple[int, int, int, int]:
    """Return where the search starts looking: by second, then by rank, tie and position."""
    return (entry.sort_second, RANKS.get(entry.as_kind or entry.kind, 3), entry.tie, entry.position)


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
