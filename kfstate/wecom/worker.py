"""Who keeps one account in step: pulls when WeCom calls, and now and then without."""

import logging
import threading
from collections.abc import Callable
from random import uniform

import attrs
from sqlalchemy.exc import SQLAlchemyError

from kfstate.clock import SECOND
from kfstate.concurrency import Running
from kfstate.errors import ClosedError, KfstateError, RateLimitError
from kfstate.wecom.callback import Notice
from kfstate.wecom.syncing import Pulled, Puller
from kfstate.wecom.trouble import FIRST, pause, tell
from kfstate.wecom.turns import Turns

__all__ = ["OnPulled", "Worker"]

_logger = logging.getLogger("kfstate")
_LOOK = 0.1
"""Seconds between two looks at an account that another process is pulling."""
_HOLLOW = 3
_AGAIN = 3600 * SECOND
"""All that WeCom keeps is read again at most once in so long, where that brought nothing."""
_QUIET = 86_400 * SECOND
"""Without callbacks, all that WeCom keeps is read again after so long without an entry."""


OnPulled = Callable[[Pulled], object]
"""Told of every pull of this process."""


@attrs.frozen
class _Wanted:
    """A pull that is wanted, since ``asked_at``; ``created_at`` is that of the callback, None without one."""

    asked_at: int
    token: str = ""
    created_at: int | None = None


