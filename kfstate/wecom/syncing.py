"""One pull of one account: page after page into the log, each with its cursor, until WeCom has no more.

Only one process pulls an account at a time: it has the lease. A lease can run out while its holder waits for WeCom, so
it decides nothing: with the lease comes a new epoch of the cursor, and a page of an older epoch is not stored.
"""

import logging
from functools import partial
from typing import Literal

import attrs
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kfstate.clock import SECOND
from kfstate.concurrency import Running, Signal
from kfstate.errors import ClosedError, CursorConflictError, LeaseLostError, StoreError, WecomError
from kfstate.feed.wake import quietly
from kfstate.intake import ACTOR, CursorMove, is_cursor
from kfstate.store import cursor as cursors
from kfstate.store import lease as leases
from kfstate.store.cursor import Cursor
from kfstate.store.dialect import query
from kfstate.store.envelope import OwnEntry
from kfstate.store.lease import Lease
from kfstate.wecom.holding import Holding
from kfstate.wecom.replying import PulledPage
from kfstate.wecom.site import Site
from kfstate.wecom.skew import BELIEVED

__all__ = ["KEPT", "Gap", "Outcome", "Pulled", "Puller"]

_logger = logging.getLogger("kfstate")
KEPT = 3 * 86_400 * SECOND
"""How long WeCom keeps entries, in microseconds."""
_DAY = 86_400 * SECOND
_BAD_TOKEN = 95007
_BAD_PARAMETER = 40058
_STANDING = 20
"""After so many pages in a row that bring nothing new, each with a cursor seen before, a pull is given up."""
_PAUSE = 0.05
_LEASE = "sync"
_HUNG = 3600 * SECOND
"""A lease is not lengthened for a page that has not come in so long."""

Outcome = Literal["complete", "held", "fenced", "stopped", "stalled"]
"""``held``: another process pulls this account; ``fenced``: one has taken over meanwhile; ``stopped``: we were told to
stop; ``stalled``: WeCom says that there is more, and gives nothing new."""


@attrs.frozen
class Gap:
    """A time of which entries may be lost for ever (microseconds): WeCom did not keep them until we pulled again."""

    from_at: int
    until: int


@attrs.frozen(kw_only=True)
class Pulled:
    """What became of one pull. ``synced_until`` (microseconds) is when it began, where it is complete.

    ``synced_before`` is when the last one before it did.
    ``restarted``: the cursor was given up, and all that WeCom keeps was read again.
    """

    open_kfid: str
    outcome: Outcome
    pages: int = 0
    entries: int = 0
    appended: int = 0
    duplicates: int = 0
    began_at: int = 0
    synced_before: int | None = None
    synced_until: int | None = None
    restarted: bool = False
    gap: Gap | None = None


@attrs.define(kw_only=True)
class _Progress:
    """How far a pull has come. ``asked`` is where it goes on at WeCom, ``stored`` what the database has."""

    lease: Lease
    asked: str
    stored: str
    token: str
    done: Pulled
    asked_at: int
    seen: set[str]
    standing: int = 0


