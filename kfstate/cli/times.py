"""Times and places of the log, as options give them."""

from datetime import datetime
from typing import TypedDict

from kfstate.cli.exits import LARGEST, UsageError

__all__ = ["Place", "number_of", "place_of", "time_of"]


class Place(TypedDict):
    """What a question about then takes."""

    at: datetime | None
    known_at: datetime | int | None


def place_of(at: str | None, known_at: str | None, *, as_of_log: bool = False) -> Place | None:
    """Return the time and the place in the log that ``--at`` and ``--known-at`` name; None where neither does."""
    if not at and not known_at:
        return None
    if as_of_log:
        raise UsageError("--as-of-log: not together with --at or --known-at")
    return {"at": time_of("--at", at), "known_at": _known_at(known_at)}


def time_of(option: str, text: str | None) -> datetime | None:
    """Return the time that an option names; without a zone it is the machine's, in which tables show times."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone() if found.tzinfo is None else found
    except (ValueError, OverflowError, OSError):
        raise UsageError(f'{option}: "{text}" is no time, as 2026-11-22T10:00:00+08:00') from None


def _known_at(text: str | None) -> datetime | int | None:
    number = number_of(text or "")
    return time_of("--known-at", text) if number is None else number


def number_of(text: str) -> int | None:
    """Return the number that a text is; None where it is none, or a larger one than databases have."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else LARGEST
    return number if number < LARGEST else None
