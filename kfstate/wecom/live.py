"""Live: the live side put together. It holds no logic; each method calls one function of a module beside it."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from kfstate.engine import Engine
from kfstate.wecom.accounts import read_accounts, read_servicers
from kfstate.wecom.asgi import CallbackApp
from kfstate.wecom.callback import Callback, Notice
from kfstate.wecom.client import Client
from kfstate.wecom.loop import Loop, Pace
from kfstate.wecom.router import callback_router
from kfstate.wecom.settings import Settings
from kfstate.wecom.site import Site
from kfstate.wecom.standing import AccountStatus, standing
from kfstate.wecom.syncing import Pulled
from kfstate.wire import KfAccount, KfServicer

if TYPE_CHECKING:
    from fastapi import APIRouter

    from kfstate.wecom.transport import Transport

__all__ = ["Live"]


class Live:
    """An engine that is kept in step with WeCom: callbacks, the sync loop, calls that are recorded.

    Include :meth:`router` or mount :meth:`app`, then :meth:`start`. Share one between threads; :meth:`close` it before
    the engine, or use it as a context manager.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings | None = None,
        *,
        client: Client | None = None,
        callback: Callback | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Put together what the settings describe; nothing is sent yet, and nothing runs.

        ``settings`` default to those of the environment. ``client`` and ``callback`` are the caller's own instead of
        those of the settings; a client that is handed over is left open. ``pace`` says how often what is done.
        """
        self.settings = settings or (Settings.load() if client is None else Settings())
        self.engine = engine
        self._own_client = client is None
        self.client = client or self._made(engine)
        self.site = Site.of(engine, self.client)
        self._callback = callback
        sync = self.settings.sync
        self._loop = Loop(
            self.site, accounts=self.settings.accounts, pace=pace or Pace(interval=sync.interval, limit=sync.limit)
        )

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
        """Run beside the caller: pull every account, at once, on each callback, and by interval."""
        self._loop.start()

    def stop(self) -> None:
        """End what runs beside: pages that are on their way are stored, nothing new is begun."""
        self._loop.stop()

    def close(self) -> None:
        """Stop, and give back the connections to WeCom."""
        self.stop()
        if self._own_client:
            self.client.close()

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

        ``again``: read all that WeCom keeps, whatever was read before; it changes nothing.
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

    # How

    def _made(self, engine: Engine) -> Client:
        self.settings.need("corp_id", "secret")
        return Client(
            self.settings.corp_id, self.settings.secret, transport=self._transport(),
            database=engine._database, clock=engine._clock, concurrency=engine._concurrency,  # noqa: SLF001
        )  # fmt: skip

    def _transport(self) -> "Transport":
        from kfstate.wecom.http import HttpTransport, Timeouts  # noqa: PLC0415 (a fifth of a second)

        return HttpTransport(self.settings.api_url, timeouts=Timeouts.of(self.settings.timeout))