@attrs.frozen(kw_only=True)
class Puller:
    """Pulls accounts into the log; ``length`` is how many seconds a process that died keeps others from an account."""

    site: Site
    stopping: Signal
    limit: int = 1000
    length: float = 15.0

    def pull(self, open_kfid: str, *, token: str = "", again: bool = False) -> Pulled:
        """Read an account to its end, and store every page with its cursor in one transaction.

        ``token`` is that of the callback; ``again``: give up the cursor and read all that WeCom keeps.
        Raises what the client and the store do; what was stored before stays.
        """
        claimed = self._claim(open_kfid)
        if claimed is None:
            return Pulled(open_kfid=open_kfid, outcome="held")
        lease, cursor = claimed
        began = self.site.clock.now()
        start = "" if again else cursor.cursor
        progress = _Progress(
            lease=lease, asked=start, stored=cursor.cursor, token=token,
            done=Pulled(
                open_kfid=open_kfid, outcome="stopped", began_at=began, synced_before=cursor.synced_until,
                restarted=again,
            ), asked_at=began, seen={start},
        )  # fmt: skip
        ended = self.site.concurrency.signal()
        keeping = self._kept_beside(progress, ended)
        try:
            return self._read(progress, cursor)
        except (CursorConflictError, LeaseLostError) as error:
            _logger.info("account %s: another process has taken over (%s)", open_kfid, error)
            return attrs.evolve(progress.done, outcome="fenced")
        finally:
            ended.set()
            keeping.join()
            self._release(progress.lease)

    # Who pulls

    def _claim(self, open_kfid: str) -> tuple[Lease, Cursor] | None:
        """Take the lease, and the cursor with a new epoch; None where another process has them."""
        claim = partial(cursors.claim, open_kfid=open_kfid, corp_id=self.site.corp_id)
        return self._holding.claim_and(open_kfid, claim, length=self._length)

    @property
    def _holding(self) -> Holding:
        return self.site.holding(_LEASE)

    @property
    def _length(self) -> int:
        return round(self.length * SECOND)

    def _keep(self, lease: Lease) -> Lease:
        return self._holding.keep(lease, length=self._length)

    def _kept_beside(self, progress: _Progress, ended: Signal) -> Running:
        """Keep the lease while WeCom is waited for: one page may take longer than it, with its retries."""
        return self.site.concurrency.spawn(
            partial(self._keep_up, progress, ended), name=f"kfstate-lease-{progress.done.open_kfid}"
        )

    def _keep_up(self, progress: _Progress, ended: Signal) -> None:
        while not ended.wait(self.length / 3):
            if self.site.clock.now() - progress.asked_at > _HUNG:
                continue
            try:
                progress.lease = self._keep(progress.lease)
            except (LeaseLostError, ClosedError):  # what comes in now is refused
                return
            except (StoreError, SQLAlchemyError) as error:
                _logger.warning("the lease of account %s was not kept: %s", progress.done.open_kfid, error)

    def fence(self, open_kfid: str) -> None:
        """Take an account away from a pull of ours that does not end, so that another process may go on at once."""
        site = self.site
        with quietly(), site.database.writing() as conn:
            if leases.release_all(conn, self._holding.key(open_kfid), site.owner):
                cursors.claim(conn, open_kfid, corp_id=site.corp_id)

    def _release(self, lease: Lease) -> None:
        self._holding.release(lease, of=f"account {lease.key.name}")

    # What is lost

    def _gap(self, cursor: Cursor, began: int) -> Gap | None:
        """Record that WeCom no longer has all that came since the last pull, if so."""
        site = self.site
        known = cursor.synced_until
        if known is None:
            with site.database.reading() as conn:
                known = _first_pull(conn, cursor)
        if known is None or began - known <= KEPT:
            return None
        gap = Gap(known, began - KEPT)
        entry = OwnEntry(
            kind="history_gap",
            actor=ACTOR,
            open_kfid=cursor.open_kfid,
            occurred_at=gap.until,
            from_at=gap.from_at,
            reason="nothing was pulled for longer than WeCom keeps entries",
            # A pull that fails after this finds the same gap again.
            key=f"history_gap/{cursor.open_kfid}/{gap.from_at}/{gap.until // _DAY}",
        )
        if not site.engine.record(entry).duplicate:
            hours = (gap.until - gap.from_at) / 3600 / SECOND
            _logger.error("account %s: %.1f hours of history may be lost", cursor.open_kfid, hours, extra=_action())
        return gap

    # The pages

    def _read(self, progress: _Progress, cursor: Cursor) -> Pulled:
        while not self.stopping.is_set():
            progress.lease = self._keep(progress.lease)
            page = self._page(progress)
            if page is None:
                continue
            if not progress.done.pages:  # now it is certain what WeCom no longer has
                progress.done = attrs.evolve(progress.done, gap=self._gap(cursor, progress.done.began_at))
            self._store(progress, page, cursor.epoch)
            if not page.has_more:
                return attrs.evolve(progress.done, outcome="complete", synced_until=self._began(progress.done))
            if progress.standing >= _STANDING:
                _logger.warning("account %s: has_more, and nothing new", page.open_kfid, extra=_action())
                return attrs.evolve(progress.done, outcome="stalled")
            if progress.standing:
                self.stopping.wait(_PAUSE)
        return progress.done

    def _page(self, progress: _Progress) -> PulledPage | None:
        """Return the next page; None: ask again, without what WeCom did not take."""
        done, progress.asked_at = progress.done, self.site.clock.now()
        try:
            return self.site.client.sync_msg(
                done.open_kfid, progress.asked, token=progress.token, limit=self.limit
            )  # fmt: skip
        except WecomError as error:
            if error.errcode == _BAD_TOKEN and progress.token:
                progress.token = ""
            elif error.errcode == _BAD_PARAMETER and progress.asked and not done.restarted:
                _logger.warning("account %s: WeCom does not know the cursor", done.open_kfid, extra=_action())
                progress.asked, progress.done = "", attrs.evolve(done, restarted=True)
            else:
                raise
        return None

    def _store(self, progress: _Progress, page: PulledPage, epoch: int) -> None:
        done = progress.done
        synced = None if page.has_more else self._began(done)
        move = CursorMove(expected=progress.stored, epoch=epoch, synced_until=synced, date_at=page.date_at)
        report = self.site.engine.ingest(page.body, account=done.open_kfid, cursor=move)
        after = page.next_cursor or progress.asked
        progress.standing = progress.standing + 1 if after in progress.seen and not report.appended else 0
        progress.asked = after
        progress.seen.add(after)
        progress.stored = self._stored(page) or progress.stored
        progress.done = attrs.evolve(
            done, pages=done.pages + 1, entries=done.entries + report.entries,
            appended=done.appended + report.appended, duplicates=done.duplicates + report.duplicates,
        )  # fmt: skip

    def _stored(self, page: PulledPage) -> str:
        """Return the cursor that the page has left in the database, '' where it cannot be kept."""
        return page.next_cursor if is_cursor(page.next_cursor) else ""

    def _began(self, done: Pulled) -> int:
        """Return when the pull began, by WeCom's clock where that is behind ours: its entries carry its time."""
        skew = max(self.site.client.skew or 0, -BELIEVED)
        return done.began_at + (skew if skew < -SECOND else 0)


def _first_pull(conn: Connection, cursor: Cursor) -> int | None:
    """Return when the first page of an account was stored, of which no pull was ever complete."""
    if not cursor.cursor:
        return None
    sql = "SELECT MIN(pulled_at) FROM kf_pull WHERE corp_id = ? AND open_kfid = ?"
    found: int | None = query(conn, sql, (cursor.corp_id, cursor.open_kfid))[0][0]
    return found


def _action() -> dict[str, str]:
    return {"action": "sync"}
