"""Payloads that age out: what people said goes after a time, what happened stays."""

from datetime import timedelta

import attrs
from sqlalchemy import Connection

from kfstate.audit.people import receipts
from kfstate.audit.people.holding import keeper, purge
from kfstate.audit.people.receipts import Ground, Receipt, Record
from kfstate.clock import SECOND
from kfstate.errors import ArgumentError
from kfstate.store.clearing import Clearable, clear_payloads, clear_traces
from kfstate.store.dialect import as_text, query
from kfstate.store.head import lock_head
from kfstate.store.own_kinds import RECEIPTS

__all__ = ["Retained", "age_out", "destroy", "oldest"]

_OLD = (
    "SELECT e.position, e.kind, e.via, s.open_kfid, s.customer FROM kf_entry e JOIN kf_stream s ON s.id = e.stream "
    "WHERE e.position > ? AND e.recorded_at < ? AND s.corp_id = ? ORDER BY e.position LIMIT ?"
)
_AT_ONCE = 2_000
"""How many entries a transaction looks at: nobody else appends meanwhile."""
_KEPT = frozenset({"machine_activated", "correction"})
"""What decides how the log is read, with nobody's words in it."""


@attrs.frozen
class Retained:
    """What a run of the retention took out."""

    payloads: int
    sealed: int
    """How many of them legal holds keep, sealed."""
    purged: int
    """How many sealed ones were destroyed, because no hold keeps them any more."""
    until: int
    """The last position that was old enough."""
    receipts: tuple[int, ...]
    """Where the receipts stand in the log."""


def oldest(keep: timedelta, *, now: int) -> int:
    """Return before which time (microseconds) payloads are too old.

    Raises :class:`~kfstate.errors.ArgumentError`.
    """
    if keep < timedelta(days=3):
        # WeCom keeps messages for 3 days: within them a service may still have to look at what was said.
        raise ArgumentError(name="payloads", value=str(keep), allowed="3 days at least")
    return now - (keep.days * 86_400 + keep.seconds) * SECOND


def age_out(conn: Connection, record: Record, ground: Ground, *, before: int, now: int, corp_id: str) -> Receipt | None:
    """Clear the next payloads that were stored before a time, and return the receipt; None: there are none.

    It goes on where the last one ended.
    """
    lock_head(conn)
    done = receipts.last(conn, "retained", corp_id=corp_id)
    start = done.until or 0 if done is not None else 0
    rows = query(conn, _OLD, (start, before, corp_id, _AT_ONCE))
    if not rows:
        return None
    old = [
        Clearable(position, kind, as_text(open_kfid), customer)
        for position, kind, via, open_kfid, customer in rows
        if kind not in _KEPT and not (kind == "own_action" and via in RECEIPTS)
    ]
    keeps = keeper(conn, now=now, corp_id=corp_id)
    cleared = clear_payloads(conn, old, corp_id=corp_id, keeps=keeps, now=now)
    letters = clear_traces(conn, [entry.position for entry in old])
    if not cleared.payloads and len(rows) < _AT_ONCE:
        return None
    return receipts.write(
        conn, record, "retained", ground, cleared, entries=len(rows), dead_letters=letters, until=rows[-1][0]
    )  # fmt: skip


def destroy(conn: Connection, record: Record, ground: Ground, *, now: int, corp_id: str) -> Receipt | None:
    """Destroy what is sealed and kept by no hold any more, and return the receipt; None: there is nothing."""
    lock_head(conn)
    payloads, names = purge(conn, now=now, corp_id=corp_id)
    return receipts.write(conn, record, "purged", ground, payloads=payloads) if payloads or names else None
