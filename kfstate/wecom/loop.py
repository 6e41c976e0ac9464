"""The sync loop: a worker for each account, woken by callbacks; and who sees to it that every account has one."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

import attrs
from sqlalchemy.exc import SQLAlchemyError

from kfstate.concurrency import Running
from kfstate.errors import ClosedError, KfstateError
from kfstate.wecom.accounts import known_accounts, read_accounts, read_servicers
from kfstate.wecom.callback import AUTH_CHANGE, MSG_OR_EVENT, Notice
from kfstate.wecom.site import Site
from kfstate.wecom.syncing import Pulled, Puller
from kfstate.wecom.turns import Turns
from kfstate.wecom.worker import OnPulled, Worker

__all__ = ["Loop", "Pace"]

_logger = logging.getLogger("kfstate")
_FIRST, _LONGEST = 1.0, 60.0


@attrs.frozen(kw_only=True)
class Pace:
    """How the loop runs; seconds where nothing else is said.

    ``interval`` is how often an account is pulled without a callback, ``refresh`` how often accounts and servicers are
    read, ``lease`` how long an account waits for a process that died while it pulled it, ``at_once`` how many accounts
    a process pulls at a time, ``grace`` how long a stop waits for the page that is on its way.
    """

    interval: float = 60.0
    limit: int = 1000
    refresh: float = 600.0
    lease: float = 15.0
    at_once: int = 8
    grace: float = 5.0


class Loop:
    """Keeps accounts in step until it is stopped. ``accounts``: only these; none given: all that the app may see."""

    def __init__(
        self,
        site: Site,
        *,
        accounts: Sequence[str] = (),
        pace: Pace | None = None,
        on_pulled: OnPulled | None = None,
    ) -> None:
        self.pace = pace or Pace()
        self.error: Exception | None = None
        """What went wrong last when accounts were read."""
        self._site, self._only, self._on_pulled = site, tuple(accounts), on_pulled
        self._turns = Turns(site.concurrency, self.pace.at_once)
        self._stopping, self._refresh = site.concurrency.signal(), site.concurrency.signal()
        self._workers: dict[str, Worker] = {}
        self._ended: list[Worker] = []
        self._beside: Running | None = None

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those who pull."""
        return tuple(self._workers.values())

    def start(self) -> None:
        """Run beside the caller until :meth:`stop`. Does nothing where it runs."""
        if self._beside is not None:
            return
        self._stopping.clear()
        for open_kfid in self._only:
            self._begin(open_kfid)
        self._beside = self._site.concurrency.spawn(self._supervise, name="kfstate-accounts")

    def notice(self, notice: Notice) -> None:
        """Wake whoever pulls the account of a callback; waits for nothing."""
        if self._beside is None or self._stopping.is_set():
            return
        if notice.event == AUTH_CHANGE:
            self._refresh.set()
        if notice.event != MSG_OR_EVENT:
            return
        if not notice.open_kfid:  # as in 2021: some account, nobody knows which
            for worker in self.workers:
                worker.want(notice)
        elif notice.open_kfid in self._workers:
            self._workers[notice.open_kfid].want(notice)
        elif not self._only:
            self._refresh.set()  # a new account

    def halt(self) -> None:
        """Have everything end, and wait for nothing."""
        self._stopping.set()
        self._refresh.set()
        for worker in self.workers:
            worker.halt()

    def stop(self) -> None:
        """End after the pages that are on their way, at most ``grace`` seconds later.

        What has not ended by then is fenced off, so that another process may go on at once.
        """
        self.halt()
        until = time.monotonic() + self.pace.grace
        beside, self._beside = self._beside, None
        if beside is not None:
            beside.join(max(0.0, until - time.monotonic()))
        workers = [*self._workers.values(), *self._ended]
        self._workers, self._ended = {}, []
        for worker in workers:
            worker.halt()
            if not worker.join(max(0.0, until - time.monotonic())):
                worker.fence()

    def once(self, *, again: bool = False) -> list[Pulled]:
        """Pull every account to its end, a few at a time, and return what became of each.

        ``again``: read all that WeCom keeps. Raises what the first account that failed did, after the others.
        """
        accounts = self._only or tuple(str(account.open_kfid) for account in read_accounts(self._site))
        done: dict[str, Pulled | Exception] = {}
        running = [
            self._site.concurrency.spawn(partial(self._once, open_kfid, done, again), name=f"kfstate-sync-{open_kfid}")
            for open_kfid in accounts
        ]
        for one in running:
            one.join()
        for result in done.values():
            if isinstance(result, Exception):
                raise result
        return [pulled for open_kfid in accounts if isinstance(pulled := done.get(open_kfid), Pulled)]

    def _once(self, open_kfid: str, done: dict[str, Pulled | Exception], again: bool) -> None:  # noqa: FBT001
        try:
            with self._turns.turn():
                done[open_kfid] = self._puller().pull(open_kfid, again=again)
        except Exception as error:  # noqa: BLE001 (raised where it was asked for)
            done[open_kfid] = error

    # Which accounts

    def _supervise(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._refresh.clear()
            if self._stopping.is_set():  # set, and its wake-up cleared, since we looked
                return
            try:
                self._look()
            except ClosedError:
                return
            except (KfstateError, SQLAlchemyError) as error:
                failures += 1
                self.error = error
                _logger.warning("the accounts were not read: %s", error, extra={"action": "accounts"})
                self._quietly(self._fall_back)
                self._stopping.wait(min(_FIRST * 2 ** min(failures - 1, 10), _LONGEST))
            else:
                failures, self.error = 0, None
                self._refresh.wait(self.pace.refresh)

    def _look(self) -> None:
        """Read accounts and servicers; begin and end workers as that says."""
        found = {str(account.open_kfid): account for account in read_accounts(self._site)}
        wanted = self._only or tuple(found)
        for open_kfid in wanted:
            self._begin(open_kfid)
        for open_kfid in [name for name in self._workers if name not in wanted]:
            worker = self._workers.pop(open_kfid)
            worker.halt()
            self._ended.append(worker)
        for open_kfid in wanted:
            if self._stopping.is_set():
                return
            if open_kfid in found:
                self._quietly(partial(read_servicers, self._site, open_kfid))

    def _fall_back(self) -> None:
        """Pull what was pulled before, where WeCom does not say which accounts there are."""
        for open_kfid in self._workers or self._only or known_accounts(self._site):
            self._begin(open_kfid)

    def _quietly(self, act: Callable[[], object]) -> None:
        try:
            act()
        except ClosedError:
            raise
        except (KfstateError, SQLAlchemyError) as error:
            _logger.warning("%s", error, extra={"action": "accounts"})

    def _begin(self, open_kfid: str) -> None:
        if open_kfid not in self._workers and not self._stopping.is_set():
            worker = Worker(
                open_kfid, self._puller(), self._turns, interval=self.pace.interval, on_pulled=self._on_pulled
            )  # fmt: skip
            self._workers[open_kfid] = worker
            worker.start()

    def _puller(self) -> Puller:
        stopping = self._site.concurrency.signal()
        return Puller(site=self._site, stopping=stopping, limit=self.pace.limit, length=self.pace.lease)
