"""What is done about what the log knows of people, to be awaited: a part of ``AsyncEngine.audit``."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kfstate.aio.greenlets import inside
from kfstate.audit.people.access import Access
from kfstate.audit.people.erasing import Repeated
from kfstate.audit.people.holding import Hold, Sealed
from kfstate.audit.people.receipts import Receipt
from kfstate.audit.people.retaining import Retained

if TYPE_CHECKING:
    from kfstate.audit.face import Audit

__all__ = ["AsyncKeeping"]


class AsyncKeeping:
    """As :class:`kfstate.audit.people.face.Keeping`."""

    _audit: "Audit"

    @property
    def journal_owed(self) -> bool:
        """As :attr:`kfstate.audit.face.Audit.journal_owed`."""
        return self._audit.journal_owed

    async def erase(self, external_userid: str, *, actor: str, basis: str, request_id: str = "") -> Receipt:
        """As :meth:`kfstate.audit.face.Audit.erase`."""
        return await inside(self._audit.erase, external_userid, actor=actor, basis=basis, request_id=request_id)

    async def repeat(self, receipts: Iterable[Receipt], *, actor: str, basis: str, request_id: str = "") -> Repeated:
        """As :meth:`kfstate.audit.face.Audit.repeat`."""
        return await inside(self._audit.repeat, receipts, actor=actor, basis=basis, request_id=request_id)

    async def retain(self, payloads: timedelta, *, actor: str, basis: str, request_id: str = "") -> Retained:
        """As :meth:`kfstate.audit.face.Audit.retain`."""
        return await inside(self._audit.retain, payloads, actor=actor, basis=basis, request_id=request_id)

    async def hold(
        self,
        external_userid: str | None = None,
        *,
        until: datetime | None = None,
        actor: str,
        basis: str,
        request_id: str = "",
    ) -> Receipt:
        """As :meth:`kfstate.audit.face.Audit.hold`."""
        return await inside(
            self._audit.hold, external_userid, until=until, actor=actor, basis=basis, request_id=request_id
        )

    async def release(self, hold: int, *, actor: str, basis: str, request_id: str = "") -> Receipt:
        """As :meth:`kfstate.audit.face.Audit.release`."""
        return await inside(self._audit.release, hold, actor=actor, basis=basis, request_id=request_id)

    async def holds(self) -> tuple[Hold, ...]:
        """As :meth:`kfstate.audit.face.Audit.holds`."""
        return await inside(self._audit.holds)

    async def sealed(
        self, hold: int, *, actor: str, basis: str, after: tuple[str, int] = ("", 0), limit: int = 1000
    ) -> tuple[Sealed, ...]:
        """As :meth:`kfstate.audit.face.Audit.sealed`."""
        return await inside(self._audit.sealed, hold, actor=actor, basis=basis, after=after, limit=limit)

    async def receipts(self, *, after: int = 0, limit: int = 1000) -> tuple[Receipt, ...]:
        """As :meth:`kfstate.audit.face.Audit.receipts`."""
        return await inside(self._audit.receipts, after=after, limit=limit)

    async def accessed(
        self,
        action: str,
        *,
        actor: str,
        open_kfid: str = "",
        external_userid: str = "",
        detail: str = "",
        result: str = "ok",
    ) -> None:
        """As :meth:`kfstate.audit.face.Audit.accessed`."""
        await inside(
            self._audit.accessed, action, actor=actor, open_kfid=open_kfid, external_userid=external_userid,
            detail=detail, result=result,
        )  # fmt: skip

    async def accesses(
        self,
        *,
        action: str | None = None,
        actor: str | None = None,
        customer: int | None = None,
        since: datetime | None = None,
        limit: int = 1000,
    ) -> tuple[Access, ...]:
        """As :meth:`kfstate.audit.face.Audit.accesses`."""
        return await inside(
            self._audit.accesses, action=action, actor=actor, customer=customer, since=since, limit=limit
        )
