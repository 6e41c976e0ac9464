"""What goes on for ever and failed: told, and tried again later and later."""

import logging

from sqlalchemy.exc import SQLAlchemyError

from kfstate.errors import KfstateError

__all__ = ["FIRST", "pause", "tell"]

_logger = logging.getLogger("kfstate")
FIRST = 1.0
"""Seconds to wait after a first failure."""
_LONGEST = 60.0


def pause(times: int, *, first: float = FIRST) -> float:
    """Return how many seconds to wait after so many failures in a row: doubled each time, up to a minute."""
    longer: float = min(first * 2 ** min(times - 1, 10), _LONGEST)
    return longer


def tell(what: str, error: Exception, *, action: str) -> None:
    """Log that something failed: with its traceback where it is none of the errors that are to be expected."""
    if isinstance(error, (KfstateError, SQLAlchemyError)):
        _logger.warning("%s: %s", what, error, extra={"action": action})
    else:
        _logger.error("%s", what, exc_info=error, extra={"action": action})
