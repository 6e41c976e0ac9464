"""AsyncLive: every method of Live, to be awaited, on an AsyncEngine. No logic of its own."""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kfstate.aio.engine import AsyncEngine
from kfstate.aio.greenlets import inside
from kfstate.clock import Clock
from kfstate.intake import ACTOR
from kfstate.service_state import KfServiceState
from kfstate.store.greenlets import through
from kfstate.wecom.asgi import CallbackApp
from kfstate.wecom.assigning import Assigned
from kfstate.wecom.async_client import AsyncClient
from kfstate.wecom.callback import Callback, Notice
from kfstate.wecom.candidates import Candidates, Capacity, Choose, least_loaded
from kfstate.wecom.changing import Changed
from kfstate.wecom.limits import LimitReached, WaitingLimit
from kfstate.wecom.live import Live
from kfstate.wecom.loop import Pace
from kfstate.wecom.reconciling import Sweep
from kfstate.wecom.router import callback_router
from kfstate.wecom.sending import Sent
from kfstate.wecom.settings import Settings
from kfstate.wecom.settling import Settled
from kfstate.wecom.standing import AccountStatus
from kfstate.wecom.syncing import Pulled
from kfstate.wecom.timers import Due
from kfstate.wecom.worker import OnPulled
from kfstate.wire import KfAccount, KfServicer

if TYPE_CHECKING:
    from fastapi import APIRouter

    from kfstate.wecom.transport import Transport

__all__ = ["AsyncLive"]


class _InnerLive(Live):
    """A Live whose methods run inside greenlets."""

    def _transport(self) -> "Transport":
        from kfstate.wecom.http import AsyncHttpTransport, Timeouts  # noqa: PLC0415 (as in Live)

        return AsyncHttpTransport(self.settings.api_url, timeouts=Timeouts.of(self.settings.timeout))


