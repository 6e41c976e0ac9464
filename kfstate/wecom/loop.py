"""The sync loop: a worker for each account, woken by callbacks; and who sees to it that every account has one."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import attrs

from kfstate.concurrency import Running, Signal
from kfstate.errors import ClosedError
from kfstate.wecom.accounts import known_accounts, read_accounts, read_servicers
from kfstate.wecom.callback import AUTH_CHANGE, MSG_OR_EVENT, Notice
from kfstate.wecom.site import Site
from kfstate.wecom.syncing import Pulled, Puller
from kfstate.wecom.trouble import pause, tell
from kfstate.wecom.turns import Turns
from kfstate.wecom.worker import OnPulled, Worker

__all__ = ["Loop", "Pace"]

_logger = logging.getLogger("kfstate")
_SOON = 10.0
"""Seconds until accounts are read again, where one was not listed."""


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


@attrs.define(eq=False)
class _Run:
    """What runs between a start and its stop. What does not end in time goes on with this one, and begins nothing."""

    stopping: Signal
    refresh: Signal
    workers: dict[str, Worker] = attrs.Factory(dict)
    ended: list[Worker] = attrs.Factory(list)
    missed: set[str] = attrs.Factory(set)
    """Accounts that the last list did not have, or that WeCom says were taken from us."""
    beside: Running | None = None
    lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False)
    """Held for a few statements: no worker begins once the stop has begun."""

    def halt(self) -> None:
        """Have everything end, and wait for nothing."""
        with self.lock:
            self.stopping.set()
        self.refresh.set()
        for worker in tuple(self.workers.values()):
            worker.halt()


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
        self._run: _Run | None = None

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those who pull."""
        run = self._run
        return () if run is None else tuple(run.workers.values())

    def start(self) -> None:
        """Run beside the caller until :meth:`stop`. Does nothing where it runs."""
        if self._run is not None:
            return
        concurrency = self._site.concurrency
        self._run = run = _Run(concurrency.signal(), concurrency.signal())
        for open_kfid in self._only:
            self._begin(run, open_kfid)
        run.beside = concurrency.spawn(partial(self._supervise, run), name="kfstate-accounts")

    def notice(self, notice: Notice) -> None:
        """Wake whoever pulls the account of a callback; waits for nothing."""
        run = self._run
        if run is None or run.stopping.is_set():
            return
        if notice.event == AUTH_CHANGE:
            run.missed.update(notice.revoked)
            run.refresh.set()
        if notice.event != MSG_OR_EVENT:
            return
        if not notice.open_kfid:  # as in 2021: some account, nobody knows which
            for worker in tuple(run.workers.values()):
                worker.want(notice)
        elif (mine := run.workers.get(notice.open_kfid)) is not None:
            mine.want(notice)
        elif not self._only:
            run.refresh.set()  # a new account

    def halt(self) -> None:
        """Have everything end, and wait for nothing."""
        if self._run is not None:
            self._run.halt()

    def stop(self) -> None:
        """End after the pages that are on their way, at most ``grace`` seconds later.

        What has not ended by then is fenced off, so that another process may go on at once.
        """
        run, self._run = self._run, None
        if run is None:
            return
        run.halt()
        until = time.monotonic() + self.pace.grace
        if run.beside is not None:
            run.beside.join(max(0.0, until - time.monotonic()))
        for worker in [*run.workers.values(), *run.ended]:
            worker.halt()
            if not worker.join(max(0.0, until - time.monotonic())):
                worker.fence()

    def once(self, *, again: bool = False) -> list[Pulled]:
        """Pull every account to its end, a few at a time, and return what became of each.

        ``again``: read all that WeCom keeps. One that fails stops no other: what the first of them raised is raised
        after all, with a note that names every account that failed.
        """
        accounts = self._only or tuple(str(account.open_kfid) for account in read_accounts(self._site))
        done: dict[str, Pulled | Exception] = {}
        running = [
            self._site.concurrency.spawn(partial(self._once, open_kfid, done, again), name=f"kfstate-sync-{open_kfid}")
            for open_kfid in accounts
        ]
        for one in running:
            one.join()
        failed = {open_kfid: result for open_kfid, result in done.items() if isinstance(result, Exception)}
        if failed:
            first = next(iter(failed.values()))
            for open_kfid, error in failed.items():
                first.add_note(f"account {open_kfid}" if error is first else f"account {open_kfid}: {error}")
            raise first
        return [pulled for open_kfid in accounts if isinstance(pulled := done.get(open_kfid), Pulled)]

    def _once(self, open_kfid: str, done: dict[str, Pulled | Exception], again: bool) -> None:  # noqa: FBT001
        try:
            with self._turns.turn():
                done[open_kfid] = pulled = self._puller().pull(open_kfid, again=again)
            if self._on_pulled is not None:
                self._on_pulled(pulled)
        except Exception as error:  # noqa: BLE001 (raised where it was asked for)
            tell(f"account {open_kfid} was not pulled", error, action="sync")
            done[open_kfid] = error

    # Which accounts

    def _supervise(self, run: _Run) -> None:
        failures = 0
        while not run.stopping.is_set():
            run.refresh.clear()
            if run.stopping.is_set():  # set, and its wake-up cleared, since we looked
                return
            try:
                self._look(run)
            except ClosedError:
                return
            except Exception as error:  # noqa: BLE001 (accounts must not stay unread for ever, whatever it was)
                if run.stopping.is_set():
                    return
                failures += 1
                self.error = error
                tell("the accounts were not read", error, action="accounts")
                with suppress(ClosedError):  # found out again in a moment
                    self._quietly(partial(self._fall_back, run))
                run.stopping.wait(pause(failures))
            else:
                failures, self.error = 0, None
                run.refresh.wait(min(self.pace.refresh, _SOON) if run.missed else self.pace.refresh)

    def _look(self, run: _Run) -> None:
        """Read accounts and servicers; begin and end workers as that says."""
        found = {str(account.open_kfid): account for account in read_accounts(self._site)}
        wanted = self._only or tuple(found)
        for open_kfid in wanted:
            self._begin(run, open_kfid)
        self._end(run, {open_kfid for open_kfid in run.workers if open_kfid not in wanted})
        for open_kfid in wanted:
            if run.stopping.is_set():
                return
            if open_kfid in found:
                self._quietly(partial(read_servicers, self._site, open_kfid))

    def _end(self, run: _Run, missing: set[str]) -> None:
        """End the workers of accounts that are missing from two lists in a row: one list alone may be wrong."""
        for open_kfid in sorted(missing & run.missed):
            _logger.warning("account %s is no longer listed: it is not pulled", open_kfid, extra={"action": "accounts"})
            worker = run.workers.pop(open_kfid)
            worker.halt()
            run.ended.append(worker)
        for open_kfid in sorted(missing - run.missed):
            _logger.warning("account %s is not listed: asked once more", open_kfid, extra={"action": "accounts"})
        run.missed = missing - run.missed

    def _fall_back(self, run: _Run) -> None:
        """Pull what was pulled before, where WeCom does not say which accounts there are."""
        for open_kfid in tuple(run.workers) or self._only or known_accounts(self._site):
            self._begin(run, open_kfid)

    def _quietly(self, act: Callable[[], object]) -> None:
        try:
            act()
        except ClosedError:
            raise
        except Exception as error:  # noqa: BLE001 (the other accounts must not suffer from it)
            tell("accounts", error, action="accounts")

    def _begin(self, run: _Run, open_kfid: str) -> None:
        with run.lock:
            if open_kfid in run.workers or run.stopping.is_set():
                return
            worker = Worker(
                open_kfid, self._puller(), self._turns, interval=self.pace.interval, on_pulled=self._on_pulled
            )  # fmt: skip
            worker.start()
            run.workers[open_kfid] = worker

    def _puller(self) -> Puller:
        stopping = self._site.concurrency.signal()
        return Puller(site=self._site, stopping=stopping, limit=self.pace.limit, length=self.pace.lease)
