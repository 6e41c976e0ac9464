"""Times and places of the log, as options give them."""

from datetime import datetime
from typing import TypedDict

from kfstate.cli.exits import UsageError

__all__ = ["Place", "place_of", "time_of"]


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
    if text and text.isascii() and text.isdigit():
        return int(text)
    return time_of("--known-at", text)