class Worker:
    """Pulls one account as often as it is woken, and every ``interval`` seconds where it is not."""

    def __init__(
        self, open_kfid: str, puller: Puller, turns: Turns, *, interval: float, on_pulled: OnPulled | None = None
    ) -> None:
        self.open_kfid = open_kfid
        self.error: Exception | None = None
        """What went wrong last, None where the last pull went well."""
        self.failures = 0
        self.last: Pulled | None = None
        self._puller, self._turns, self._interval, self._on_pulled = puller, turns, interval, on_pulled
        self._site = puller.site
        self._wake = self._site.concurrency.signal()
        self._lock = threading.Lock()
        self._wanted: _Wanted | None = None
        self._hollow = 0
        self._vain = 0
        self._reread_at: int | None = None
        self._heard_at = self._site.clock.now()
        """When there was last a callback or an entry, or all was read again."""
        self._running: Running | None = None

    def start(self) -> None:
        """Run beside the caller, and pull at once."""
        self.want()
        self._running = self._site.concurrency.spawn(self._run, name=f"kfstate-sync-{self.open_kfid}")

    def halt(self) -> None:
        """Have it end after the page that it is at, and wait for nothing."""
        self._puller.stopping.set()
        self._wake.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; tell whether it has."""
        if self._running is not None:
            self._running.join(timeout)
            return not self._running.is_alive()
        return True

    def fence(self) -> None:
        """Let another process go on at once, where this one does not end."""
        try:
            self._puller.fence(self.open_kfid)
        except (KfstateError, SQLAlchemyError) as error:  # then its lease runs out
            _logger.warning("account %s was not given back: %s", self.open_kfid, error, extra={"action": "sync"})

    def want(self, notice: Notice | None = None) -> None:
        """Have it pull soon. However many ask meanwhile, it is one pull; the newest token is the best."""
        now = self._site.clock.now()
        wanted = _Wanted(now) if notice is None else _Wanted(now, notice.token, notice.created_at or now)
        self._want(wanted)
        self._wake.set()

    def _want(self, wanted: _Wanted, *, again: bool = False) -> None:
        with self._lock:
            if self._wanted is None or not again:
                before = self._wanted
                if before is not None and not wanted.token:  # do not forget one that is still good
                    wanted = attrs.evolve(wanted, token=before.token, created_at=before.created_at)
                self._wanted = wanted

    def _run(self) -> None:
        stopping = self._puller.stopping
        while not stopping.is_set():
            self._wake.clear()
            if stopping.is_set():  # set, and its wake-up cleared, since we looked
                return
            with self._lock:
                wanted, self._wanted = self._wanted, None
            if wanted is not None and not self._served(wanted):
                return
            if not self._wake.wait(self._interval * uniform(0.9, 1.1)) and self._due():  # noqa: S311 (not all at once)
                self.want()

    def _due(self) -> bool:
        """Tell whether nobody has pulled the account lately."""
        synced = self._synced_until()
        return synced is None or self._site.clock.now() - synced >= self._interval * SECOND / 2

    def _synced_until(self) -> int | None:
        try:
            cursor = self._site.engine.cursor(self.open_kfid)
        except (KfstateError, SQLAlchemyError):  # whoever pulls meets it again
            return None
        return None if cursor is None else cursor.synced_until

    def _served(self, wanted: _Wanted) -> bool:
        """Pull, or wait until another process has; tell whether to go on."""
        try:
            with self._turns.turn():
                if self._puller.stopping.is_set():
                    return False
                pulled = self._pulled(wanted)
        except ClosedError:
            return False
        except Exception as error:  # noqa: BLE001 (an account must not stay behind for ever, whatever it was)
            return self._failed(wanted, error)
        self.error, self.failures, self.last = None, 0, pulled
        self._tell(pulled)
        if pulled.outcome == "held":
            self._puller.stopping.wait(_LOOK)
        elif pulled.outcome in {"fenced", "stalled"}:
            self._vain += 1
            self._puller.stopping.wait(_about(pause(self._vain)))
        else:
            self._vain = 0
            return True
        if pulled.outcome == "stalled":
            wanted = attrs.evolve(wanted, token="")
        if not self._by_others(wanted):
            self._want(wanted, again=True)
            self._wake.set()
        return True

    def _pulled(self, wanted: _Wanted) -> Pulled:
        pulled = self._puller.pull(self.open_kfid, token=wanted.token)
        hollow, quiet = self._is_hollow(wanted, pulled), self._is_quiet(wanted, pulled)
        if not hollow and not quiet:
            return pulled
        # The cursor may be one that finds nothing any more.
        self._hollow, self._reread_at = 0, self._site.clock.now()
        if hollow:  # WeCom called again and again
            _logger.warning("account %s: callbacks, and nothing to pull: reading all again", self.open_kfid)
        else:
            _logger.info("account %s: nothing for a day, and no callback: reading all again", self.open_kfid)
        again = self._puller.pull(self.open_kfid, again=True)
        if again.appended:
            self._reread_at = None
        return again

    def _is_hollow(self, wanted: _Wanted, pulled: Pulled) -> bool:
        if pulled.outcome != "complete":
            return False
        before = pulled.synced_before
        new = wanted.created_at is not None and before is not None and wanted.created_at > before
        self._hollow = self._hollow + 1 if new and not pulled.entries else 0
        rested = self._reread_at is None or pulled.began_at - self._reread_at > _AGAIN
        return self._hollow >= _HOLLOW and rested

    def _is_quiet(self, wanted: _Wanted, pulled: Pulled) -> bool:
        """Tell whether nobody would notice that the cursor is dead: no entry and no callback for a day."""
        if pulled.entries or wanted.created_at is not None:
            self._heard_at = pulled.began_at
        quiet = pulled.outcome == "complete" and pulled.began_at - self._heard_at >= _QUIET
        if quiet:
            self._heard_at = pulled.began_at
        return quiet

    def _tell(self, pulled: Pulled) -> None:
        if self._on_pulled is not None and pulled.outcome not in {"held", "fenced"}:
            try:
                self._on_pulled(pulled)
            except Exception:
                _logger.exception("on_pulled failed", extra={"action": "sync"})

    def _by_others(self, wanted: _Wanted) -> bool:
        """Tell whether another process has completed a pull that began after this one was wanted."""
        synced = self._synced_until()
        return synced is not None and synced >= wanted.asked_at

    def _failed(self, wanted: _Wanted, error: Exception) -> bool:
        """Wait for a while, the longer the more often it failed, and try again."""
        if self._puller.stopping.is_set():
            _logger.info("account %s: a pull ended with the stop (%s)", self.open_kfid, error)
            return False
        self.error = error
        self.failures += 1
        tell(f"account {self.open_kfid} was not pulled", error, action="sync")
        wait = _about(pause(self.failures))
        waiting = self._puller.stopping
        if isinstance(error, RateLimitError):
            wait = max((error.retry_at - self._site.clock.now()) / SECOND, FIRST)
            if not wanted.token:
                waiting = self._wake  # one with the token of a callback is counted apart
        waiting.wait(wait)
        self._want(attrs.evolve(wanted, token=""), again=True)
        self._wake.set()
        return True


def _about(seconds: float) -> float:
    return seconds * uniform(0.8, 1.2)  # noqa: S311 (not all at once)
