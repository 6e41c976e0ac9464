"""Leases: who does what only one process may do at a time, and an epoch that fences off whoever did it before.

As for subscriptions (:mod:`kfstate.feed.lease`), but of anything that has a name, and without a checkpoint.
"""

import os
import secrets
import socket
from typing import Any

import attrs
from sqlalchemy import ColumnElement, Connection, or_, select, update

from kfstate.clock import SECOND, Clock
from kfstate.errors import LeaseLostError
from kfstate.store.tables import kf_lease

__all__ = ["Lease", "LeaseKey", "check", "claim", "is_held", "owner_name", "release", "release_all", "renew"]

_held = kf_lease.c
_AHEAD, _LEAST = 2, 120 * SECOND
"""A lease that lasts for more than so many lengths was taken by a clock that ran ahead: it holds nobody up.

At least so many microseconds: another process may have other settings.
"""


@attrs.frozen
class LeaseKey:
    """What a lease is of: ``kind`` says what its holder does, ``name`` to what."""

    corp_id: str
    kind: str
    name: str


@attrs.frozen
class Lease:
    """The right to do something until ``until`` (µs of the holder's clock); ``epoch`` grows with every claim."""

    key: LeaseKey
    epoch: int
    owner: str
    until: int


def owner_name() -> str:
    """Return a name that no other holder has, and that people can find."""
    return f"{socket.gethostname()[:80]}:{os.getpid()}:{secrets.token_hex(4)}"


def is_held(conn: Connection, key: LeaseKey, *, now: int, length: int) -> bool:
    """Tell whether somebody has a lease of about ``length`` microseconds; locks nothing."""
    row = _find(conn, key)
    return row is not None and row.owner != "" and now < row.lease_until <= now + max(_AHEAD * length, _LEAST)


def claim(conn: Connection, key: LeaseKey, owner: str, *, clock: Clock, length: int) -> Lease | None:
    """Become the one holder for ``length`` microseconds; None where somebody else is.

    One that would last twice as long, and two minutes at least, is taken over: it is of a clock that ran ahead.
    Raises ``sqlalchemy.exc.IntegrityError`` where somebody else claims the same lease for the first time meanwhile.
    """
    row = _find(conn, key, lock=True)
    if row is None:
        if _find(conn, key) is not None:  # another one has it locked
            return None
        lease = Lease(key, 1, owner, clock.now() + length)
        values = {**attrs.asdict(key), "epoch": 1, "owner": owner, "lease_until": lease.until}
        conn.execute(kf_lease.insert().values(values))
        return lease
    now = clock.now()
    lease = Lease(key, row.epoch + 1, owner, now + length)
    free = or_(_held.owner == "", _held.lease_until <= now, _held.lease_until > now + max(_AHEAD * length, _LEAST))
    values = {"owner": owner, "epoch": lease.epoch, "lease_until": lease.until}
    taken = conn.execute(update(kf_lease).where(_is(key), _held.epoch == row.epoch, free).values(values)).rowcount == 1
    return lease if taken else None


def check(conn: Connection, lease: Lease) -> None:
    """Lock a lease until the transaction ends, so that what the transaction does is the holder's.

    Raises :class:`~kfstate.errors.LeaseLostError` where it is another's by now.
    """
    row = conn.execute(select(_held.epoch).where(_is(lease.key)).with_for_update()).first()
    if row is None or row.epoch != lease.epoch:
        raise LeaseLostError(name=_named(lease.key), epoch=lease.epoch, current=0 if row is None else row.epoch)


def renew(conn: Connection, lease: Lease, *, clock: Clock, length: int) -> Lease:
    """Lengthen a lease. Raises :class:`~kfstate.errors.LeaseLostError`."""
    check(conn, lease)
    renewed = attrs.evolve(lease, until=clock.now() + length)
    conn.execute(update(kf_lease).where(_is(lease.key)).values(lease_until=renewed.until))
    return renewed


def release_all(conn: Connection, key: LeaseKey, owner: str) -> bool:
    """Give back a lease, whichever its epoch, where this owner has it; tell whether he had."""
    mine = _is(key) & (_held.owner == owner)
    return conn.execute(update(kf_lease).where(mine).values(owner="", lease_until=0)).rowcount > 0


def release(conn: Connection, lease: Lease) -> None:
    """Give a lease back, so that the next holder need not wait; does nothing where it is another's by now."""
    mine = _is(lease.key) & (_held.epoch == lease.epoch)
    conn.execute(update(kf_lease).where(mine).values(owner="", lease_until=0))


def _find(conn: Connection, key: LeaseKey, *, lock: bool = False) -> Any:
    found = select(kf_lease).where(_is(key))
    # Not waiting for what is locked: its holder is in the middle of something, so the lease is not free.
    return conn.execute(found.with_for_update(skip_locked=True) if lock else found).first()


def _is(key: LeaseKey) -> ColumnElement[bool]:
    return (_held.corp_id == key.corp_id) & (_held.kind == key.kind) & (_held.name == key.name)


def _named(key: LeaseKey) -> str:
    return f"{key.kind} {key.name}"
