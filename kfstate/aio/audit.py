"""The audits of an AsyncEngine: what ``engine.audit`` has, to be awaited."""

from collections.abc import Callable
from datetime import datetime

from kfstate.aio.greenlets import inside
from kfstate.aio.keeping import AsyncKeeping
from kfstate.aio.proving import AsyncProving
from kfstate.aio.trials import AsyncTrials
from kfstate.audit.face import Audit
from kfstate.audit.history.as_of import AsOf, StateThen
from kfstate.audit.history.explaining import Explained
from kfstate.audit.history.timeline import Timeline
from kfstate.audit.history.words import Lang
from kfstate.audit.knowing import KnownAt
from kfstate.machine import Machine
from kfstate.queries.views import QueueView, SessionView, StepView
from kfstate.service_state import KfServiceState

__all__ = ["AsyncAudit"]


class AsyncAudit(AsyncKeeping, AsyncProving, AsyncTrials):
    """As :class:`kfstate.audit.face.Audit`."""

    def __init__(self, audit: Audit) -> None:
        """Await these."""
        self._audit: Audit = audit

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

    async def history(
        self,
        open_kfid: str,
        external_userid: str,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        machine: Machine | str | None = None,
    ) -> list[StepView]:
        """As :meth:`kfstate.audit.face.Audit.history`."""
        return await inside(self._audit.history, open_kfid, external_userid, at, known_at=known_at, machine=machine)

    async def conversations(
        self,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        state: KfServiceState | int | str | None = None,
        account: str | None = None,
        machine: Machine | str | None = None,
    ) -> list[StateThen]:
        """As :meth:`kfstate.audit.face.Audit.conversations`."""
        return await inside(
            self._audit.conversations, at, known_at=known_at, state=state, account=account, machine=machine
        )

    async def queue(
        self,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        account: str | None = None,
        machine: Machine | str | None = None,
    ) -> list[QueueView]:
        """As :meth:`kfstate.audit.face.Audit.queue`."""
        return await inside(self._audit.queue, at, known_at=known_at, account=account, machine=machine)

    async def sessions(
        self,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        open_kfid: str | None = None,
        external_userid: str | None = None,
        running: bool | None = None,
        machine: Machine | str | None = None,
    ) -> list[SessionView]:
        """As :meth:`kfstate.audit.face.Audit.sessions`."""
        return await inside(
            self._audit.sessions, at, known_at=known_at, open_kfid=open_kfid, external_userid=external_userid,
            running=running, machine=machine,
        )  # fmt: skip

    async def explain(
        self, position: int, *, known_at: KnownAt = None, machine: Machine | str | None = None
    ) -> Explained:
        """As :meth:`kfstate.audit.face.Audit.explain`."""
        return await inside(self._audit.explain, position, known_at=known_at, machine=machine)

    async def timeline(
        self,
        open_kfid: str,
        external_userid: str,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        machine: Machine | str | None = None,
    ) -> Timeline:
        """As :meth:`kfstate.audit.face.Audit.timeline`."""
        return await inside(self._audit.timeline, open_kfid, external_userid, at, known_at=known_at, machine=machine)

    async def report(
        self,
        open_kfid: str,
        external_userid: str,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        machine: Machine | str | None = None,
        lang: Lang = "en",
        payloads: bool = True,
        verified: bool = True,
        progress: Callable[[int], None] | None = None,
        processes: int = 1,
    ) -> str:
        """As :meth:`kfstate.audit.face.Audit.report`."""
        return await inside(
            self._audit.report, open_kfid, external_userid, at, known_at=known_at, machine=machine, lang=lang,
            payloads=payloads, verified=verified, progress=progress, processes=processes,
        )  # fmt: skip
