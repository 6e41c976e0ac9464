"""Golden histories: entries in a short notation, each with the step that folding it must give.

.. code-block:: text

    == one line that says what happens
    0      customer            > customer.opened | moved 4-0 | #1 | message | first_seen
    20     change 1 new=a      > taken.unexpectedly | repaired 0-3 a | #1 | event | none | missing 2 | the whole reason
    order 2 1

A time is seconds after the beginning, ``48h``, or ``48h+5``. An entry's position is the number of its line in the
history. ``order`` gives the positions in the order of the fold where that is not the order of the lines. Servicers are
single letters; ``old=`` and ``new=`` are the servicers that a change names, ``by=`` who wrote or is named otherwise.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from kfstate.machine import Entry, Step

__all__ = ["BEGINNING", "History", "entry", "histories", "rendered", "seconds"]

BEGINNING = 1_000_000
FOLDER = Path(__file__).parent / "golden"
_NUMBERS = {
    "change": ("session_status_change", "change_type"),
    "changed": ("state_changed", "service_state"),
    "reading": ("state_reading", "service_state"),
    "set": ("correction", "service_state"),
    "void": ("correction", "target"),
    "redecoded": ("redecoded", "target"),
    "refused": ("message_refused", "errcode"),
    "trans_refused": ("state_change_refused", "errcode"),
}
_WORDS: dict[str, tuple[str, dict[str, str | int]]] = {
    "customer": ("customer_message", {}),
    "click": ("customer_message", {"menu_click": 1}),
    "servicer": ("servicer_message", {}),
    "sent": ("message_sent", {"via": "send_msg", "counts": 1}),
    "sent_on_event": ("message_sent", {"via": "send_msg_on_event", "counts": 0}),
}
_NAMES = {"old": "servicer_from", "new": "servicer_to", "by": "servicer_to", "as": "as_kind"}


@attrs.frozen
class History:
    """One golden history."""

    title: str
    entries: tuple[Entry, ...]
    steps: tuple[str, ...]
    """The rendered step of each entry, in the order of the entries."""
    order: tuple[int, ...]
    """Positions in the order of the fold."""


def histories() -> Iterator[History]:
    """Read every golden history."""
    for path in sorted(FOLDER.glob("*.txt")):
        for text in re.split(r"^== ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            yield _history(text)


def _history(text: str) -> History:
    title, *lines = [line.strip() for line in text.splitlines() if line.strip()]
    order = [line for line in lines if line.startswith("order ")]
    told = [line.partition(">") for line in lines if line not in order]
    entries = tuple(entry(said, position) for position, (said, _, _) in enumerate(told, start=1))
    steps = tuple(" ".join(step.split()) for _, _, step in told)
    positions = [int(word) for word in order[0].split()[1:]] if order else range(1, len(told) + 1)
    return History(title, entries, steps, tuple(positions))


def seconds(said: str) -> int:
    """Return a time of the notation in seconds."""
    hours, _, rest = said.rpartition("h")
    return int(hours or 0) * 3600 + int(rest.removeprefix("+") or 0)


def entry(said: str, position: int) -> Entry:
    """Read an entry: ``30 change 2 old=a new=b tie=7``."""
    at, word, *rest = said.split()
    fields: dict[str, str | int] = {}
    kind, fixed = _WORDS.get(word, (word, {}))
    fields.update(fixed)
    if word in _NUMBERS:
        kind, name = _NUMBERS[word]
        fields[name] = int(rest.pop(0))
    for part in rest:
        name, _, value = part.partition("=")
        fields[_NAMES.get(name, name)] = int(value) if value.lstrip("-").isdecimal() else value
    made = Entry(position=position, stream=1, kind=kind, sort_second=BEGINNING + seconds(at))
    return Entry._make({**made._asdict(), **fields}.values())


def rendered(step: Step) -> str:
    """Return a step in the notation of the golden histories."""
    state = step.state
    parts = [
        step.row.name,
        f"{step.outcome} {step.before}-{state.service_state} {state.servicer or ''}".strip(),
        f"#{state.session}",
        state.evidence,
        state.doubt,
        f"expired {step.expired_at - BEGINNING}" if step.expired_at is not None else "",
        f"missing {' '.join(map(str, step.missing))}" if step.missing else "",
        step.reason or "",
    ]
    return " | ".join(part for part in parts if part)
