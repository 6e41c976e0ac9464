"""Live: the live side put together. It holds no logic; each method calls one function of a module beside it."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kfstate.clock import Clock
from kfstate.engine import Engine
from kfstate.errors import ClosedError
from kfstate.intake import ACTOR
from kfstate.service_state import KfServiceState
from kfstate.wecom.accounts import read_accounts, read_servicers
from kfstate.wecom.asgi import CallbackApp
from kfstate.wecom.assigning import Assigned, assign
from kfstate.wecom.callback import Callback, Notice
from kfstate.wecom.candidates import Candidates, Capacity, Choose, Staff, candidates, least_loaded
from kfstate.wecom.changing import Changed, change_state
from kfstate.wecom.client import Client
from kfstate.wecom.errand import Errand
from kfstate.wecom.intents import Intents
from kfstate.wecom.limits import LimitReached, WaitingLimit, still_waits
from kfstate.wecom.loop import Loop, Pace
from kfstate.wecom.reconciling import Sweep
from kfstate.wecom.router import callback_router
from kfstate.wecom.sending import Sent, send, send_on_event
from kfstate.wecom.settings import Settings
from kfstate.wecom.settling import Settled, settle_intents
from kfstate.wecom.site import Site
from kfstate.wecom.standing import AccountStatus, standing
from kfstate.wecom.syncing import Pulled
from kfstate.wecom.timers import Due, Timers
from kfstate.wecom.worker import OnPulled
from kfstate.wire import KfAccount, KfServicer

if TYPE_CHECKING:
    from fastapi import APIRouter

    from kfstate.wecom.transport import Transport

__all__ = ["Live"]


class Live:
    """An engine that is kept in step with WeCom: callbacks, the sync loop, calls that are recorded.

    Include :meth:`router` or mount :meth:`app`, then :meth:`start`. Share one between threads; :meth:`close` it before
    the engine, or use it as a context manager. :meth:`of` opens the engine, too.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings | None = None,
        *,
        client: Client | None = None,
        callback: Callback | None = None,
        pace: Pace | None = None,
        limits: Iterable[WaitingLimit] = (),
        on_pulled: OnPulled | None = None,
    ) -> None:
        """Put together what the settings describe; nothing is sent yet, and nothing runs.

        ``settings`` default to those of the environment. ``client`` and ``callback`` are the caller's own instead of
        those of the settings; a client that is handed over is left open. ``pace`` says how often what is done.
        ``limits`` are how long somebody may wait; those that are reached become entries for subscriptions.
        ``on_pulled`` is told of every pull, after it; it must not wait for long.
        """
        self.settings = settings or (Settings.load() if client is None else Settings())
        self.engine = engine
        self._own_client, self._own_engine, self._closed = client is None, False, False
        self.client = client or self._made(engine)
        self.site = Site.of(engine, self.client, timeout=self.settings.timeout)
        self._intents = Intents(self.site)
        self._staff = Staff(self.site)
        self._callback = callback
        sync = self.settings.sync
        self._loop = Loop(
            self.site, accounts=self.settings.accounts, on_pulled=on_pulled,
            pace=pace or Pace(interval=sync.interval, limit=sync.limit),
        )  # fmt: skip
        timers, reconcile = self.settings.timers, self.settings.reconcile
        self.timers = Timers(
            self.site, limits=limits, interval=timers.interval, sweep_interval=reconcile.interval,
            readings=reconcile.readings, settle=self.settle,
        )  # fmt: skip

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
        """Open the engine on the database of the settings, and put together the rest; :meth:`close` closes both.

        An engine with projections, upcasters or a corporation of its own is made by hand and handed to the class.
        """
        settings = settings or Settings.load()
        settings.need("corp_id", "secret")
        engine = Engine(settings.db.reveal(), clock=clock)
        try:
            made = cls(engine, settings, callback=callback, pace=pace, limits=limits, on_pulled=on_pulled)
        except BaseException:
            engine.close()
            raise
        made._own_engine = True
        return made

    def __enter__(self) -> Self:
        """Return it; nothing runs before :meth:`start`."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    # Running

    def start(self) -> None:
        """Run beside the caller: pull every account, at once, on each callback, and by interval; timers and sweeps.

        Raises :class:`~kfstate.errors.ClosedError` after :meth:`close`.
        """
        if self._closed:
            raise ClosedError
        self._loop.start()
        self.timers.start()

    def stop(self) -> None:
        """End what runs beside: pages that are on their way are stored, nothing new is begun.

        What is asked for by hand goes on working until :meth:`close`, and :meth:`start` begins anew.
        """
        self.timers.halt()
        self._loop.stop()
        self.timers.stop()

    def close(self) -> None:
        """Stop, and give back the connections to WeCom; close the engine where it came with :meth:`of`."""
        self._closed = True
        self.stop()
        if self._own_client:
            self.client.close()
        if self._own_engine:
            self.engine.close()

    # The callback

    @property
    def callback(self) -> Callback:
        """The receiving end; raises :class:`~kfstate.errors.SettingsError` where the settings do not say enough."""
        if self._callback is None:
            self._callback = Callback.of(self.settings, clock=self.site.clock)
        return self._callback

    def router(self) -> "APIRouter":
        """Return a router of FastAPI with the callback's URL: ``app.include_router(live.router())``."""
        return callback_router(self.callback, self.notice, path=self.settings.callback.path)

    def app(self) -> CallbackApp:
        """Return an ASGI application that answers the callback's URL, and nothing else: for any framework."""
        return CallbackApp(self.callback, self.notice, path=self.settings.callback.path)

    def notice(self, notice: Notice) -> None:
        """Take a callback: wake whoever pulls its account."""
        self._loop.notice(notice)

    # Pulling

    def sync(self, *, again: bool = False) -> list[Pulled]:
        """Pull every account to its end, here, and return what became of each.

        ``again``: read all that WeCom keeps, whatever was read before; it changes nothing. One account that fails stops
        no other: ``on_pulled`` is told of the others, then what it raised is raised, with a note that names every
        account that failed.
        """
        return self._loop.once(again=again)

    def accounts(self) -> tuple[KfAccount, ...]:
        """Read the accounts that the app may see, and record what is new of them."""
        return read_accounts(self.site)

    def servicers(self, open_kfid: str) -> tuple[KfServicer, ...]:
        """Read the servicers and departments of an account, and record what is new of them."""
        return read_servicers(self.site, open_kfid)

    def status(self) -> list[AccountStatus]:
        """Return how far each account is in step, by what the database and this process know."""
        return standing(self.site, self._loop)

    # Now and then

    def tick(self) -> Due:
        """Record what is due by now: sessions that expired, and limits that were reached."""
        return self.timers.tick()

    def still_waits(self, told: LimitReached) -> bool:
        """Tell whether the wait that a limit was told of goes on, by what is known now."""
        return still_waits(self.engine, told)

    def reconcile(self, *, readings: int | None = None, everything: bool = False, actor: str = ACTOR) -> Sweep:
        """Read states back from WeCom that may be behind, the most pressing first, and return what was repaired.

        ``readings``: at most so many, by default those of the settings; ``everything``: every session that runs,
        and every conversation of the last 48 hours. What sweeps beside have put off, because it could not be read, is
        read, too.
        """
        return self.timers.sweeper.sweep(readings=readings, everything=everything, afresh=True, actor=actor)

    # Changing, sending, assigning

    def change_state(
        self, open_kfid: str, external_userid: str, to: KfServiceState | int, *, servicer: str | None = None,
        key: str | None = None, actor: str = ACTOR, reason: str = "", request_id: str = "",
    ) -> Changed:  # fmt: skip
        """Change the state of a conversation: ``service_state/trans``, recorded before and after.

        What the log forbids is not called; where the log is in doubt, WeCom is asked for the state first. 3 needs a
        ``servicer``. ``key`` names this change: asked again with it, the first result is returned without a call;
        where nothing came of the first (WeCom was not reached, or was busy), it is tried again.

        Raises :class:`~kfstate.errors.StateChangeRefusedError`; :class:`~kfstate.errors.ConcurrentChangeError` where
        somebody else changes the conversation (:class:`~kfstate.errors.VersionConflictError` where so much comes in
        that twenty decisions are out of date: nothing was done, ask again);
        :class:`~kfstate.errors.ReplyLostError` where it may have been changed (with the same ``key`` again, it is
        found out); :class:`~kfstate.errors.WecomError`, :class:`~kfstate.errors.UnreachableError` and
        :class:`~kfstate.errors.ReplyError` where it certainly was not.
        """
        errand = self._errand(open_kfid, external_userid, actor, reason, request_id)
        return change_state(errand, to, servicer=servicer, key=key)

    def send(
        self, open_kfid: str, external_userid: str, message: Mapping[str, Any], *, key: str | None = None,
        actor: str = ACTOR, reason: str = "", request_id: str = "",
    ) -> Sent:  # fmt: skip
        """Send a message (``{"msgtype": "text", "text": {"content": …}}``) by ``send_msg``, recorded before and after.

        State and window are looked at first. The ``msgid`` is made of the ``key``, and WeCom takes each once: where the
        reply was lost, ask again with the same key, and the customer gets the message once.

        Raises :class:`~kfstate.errors.SendRefusedError`, and the rest as :meth:`change_state`.
        """
        return send(self._errand(open_kfid, external_userid, actor, reason, request_id), message, key=key)

    def send_on_event(
        self, open_kfid: str, external_userid: str, code: str, message: Mapping[str, Any], *, key: str | None = None,
        actor: str = ACTOR, reason: str = "", request_id: str = "",
    ) -> Sent:  # fmt: skip
        """Send a message with a code of an event or a change: ``send_msg_on_event``; see :meth:`send`.

        A code is good for one message, and most of them only in the state that they came with: that is looked at first.
        """
        errand = self._errand(open_kfid, external_userid, actor, reason, request_id)
        return send_on_event(errand, code, message, key=key)

    def candidates(self, open_kfid: str, external_userid: str = "", *, capacity: Capacity = None) -> Candidates:
        """Return who may get a session of an account; ``external_userid`` asks who served this customer last."""
        departments = self._staff.departments(open_kfid)
        return candidates(
            self.site, self._intents, open_kfid, external_userid=external_userid, capacity=capacity,
            departments=departments,
        )  # fmt: skip

    def assign(
        self, open_kfid: str, external_userid: str, choose: Choose = least_loaded, *, transfer: bool = False,
        capacity: Capacity = None, key: str | None = None, actor: str = ACTOR, reason: str = "", request_id: str = "",
    ) -> Assigned:  # fmt: skip
        """Give a session to the servicer whom ``choose`` names, or put it into the pool where it names nobody.

        A session that is with a servicer stays there, and the answer names him (``outcome`` is ``served``): whoever
        was quicker keeps it. With ``transfer`` it goes over to whom ``choose`` names.
        The intent reserves the servicer's place: where somebody else was given one meanwhile, ``choose`` is asked
        again, and so it is without those whom WeCom does not take (95014, 95019). ``choose`` runs outside of any lock.
        ``key``: asked again with it, the first result is returned, the pool as well, and nobody is chosen; what was
        found served, or in the pool, was no change, and stands under no key. Raises what :meth:`change_state` raises.
        """
        errand = self._errand(open_kfid, external_userid, actor, reason, request_id)
        departments = self._staff.departments(open_kfid)
        return assign(errand, choose, transfer=transfer, capacity=capacity, key=key, departments=departments)

    def settle(self) -> list[Settled]:
        """Read the states back of calls whose process ended before it recorded their results; return what they were."""
        return settle_intents(self.site, self._intents)

    # How

    def _errand(self, open_kfid: str, external_userid: str, actor: str, reason: str, request_id: str) -> Errand:
        return Errand(
            site=self.site, intents=self._intents, open_kfid=open_kfid, external_userid=external_userid, actor=actor,
            reason=reason, request_id=request_id,
        )  # fmt: skip

    def _made(self, engine: Engine) -> Client:
        self.settings.need("corp_id", "secret")
        return Client(
            self.settings.corp_id, self.settings.secret, transport=self._transport(),
            database=engine._database, clock=engine._clock, concurrency=engine._concurrency,  # noqa: SLF001
        )  # fmt: skip

    def _transport(self) -> "Transport":
        from kfstate.wecom.http import HttpTransport, Timeouts  # noqa: PLC0415 (a fifth of a second)

        return HttpTransport(self.settings.api_url, timeouts=Timeouts.of(self.settings.timeout))
