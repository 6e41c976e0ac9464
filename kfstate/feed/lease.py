"""Who runs a subscription: one row each, with its checkpoint, and an epoch that fences off whoever ran it before."""

from typing import Any, NamedTuple

import attrs
from sqlalchemy import Connection, Select, delete, or_, select, update

from kfstate.clock import Clock
from kfstate.errors import LeaseLostError
from kfstate.feed import letters
from kfstate.store.checkpoint import Checkpoint
from kfstate.store.dialect import query
from kfstate.store.tables import kf_subscription

__all__ = [
    "Lease",
    "Standing",
    "claim",
    "create",
    "find",
    "free",
    "held",
    "lock",
    "look",
    "move",
    "release",
    "remove",
    "renew",
]

_held = kf_subscription.c


@attrs.frozen
class Lease:
    """The right to run a subscription, and where it stands.

    ``epoch`` grows with every claim, so that whatever a former runner writes no longer matches. ``until`` is in
    microseconds of the engine's clock.
    """

    name: str
    epoch: int
    checkpoint: Checkpoint
    until: int


@attrs.frozen
class Standing:
    """What a runner looks at before it reads: the log at its checkpoint, how far steps go, whether letters wait."""

    chain: str | None
    projected: int
    requeued: bool


class _Row(NamedTuple):
    epoch: int
    position: int


_LOOK = (
    "SELECT epoch, position, (SELECT chain FROM kf_entry WHERE position = ?), "
    "(SELECT MAX(position) FROM kf_projection WHERE name = 'shipped' AND status = 'live'), "
    "(SELECT COUNT(*) FROM kf_dead_letter WHERE name = ? AND status = ?) FROM kf_subscription WHERE name = ?"
)


def find(conn: Connection, name: str) -> Any:
    """Return the row of a subscription, or None."""
    return conn.execute(select(kf_subscription).where(_held.name == name)).first()


def create(conn: Connection, name: str, start: Checkpoint, *, now: int) -> None:
    """Add a subscription that nobody runs yet."""
    row = {
        "name": name, "position": start.position, "chain": bytes.fromhex(start.chain), "epoch": 0, "owner": "",
        "lease_until": 0, "error": None, "created_at": now, "moved_at": None,
    }  # fmt: skip
    conn.execute(kf_subscription.insert().values(row))


def free(row: Any, *, now: int, restart: bool) -> bool:
    """Tell whether a subscription may be claimed; one that failed only to start it again."""
    return (row.owner == "" or row.lease_until <= now) and (restart or row.error is None)


def claim(conn: Connection, name: str, owner: str, *, clock: Clock, length: int, restart: bool) -> Lease | None:
    """Become the one runner of a subscription; None where somebody else is, or its last handling is not over.

    Raises :class:`~kfstate.errors.LeaseLostError` where there is no such subscription any more.
    """
    # Skipping what is locked: a runner that is in the middle of a handler may have outlived its lease.
    row = conn.execute(select(kf_subscription).where(_held.name == name).with_for_update(skip_locked=True)).first()
    if row is None:
        if find(conn, name) is None:
            raise LeaseLostError(name=name, epoch=0, current=0)
        return None
    now = clock.now()
    if not free(row, now=now, restart=restart):
        return None
    guard = (_held.name == name) & (_held.epoch == row.epoch) & or_(_held.owner == "", _held.lease_until <= now)
    values = {"owner": owner, "epoch": row.epoch + 1, "lease_until": now + length, "error": None}
    if conn.execute(update(kf_subscription).where(guard).values(values)).rowcount != 1:
        return None
    return Lease(name, row.epoch + 1, _checkpoint(row), now + length)


def held(row: Any) -> Lease:
    """Return the lease of which this is the row."""
    return Lease(row.name, row.epoch, _checkpoint(row), row.lease_until)


def _checkpoint(row: Any) -> Checkpoint:
    return Checkpoint(row.position, bytes(row.chain).hex())


def lock(conn: Connection, lease: Lease) -> None:
    """Lock the row until the transaction ends, so that two never handle the same entry at the same time.

    Raises :class:`~kfstate.errors.LeaseLostError` where the lease is another's by now.
    """
    _check(lease, conn.execute(_row(lease).with_for_update()).first())


def look(conn: Connection, lease: Lease) -> Standing:
    """Return what there is to know before entries are read, in one question; locks nothing.

    Raises :class:`~kfstate.errors.LeaseLostError` where the lease is another's by now.
    """
    at = lease.checkpoint.position
    found = query(conn, _LOOK, (at, lease.name, letters.REQUEUED, lease.name))
    _check(lease, None if not found else _Row(*found[0][:2]))
    chain, projected, requeued = found[0][2:]
    return Standing(None if chain is None else bytes(chain).hex(), projected or 0, requeued > 0)


def _row(lease: Lease) -> Select[Any, Any]:
    return select(_held.epoch, _held.position).where(_held.name == lease.name)


def _check(lease: Lease, row: Any) -> None:
    if row is None or (row.epoch, row.position) != (lease.epoch, lease.checkpoint.position):
        raise _lost(lease, row)


def move(conn: Connection, lease: Lease, to: Checkpoint, *, now: int, length: int) -> Lease:
    """Move the checkpoint, and lengthen the lease; in the transaction of the handler.

    Raises :class:`~kfstate.errors.LeaseLostError` where the lease is another's by now, or the checkpoint elsewhere.
    """
    values = {"position": to.position, "chain": bytes.fromhex(to.chain), "lease_until": now + length, "moved_at": now}
    _guarded(conn, lease, values)
    return attrs.evolve(lease, checkpoint=to, until=now + length)


def renew(conn: Connection, lease: Lease, *, now: int, length: int) -> Lease:
    """Lengthen the lease. Raises :class:`~kfstate.errors.LeaseLostError`."""
    _guarded(conn, lease, {"lease_until": now + length})
    return attrs.evolve(lease, until=now + length)


def release(conn: Connection, lease: Lease, *, error: str | None = None) -> None:
    """Give the subscription back, so that the next runner need not wait; ``error`` says why it failed."""
    values = {"owner": "", "lease_until": 0, "error": error}
    conn.execute(
        update(kf_subscription).where((_held.name == lease.name) & (_held.epoch == lease.epoch)).values(values)
    )


def remove(conn: Connection, name: str) -> bool:
    """Remove a subscription; tell whether there was one."""
    return conn.execute(delete(kf_subscription).where(_held.name == name)).rowcount == 1


def _guarded(conn: Connection, lease: Lease, values: dict[str, Any]) -> None:
    guard = (_held.name == lease.name) & (_held.epoch == lease.epoch) & (_held.position == lease.checkpoint.position)
    if conn.execute(update(kf_subscription).where(guard).values(values)).rowcount != 1:
        raise _lost(lease, find(conn, lease.name))


def _lost(lease: Lease, row: Any) -> LeaseLostError:
    return LeaseLostError(name=lease.name, epoch=lease.epoch, current=0 if row is None else row.epoch)
