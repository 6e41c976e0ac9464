"""What has to be done now and then, callbacks or not: expiries made visible, limits told, states read back."""

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

import attrs

from kfstate.concurrency import Concurrency, Running, Signal
from kfstate.errors import ClosedError
from kfstate.queries.rereading import Ages
from kfstate.wecom.limits import Limits, WaitingLimit
from kfstate.wecom.reconciling import Sweep, Sweeper
from kfstate.wecom.site import Site
from kfstate.wecom.trouble import FIRST, pause, tell

__all__ = ["Beat", "Due", "Timers"]

_logger = logging.getLogger("kfstate")
_LOOKS = 4
"""How often in an interval is looked whether a sweep is due: others may have been before us."""


@attrs.frozen
class Due:
    """What was due: how many expiries and limits were recorded."""

    expired: int
    limits: int


@attrs.define
class Beat:
    """Does something every ``interval`` seconds until it is stopped; after an error later and later, up to a minute."""

    name: str
    act: Callable[[], object]
    interval: float
    concurrency: Concurrency
    error: Exception | None = attrs.field(default=None, init=False)
    """What went wrong last, None where it went well."""
    failures: int = attrs.field(default=0, init=False)
    """How often in a row it went wrong."""
    _running: Running | None = attrs.field(default=None, init=False)

    def start(self, stopping: Signal) -> None:
        """Run beside the caller until the signal. Does nothing where it runs."""
        if self._running is None:
            self._running = self.concurrency.spawn(partial(self._run, stopping), name=f"kfstate-{self.name}")

    def join(self, timeout: float) -> None:
        """Wait until it has ended, at most so many seconds."""
        running, self._running = self._running, None
        if running is not None:
            running.join(timeout)

    def _run(self, stopping: Signal) -> None:
        wait = min(self.interval, FIRST)
        while not stopping.wait(wait):
            try:
                self.act()
            except ClosedError:
                return
            except Exception as error:  # noqa: BLE001 (what is due has to be done for ever, whatever it was)
                wait = self._failed(error)
            else:
                self.error, self.failures, wait = None, 0, self.interval

    def _failed(self, error: Exception) -> float:
        self.error = error
        self.failures += 1
        tell(self.name, error, action=self.name)
        return max(self.interval, pause(self.failures + 1, first=self.interval))


class Timers:
    """The timers of a service: what is due, and the sweeps. Each runs beside the caller, and beside the other.

    Every process may run them: an expiry and a limit are recorded once, and one process sweeps.
    """

    def __init__(
        self,
        site: Site,
        *,
        limits: Iterable[WaitingLimit] = (),
        interval: float = 1.0,
        sweep_interval: float = 60.0,
        readings: int = 100,
        ages: Ages | None = None,
        settle: Callable[[], object] | None = None,
    ) -> None:
        """Prepare them; nothing runs before :meth:`start`.

        ``interval`` and ``sweep_interval`` are in seconds, ``readings`` is how many a sweep takes at most; 0: none.
        ``settle`` is called soon after the start, and before each sweep: for calls whose result was never recorded.
        """
        self._site, self._limits = site, Limits(site, limits)
        self._stopping: Signal | None = None
        """Of what runs since the last start: whatever did not end with a stop never sees another's."""
        self.sweeper = Sweeper(site=site, readings=readings, ages=ages or Ages())
        self.swept: Sweep | None = None
        """The last sweep of this process."""
        self._sweep_interval, self._settle, self._settled = sweep_interval, settle, settle is None
        self.beats = (
            self._beat("timers", self.tick, interval),
            self._beat("reconcile", self._sweep_in_turn, sweep_interval / _LOOKS),
        )

    def start(self) -> None:
        """Run beside the caller until :meth:`stop`."""
        if self._stopping is None:
            self._stopping = self._site.concurrency.signal()
            for beat in self.beats:
                beat.start(self._stopping)

    def halt(self) -> None:
        """Have them end, and wait for nothing."""
        if self._stopping is not None:
            self._stopping.set()

    def stop(self, grace: float = 5.0) -> None:
        """End after the reading that is on its way, at most ``grace`` seconds later."""
        self.halt()
        self._stopping = None
        until = time.monotonic() + grace
        for beat in self.beats:
            beat.join(max(0.0, until - time.monotonic()))

    def tick(self) -> Due:
        """Record what is due, here and now."""
        return Due(expired=self._site.engine.tick(), limits=self._limits.check())

    def _sweep_in_turn(self) -> None:
        due = self.sweeper.due(self._sweep_interval)
        if self._settle is not None and (due or not self._settled):
            self._settle()
            self._settled = True
        if due:
            self.swept = self.sweeper.sweep(stopping=self._stopping)

    def _beat(self, name: str, act: Callable[[], object], interval: float) -> Beat:
        return Beat(name, act, interval, self._site.concurrency)
