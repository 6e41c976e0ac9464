"""Which failures of a call are worth another try, how often, and how long to wait between.

Attempts and pauses are tenacity's, the waiting is that of the client: a client that closes ends it, and on an event
loop nothing else waits with it.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import attrs
import tenacity

from kfstate.errors import ReplyError, UnreachableError, WecomError

__all__ = ["Retries", "retried", "worth_another_try"]

T = TypeVar("T")

_logger = logging.getLogger("kfstate")


@attrs.frozen(kw_only=True)
class Retries:
    """How often a call is repeated at most, and how many seconds lie between.

    ``first`` is doubled each time, up to ``longest``, and more by chance, up to ``jitter``. After ``patience`` seconds
    nothing is repeated.
    """

    repeats: int = 3
    first: float = 0.2
    longest: float = 5.0
    jitter: float = 0.5
    patience: float = 60.0


def worth_another_try(error: BaseException) -> bool:
    """Tell whether to repeat a call that failed like this: only where nothing can have been carried out."""
    if isinstance(error, ReplyError):
        return not 400 <= error.status < 500
    return isinstance(error, UnreachableError) or (isinstance(error, WecomError) and error.retry == "busy")


def retried(attempt: Callable[[int], T], retries: Retries, pause: Callable[[float], None]) -> T:
    """Return what ``attempt`` returns in the end; it gets its number, from 1.

    Raises what it raised last, where that is not worth another try, or it was tried often enough.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(worth_another_try),
        stop=tenacity.stop_after_attempt(retries.repeats + 1) | tenacity.stop_after_delay(retries.patience),
        wait=tenacity.wait_exponential(retries.first, max=retries.longest) + tenacity.wait_random(0, retries.jitter),
        sleep=pause, before_sleep=_tell, reraise=True,
    )  # fmt: skip
    for each in attempts:
        with each:
            return attempt(each.retry_state.attempt_number)
    raise AssertionError  # pragma: no cover (tenacity ends with a result or an error)


def _tell(state: tenacity.RetryCallState) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    _logger.info("tried again in %.1f seconds: %s", state.upcoming_sleep, error, extra={"action": "retry"})
