"""How far each account is in step with WeCom."""

from datetime import datetime

import attrs

from kfstate.clock import SECOND
from kfstate.queries.views import at_second, at_time
from kfstate.store.dialect import as_text, query
from kfstate.wecom.loop import Loop
from kfstate.wecom.site import Site

__all__ = ["AccountStatus", "standing"]

_ACCOUNTS = (
    "SELECT c.open_kfid, c.synced_until, a.manage_privilege, a.gap_from, a.gap_until, l.owner, l.lease_until, "
    "(SELECT MAX(p.pulled_at) FROM kf_pull p WHERE p.corp_id = c.corp_id AND p.open_kfid = c.open_kfid) "
    "FROM kf_cursor c LEFT JOIN kf_account a ON a.open_kfid = c.open_kfid "
    "LEFT JOIN kf_lease l ON l.corp_id = c.corp_id AND l.kind = 'sync' AND l.name = c.open_kfid "
    "WHERE c.corp_id = ? ORDER BY c.open_kfid"
)


@attrs.frozen(kw_only=True)
class AccountStatus:
    """How one account stands; what is None is not known.

    ``lag`` is how many seconds ago the last complete pull began: all that WeCom had then is in the log. ``cursor_age``
    is how many seconds ago a page came in. ``gap_from`` and ``gap_until`` bound the last time of which entries may be
    lost. ``pulled_by`` is who pulls it now, ``error`` and ``failures`` what went wrong in this process.
    """

    open_kfid: str
    manage_privilege: bool | None = None
    synced_until: datetime | None = None
    lag: float | None = None
    cursor_age: float | None = None
    gap_from: datetime | None = None
    gap_until: datetime | None = None
    pulled_by: str = ""
    error: str = ""
    failures: int = 0


def standing(site: Site, loop: Loop) -> list[AccountStatus]:
    """Return how every account stands that was ever pulled, or is to be."""
    now = site.clock.now()
    with site.database.reading() as conn:
        rows = query(conn, _ACCOUNTS, (site.corp_id,))
    workers = {worker.open_kfid: worker for worker in loop.workers}
    found: dict[str, AccountStatus] = {}
    for open_kfid, synced, manages, gap_from, gap_until, owner, until, pulled in rows:
        name = as_text(open_kfid)
        found[name] = AccountStatus(
            open_kfid=name,
            manage_privilege=None if manages is None else bool(manages),
            synced_until=at_time(synced),
            lag=_since(synced, now),
            cursor_age=_since(pulled, now),
            gap_from=at_second(gap_from),
            gap_until=at_second(gap_until),
            pulled_by=as_text(owner) if until is not None and until > now else "",
        )
    for name, worker in workers.items():
        status = found.get(name, AccountStatus(open_kfid=name))
        found[name] = attrs.evolve(status, error=_told(worker.error), failures=worker.failures)
    return [found[name] for name in sorted(found)]


def _since(at: int | None, now: int) -> float | None:
    return None if at is None else max(0, now - at) / SECOND


def _told(error: Exception | None) -> str:
    return "" if error is None else f"{type(error).__name__}: {error}"
