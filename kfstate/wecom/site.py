"""What every part of the live side works with."""

import attrs

from kfstate.clock import Clock
from kfstate.concurrency import Concurrency
from kfstate.engine import Engine
from kfstate.errors import ArgumentError
from kfstate.store.database import Database
from kfstate.store.lease import owner_name
from kfstate.wecom.client import Client
from kfstate.wecom.holding import Holding

__all__ = ["RETRYING", "Site"]

RETRYING = 60.0
"""Seconds after its beginning in which a request of a call may go out."""


@attrs.frozen(kw_only=True)
class Site:
    """The engine with its database, clock and way of waiting; the client; and the name under which leases are held.

    ``patience`` is how many seconds after its intent a call may still be under way: see :data:`RETRYING`, and then
    WeCom may take its time to answer.
    """

    engine: Engine
    client: Client
    database: Database
    clock: Clock
    concurrency: Concurrency
    owner: str = attrs.field(factory=owner_name)
    patience: float = 2 * RETRYING + 15

    @classmethod
    def of(cls, engine: Engine, client: Client, *, timeout: float = 10.0) -> "Site":
        """Return what works on this engine, and waits as it does; ``timeout`` is that of the settings.

        Raises :class:`~kfstate.errors.ArgumentError` where the engine keeps the log of another corporation.
        """
        if engine.corp_id not in {"", client.corp_id}:
            allowed = f"'' or that of the settings, {client.corp_id!r}"
            raise ArgumentError(name="corp_id", value=repr(engine.corp_id), allowed=allowed)
        return cls(
            engine=engine, client=client, database=engine._database, clock=engine._clock,  # noqa: SLF001
            concurrency=engine._concurrency,  # noqa: SLF001 (the live side is the engine's neighbour)
            patience=RETRYING + min(timeout, 5.0) + timeout + max(timeout, 60.0),
        )  # fmt: skip

    @property
    def corp_id(self) -> str:
        """The corporation under which the engine keeps its streams and cursors."""
        return self.engine.corp_id

    def wecom_now(self) -> int:
        """Return the time by WeCom's clock, in microseconds: its entries carry that."""
        return self.clock.now() + (self.client.skew or 0)

    def holding(self, kind: str) -> Holding:
        """Return what takes leases of this kind in our name."""
        return Holding(database=self.database, clock=self.clock, corp_id=self.corp_id, kind=kind, owner=self.owner)
