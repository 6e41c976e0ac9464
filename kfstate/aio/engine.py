"""AsyncEngine: every method of Engine, to be awaited. No logic of its own."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar

from sqlalchemy import Connection

from kfstate import intake
from kfstate.aio.archive import AsyncArchive
from kfstate.aio.audit import AsyncAudit
from kfstate.aio.greenlets import AsyncTasks, inside
from kfstate.aio.inner import InnerEngine, ask_for_greenlets
from kfstate.aio.projections import AsyncProjections
from kfstate.aio.questions import AsyncQuestions
from kfstate.aio.subscription import AsyncHandler, AsyncSubscription, called
from kfstate.audit.proofs.heads import TreeHead
from kfstate.clock import Clock
from kfstate.engine import Engine, Recorded
from kfstate.errors import TransactionError
from kfstate.feed import DeadLetterView, SubscriptionView
from kfstate.feed.face import Start
from kfstate.feed.own import Projection
from kfstate.intake import CursorMove, Report, Source
from kfstate.machine import Verdict
from kfstate.projections import live
from kfstate.queries.entries import EntryView
from kfstate.queries.views import (
    ConversationView,
    Explanation,
    StepView,
)
from kfstate.service_state import KfServiceState
from kfstate.store import verify
from kfstate.store.checkpoint import Checkpoint
from kfstate.store.cursor import Cursor
from kfstate.store.envelope import OwnEntry
from kfstate.store.greenlets import in_greenlet, through
from kfstate.store.rows import Expected
from kfstate.store.upcasting import Upcaster

if TYPE_CHECKING:  # needs an extra
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["AsyncEngine"]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncEngine(AsyncQuestions):
    """:class:`kfstate.Engine` for asyncio: the same methods, to be awaited, on one event loop.

    Open it with ``async with``, or with :meth:`open` and :meth:`close`. A cancelled call leaves nothing half done:
    what was committed stays, the rest is rolled back, and the connection goes back. Reading JSON and folding run on
    the event loop: import large files with :class:`kfstate.Engine`, in a process or thread of its own.
    """

    def __init__(
        self,
        url: str = "sqlite:///kfstate.db",
        *,
        corp_id: str = "",
        clock: Clock | None = None,
        lock_timeout: float = 10.0,
        upcasters: Iterable[Upcaster] = (),
        projections: Iterable[Projection] = (),
    ) -> None:
        """Take what :class:`kfstate.Engine` takes; the database is opened by :meth:`open`."""
        ask_for_greenlets()
        self.url = url
        self.corp_id = corp_id
        self._tasks = AsyncTasks()
        self._make = partial(
            InnerEngine, self._tasks, url, corp_id=corp_id, clock=clock, lock_timeout=lock_timeout,
            upcasters=tuple(upcasters), projections=tuple(projections),
        )  # fmt: skip
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> Self:
        """Open the database; see :class:`kfstate.Engine`. Does nothing where it is open."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop and self._engine is None:
            self._loop, self._opening = loop, asyncio.Lock()
        async with self._opening:
            if self._engine is None:
                self._engine = await inside(self._make)
        self._opened()
        return self

    async def __aenter__(self) -> Self:
        """Open the engine."""
        return await self.open()

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        await self.close()

    async def close(self) -> None:
        """As :meth:`kfstate.Engine.close`; it can be opened again."""
        if self._engine is not None:
            engine, self._engine = self._opened(), None
            await through(self._close(engine))

    # Into the log

    async def ingest(
        self,
        source: Source | Iterable[Source],
        *,
        account: str = "",
        cursor: CursorMove | None = None,
        progress: intake.Progress | None = None,
        connection: "AsyncConnection | None" = None,
    ) -> Report:
        """As :meth:`kfstate.Engine.ingest`."""
        return await self._run(
            Engine.ingest, source, account=account, cursor=cursor, progress=progress, connection=_sync(connection)
        )

    async def record(
        self,
        entry: OwnEntry | Mapping[str, Any],
        *,
        expected: Expected = "any",
        connection: "AsyncConnection | None" = None,
    ) -> Recorded:
        """As :meth:`kfstate.Engine.record`."""
        return await self._run(Engine.record, entry, expected=expected, connection=_sync(connection))

    async def claim(self, open_kfid: str) -> Cursor:
        """As :meth:`kfstate.Engine.claim`."""
        return await self._run(Engine.claim, open_kfid)

    async def cursor(self, open_kfid: str) -> Cursor | None:
        """As :meth:`kfstate.Engine.cursor`."""
        return await self._run(Engine.cursor, open_kfid)

    async def tick(self, now: int | None = None) -> int:
        """As :meth:`kfstate.Engine.tick`."""
        return await self._run(Engine.tick, now)

    # Out of the projections

    async def state(self, open_kfid: str, external_userid: str, *, as_of_log: bool = False) -> ConversationView:
        """As :meth:`kfstate.Engine.state`."""
        return await self._run(Engine.state, open_kfid, external_userid, as_of_log=as_of_log)

    async def may(
        self, open_kfid: str, external_userid: str, to: KfServiceState, *, servicer: str | None = None
    ) -> Verdict:
        """As :meth:`kfstate.Engine.may`."""
        return await self._run(Engine.may, open_kfid, external_userid, to, servicer=servicer)

    async def history(self, open_kfid: str, external_userid: str, *, as_of_log: bool = False) -> list[StepView]:
        """As :meth:`kfstate.Engine.history`."""
        return await self._run(Engine.history, open_kfid, external_userid, as_of_log=as_of_log)

    async def explain(self, open_kfid: str, external_userid: str, *, as_of_log: bool = False) -> Explanation:
        """As :meth:`kfstate.Engine.explain`."""
        return await self._run(Engine.explain, open_kfid, external_userid, as_of_log=as_of_log)

    # The feed

    def read_all(self, *, after: int | Checkpoint = 0, limit: int | None = None) -> AsyncGenerator[EntryView, None]:
        """As :meth:`kfstate.Engine.read_all`."""
        return self._each(Engine.read_all, after=after, limit=limit)

    async def subscribe(
        self,
        name: str,
        handler: AsyncHandler,
        *,
        start: Start = "beginning",
        transactional: bool = True,
        poll: float = 1.0,
        attempts: int = 5,
        batch: int = 100,
        backoff: float = 0.1,
        lease: float = 30.0,
        on_error: Literal["dead_letter", "stop"] = "dead_letter",
        steps: bool = True,
    ) -> AsyncSubscription:
        """As :meth:`kfstate.Engine.subscribe`; the handler is a coroutine function."""
        made = await self._run(
            Engine.subscribe, name, called(handler), start=start, transactional=transactional, poll=poll,
            attempts=attempts, batch=batch, backoff=backoff, lease=lease, on_error=on_error, steps=steps,
        )  # fmt: skip
        return AsyncSubscription(made)

    async def subscriptions(self) -> list[SubscriptionView]:
        """As :meth:`kfstate.Engine.subscriptions`."""
        return await self._run(Engine.subscriptions)

    async def unsubscribe(self, name: str) -> None:
        """As :meth:`kfstate.Engine.unsubscribe`."""
        await self._run(Engine.unsubscribe, name)

    def dead_letters(
        self, name: str | None = None, *, after: tuple[str, int] | None = None, limit: int | None = None
    ) -> AsyncGenerator[DeadLetterView, None]:
        """As :meth:`kfstate.Engine.dead_letters`."""
        return self._each(Engine.dead_letters, name, after=after, limit=limit)

    async def requeue(self, letter: str) -> None:
        """As :meth:`kfstate.Engine.requeue`."""
        await self._run(Engine.requeue, letter)

    # Care

    @property
    def projections(self) -> AsyncProjections:
        """As ``projections`` of :class:`kfstate.Engine`."""
        return AsyncProjections(self._opened().projections)

    @property
    def audit(self) -> AsyncAudit:
        """As ``audit`` of :class:`kfstate.Engine`."""
        return AsyncAudit(self._opened().audit)

    @property
    def archive(self) -> AsyncArchive:
        """As ``archive`` of :class:`kfstate.Engine`."""
        return AsyncArchive(self._opened().archive)

    async def rebuild(self, *, progress: live.Progress | None = None) -> int:
        """As :meth:`kfstate.Engine.rebuild`."""
        return await self._run(Engine.rebuild, progress=progress)

    async def check(self, *, progress: live.Progress | None = None) -> live.Difference:
        """As :meth:`kfstate.Engine.check`."""
        return await self._run(Engine.check, progress=progress)

    async def verify(
        self,
        expect: Checkpoint | TreeHead | str | None = None,
        *,
        first: int | None = None,
        last: int | None = None,
        progress: live.Progress | None = None,
        processes: int = 1,
    ) -> verify.Verified:
        """As :meth:`kfstate.Engine.verify`."""
        return await self._run(Engine.verify, expect, first=first, last=last, progress=progress, processes=processes)

    async def position(self) -> int:
        """As :meth:`kfstate.Engine.position`."""
        return await self._run(Engine.position)

    async def behind(self) -> int | None:
        """As :meth:`kfstate.Engine.behind`."""
        return await self._run(Engine.behind)

    # How

    async def _close(self, engine: Engine) -> None:
        try:
            await in_greenlet(engine.close)
        finally:
            await self._tasks.close()

    def _opened(self) -> Engine:
        if self._engine is None:
            message = "the engine is not open: use `async with`, or `await engine.open()`"
            raise RuntimeError(message)
        if self._loop is not asyncio.get_running_loop():
            message = "the engine was opened on another event loop: open one for each"
            raise RuntimeError(message)
        return self._engine


def _sync(connection: "AsyncConnection | None") -> Connection | None:
    if connection is None:
        return None
    if connection.sync_connection is None:
        raise TransactionError(found="a connection that was not started", needed="an open transaction")
    return connection.sync_connection