class AsyncLive:
    """:class:`~kfstate.wecom.live.Live` for asyncio, on one event loop: accounts are kept in step by its tasks.

    :meth:`router` and :meth:`app` may be taken before the loop runs; what is called back before :meth:`open` wakes
    nobody, for :meth:`start` pulls everything anyway. Use it with ``async with``, inside that of the engine.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        settings: Settings | None = None,
        *,
        client: AsyncClient | None = None,
        callback: Callback | None = None,
        pace: Pace | None = None,
        limits: Iterable[WaitingLimit] = (),
        on_pulled: OnPulled | None = None,
    ) -> None:
        """Take what :class:`~kfstate.wecom.live.Live` takes; nothing is opened before :meth:`open`."""
        self.engine = engine
        self.settings = settings or (Settings.load() if client is None else Settings())
        self._client, self._given, self._pace, self._limits = client, callback, pace, tuple(limits)
        self._on_pulled = on_pulled
        self._live: Live | None = None
        self._opening, self._own_engine = asyncio.Lock(), False

    @classmethod
    def of(
        cls,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        callback: Callback | None = None,
        pace: Pace | None = None,
        limits: Iterable[WaitingLimit] = (),
        on_pulled: OnPulled | None = None,
    ) -> Self:
        """As :meth:`~kfstate.wecom.live.Live.of`; nothing is opened before :meth:`open`."""
        settings = settings or Settings.load()
        settings.need("corp_id", "secret")
        engine = AsyncEngine(settings.db.reveal(), clock=clock)
        made = cls(engine, settings, callback=callback, pace=pace, limits=limits, on_pulled=on_pulled)
        made._own_engine = True
        return made

    async def open(self) -> Self:
        """Open the engine, where it is not open; nothing runs before :meth:`start`. Does nothing where this is open."""
        await self.engine.open()
        async with self._opening:
            if self._live is None:
                self._live = await inside(self._made)
        return self

    async def __aenter__(self) -> Self:
        """Open it."""
        return await self.open()

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    # Running

    async def start(self) -> None:
        """As :meth:`~kfstate.wecom.live.Live.start`."""
        await inside(self._opened().start)

    async def stop(self) -> None:
        """As :meth:`~kfstate.wecom.live.Live.stop`."""
        await inside(self._opened().stop)

    async def close(self) -> None:
        """As :meth:`~kfstate.wecom.live.Live.close`; an engine that was handed over stays open."""
        live, self._live = self._live, None
        try:
            if live is not None:
                await through(inside(live.close))
        finally:
            if self._own_engine:
                await self.engine.close()

    # The callback

    @property
    def callback(self) -> Callback:
        """As :attr:`~kfstate.wecom.live.Live.callback`."""
        if self._given is None:
            self._given = Callback.of(self.settings)
        return self._given

    def router(self) -> "APIRouter":
        """As :meth:`~kfstate.wecom.live.Live.router`."""
        return callback_router(self.callback, self._heard, path=self.settings.callback.path)

    def app(self) -> CallbackApp:
        """As :meth:`~kfstate.wecom.live.Live.app`."""
        return CallbackApp(self.callback, self._heard, path=self.settings.callback.path)

    def notice(self, notice: Notice) -> None:
        """As :meth:`~kfstate.wecom.live.Live.notice`; from the event loop only."""
        if self._live is not None:
            self._live.notice(notice)

    async def _heard(self, notice: Notice) -> None:
        # A coroutine function runs on the loop; any other one would be called in a thread, where no task can be woken.
        self.notice(notice)

    # Pulling

    async def sync(self, *, again: bool = False) -> list[Pulled]:
        """As :meth:`~kfstate.wecom.live.Live.sync`."""
        return await inside(self._opened().sync, again=again)

    async def accounts(self) -> tuple[KfAccount, ...]:
        """As :meth:`~kfstate.wecom.live.Live.accounts`."""
        return await inside(self._opened().accounts)

    async def servicers(self, open_kfid: str) -> tuple[KfServicer, ...]:
        """As :meth:`~kfstate.wecom.live.Live.servicers`."""
        return await inside(self._opened().servicers, open_kfid)

    async def status(self) -> list[AccountStatus]:
        """As :meth:`~kfstate.wecom.live.Live.status`."""
        return await inside(self._opened().status)

    # Now and then

    async def tick(self) -> Due:
        """As :meth:`~kfstate.wecom.live.Live.tick`."""
        return await inside(self._opened().tick)

    async def still_waits(self, told: LimitReached) -> bool:
        """As :meth:`~kfstate.wecom.live.Live.still_waits`."""
        return await inside(self._opened().still_waits, told)

    async def reconcile(self, *, readings: int | None = None, everything: bool = False, actor: str = ACTOR) -> Sweep:
        """As :meth:`~kfstate.wecom.live.Live.reconcile`."""
        return await inside(self._opened().reconcile, readings=readings, everything=everything, actor=actor)

    # Changing, sending, assigning

    async def change_state(
        self, open_kfid: str, external_userid: str, to: KfServiceState | int, *, servicer: str | None = None,
        key: str | None = None, actor: str = ACTOR, reason: str = "", request_id: str = "",
    ) -> Changed:  # fmt: skip
        """As :meth:`~kfstate.wecom.live.Live.change_state`; cancelled, it may have been carried out."""
        return await inside(
            self._opened().change_state, open_kfid, external_userid, to, servicer=servicer, key=key, actor=actor,
            reason=reason, request_id=request_id,
        )  # fmt: skip

    async def send(
        self, open_kfid: str, external_userid: str, message: Mapping[str, Any], *, key: str | None = None,
        actor: str = ACTOR, reason: str = "", request_id: str = "",
    ) -> Sent:  # fmt: skip
        """As :meth:`~kfstate.wecom.live.Live.send`; cancelled, it may have been carried out."""
        return await inside(
            self._opened().send, open_kfid, external_userid, message, key=key, actor=actor, reason=reason,
            request_id=request_id,
        )  # fmt: skip

    async def send_on_event(
        self, open_kfid: str, external_userid: str, code: str, message: Mapping[str, Any], *, key: str | None = None,
        actor: str = ACTOR, reason: str = "", request_id: str = "",
    ) -> Sent:  # fmt: skip
        """As :meth:`~kfstate.wecom.live.Live.send_on_event`; cancelled, it may have been carried out."""
        return await inside(
            self._opened().send_on_event, open_kfid, external_userid, code, message, key=key, actor=actor,
            reason=reason, request_id=request_id,
        )  # fmt: skip

    async def candidates(self, open_kfid: str, external_userid: str = "", *, capacity: Capacity = None) -> Candidates:
        """As :meth:`~kfstate.wecom.live.Live.candidates`."""
        return await inside(self._opened().candidates, open_kfid, external_userid, capacity=capacity)

    async def assign(
        self, open_kfid: str, external_userid: str, choose: Choose = least_loaded, *, transfer: bool = False,
        capacity: Capacity = None, key: str | None = None, actor: str = ACTOR, reason: str = "", request_id: str = "",
    ) -> Assigned:  # fmt: skip
        """As :meth:`~kfstate.wecom.live.Live.assign`; ``choose`` is a plain function, too."""
        return await inside(
            self._opened().assign, open_kfid, external_userid, choose, transfer=transfer, capacity=capacity, key=key,
            actor=actor, reason=reason, request_id=request_id,
        )  # fmt: skip

    async def settle(self) -> list[Settled]:
        """As :meth:`~kfstate.wecom.live.Live.settle`."""
        return await inside(self._opened().settle)

    # How

    def _made(self) -> Live:
        engine = self.engine._opened()  # noqa: SLF001 (AsyncEngine's neighbour)
        client = None if self._client is None else self._client._client  # noqa: SLF001 (the same)
        return _InnerLive(
            engine, self.settings, client=client, callback=self._given, pace=self._pace, limits=self._limits,
            on_pulled=self._on_pulled,
        )  # fmt: skip

    def _opened(self) -> Live:
        if self._live is None:
            message = "the live side is not open: use `async with`, or `await live.open()`"
            raise RuntimeError(message)
        return self._live
