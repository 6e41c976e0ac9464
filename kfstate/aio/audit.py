"""The audits of an AsyncEngine: what ``engine.audit`` has, to be awaited."""

from datetime import datetime

from kfstate.aio.greenlets import inside
from kfstate.audit.as_of import AsOf
from kfstate.audit.face import Audit
from kfstate.audit.knowing import KnownAt
from kfstate.machine import Machine

__all__ = ["AsyncAudit"]


class AsyncAudit:
    """As :class:`kfstate.audit.face.Audit`."""

    def __init__(self, audit: Audit) -> None:
        """Await these."""
        self._audit = audit

    async def as_of(
        self,
        open_kfid: str,
        external_userid: str,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        machine: Machine | str | None = None,
    ) -> AsOf:
        """As :meth:`kfstate.audit.face.Audit.as_of`."""
        return await inside(self._audit.as_of, open_kfid, external_userid, at, known_at=known_at, machine=machine)
