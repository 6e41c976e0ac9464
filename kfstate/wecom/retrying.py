"""Which failures of a call are worth another try, how often, and how long to wait between.

Attempts and pauses are stamina's (its instrumentation and ``stamina.set_testing`` work), but the waiting is that of the
client: a client that closes ends it, and on an event loop nothing else waits with it.
"""

from collections.abc import Callable
from random import uniform
from typing import TypeVar

import attrs
import stamina

from kfstate.errors import ReplyError, UnreachableError, WecomError

__all__ = ["Retries", "retried", "worth_another_try"]

T = TypeVar("T")


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


def worth_another_try(error: Exception) -> bool:
    """Tell whether to repeat a call that failed like this: only where nothing can have been carried out."""
    if isinstance(error, ReplyError):
        return not 400 <= error.status < 500
    return isinstance(error, UnreachableError) or (isinstance(error, WecomError) and error.retry == "busy")


def retried(attempt: Callable[[int], T], retries: Retries, pause: Callable[[float], None]) -> T:
    """Return what ``attempt`` returns in the end; it gets its number, from 1.

    Raises what it raised last, where that is not worth another try, or it was tried often enough.
    """
    wait = 0.0

    def again(error: Exception) -> float | bool:
        # stamina is to wait no time at all: the next attempt begins with the pause.
        return 0.0 if worth_another_try(error) else False

    context = stamina.retry_context(
        on=again, attempts=retries.repeats + 1, timeout=retries.patience, wait_initial=retries.first,
        wait_max=retries.longest, wait_jitter=0.0,
    )  # fmt: skip
    for each in context:
        with each:
            if wait > 0:
                pause(wait)
            least = each.next_wait
            wait = least + uniform(0, retries.jitter) if least else 0.0  # noqa: S311 (it spreads, it hides nothing)
            return attempt(each.num)
    raise AssertionError  # pragma: no cover (stamina ends with a result or an error)
