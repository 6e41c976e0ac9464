"""Times and places of the log, as options give them."""

from datetime import datetime

from kfstate.cli.exits import UsageError

__all__ = ["known_at_of", "time_of"]


def time_of(option: str, text: str | None) -> datetime | None:
    """Return the time that an option names; without a zone it is the machine's, in which tables show times."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone() if found.tzinfo is None else found
    except (ValueError, OverflowError, OSError):
        raise UsageError(f'{option}: "{text}" is no time, as 2026-11-22T10:00:00+08:00') from None


def known_at_of(option: str, text: str | None) -> datetime | int | None:
    """Return the place in the log that an option names: a position, or a time."""
    if text and text.isascii() and text.isdigit():
        return int(text)
    return time_of(option, text)
