"""Holding leases: each taken, lengthened and given back in a transaction of its own that wakes nobody."""

import logging
from collections.abc import Callable
from typing import TypeVar

import attrs
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from kfstate.clock import Clock
from kfstate.errors import StoreError
from kfstate.feed.wake import quietly
from kfstate.store import lease as leases
from kfstate.store.database import Database
from kfstate.store.lease import Lease, LeaseKey

__all__ = ["Holding"]

T = TypeVar("T")

_logger = logging.getLogger("kfstate")


@attrs.frozen(kw_only=True)
class Holding:
    """The leases of one kind, as ``owner`` takes them. A ``length`` is in microseconds."""

    database: Database
    clock: Clock
    corp_id: str
    kind: str
    owner: str

    def key(self, name: str) -> LeaseKey:
        """Return what a lease of this kind is of."""
        return LeaseKey(self.corp_id, self.kind, name)

    def claim(self, name: str, *, length: int) -> Lease | None:
        """Become the one holder; None where somebody else is."""
        claimed = self.claim_and(name, lambda _conn: None, length=length)
        return None if claimed is None else claimed[0]

    def claim_and(self, name: str, act: Callable[[Connection], T], *, length: int) -> tuple[Lease, T] | None:
        """Become the one holder, and ``act`` in the same transaction; None where somebody else is."""
        key = self.key(name)
        with self.database.reading() as conn:  # looking locks nothing
            if leases.is_held(conn, key, now=self.clock.now(), length=length):
                return None
        try:
            with quietly(), self.database.writing() as conn:
                lease = leases.claim(conn, key, self.owner, clock=self.clock, length=length)
                return None if lease is None else (lease, act(conn))
        except IntegrityError:  # another one made the row at the same time
            return None

    def keep(self, lease: Lease, *, length: int) -> Lease:
        """Return the lease, lengthened where a third of it is over.

        Raises :class:`~kfstate.errors.LeaseLostError`.
        """
        if lease.until - self.clock.now() > length * 2 // 3:
            return lease
        with quietly(), self.database.writing() as conn:
            return leases.renew(conn, lease, clock=self.clock, length=length)

    def release(self, lease: Lease, *, of: str) -> None:
        """Give a lease back; where that fails it runs out. ``of`` says of what, for people."""
        try:
            with quietly(), self.database.writing() as conn:
                leases.release(conn, lease)
        except (StoreError, SQLAlchemyError) as error:
            _logger.warning("the lease of %s was not given back: %s", of, error, extra={"action": self.kind})
