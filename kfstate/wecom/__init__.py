"""The live side: what talks with WeCom."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfstate.wecom.asgi import CallbackApp
    from kfstate.wecom.async_client import AsyncClient, AsyncTokenSource
    from kfstate.wecom.async_live import AsyncLive
    from kfstate.wecom.callback import Callback, Notice
    from kfstate.wecom.client import Client
    from kfstate.wecom.errcodes import ERRCODES, Errcode, errcode
    from kfstate.wecom.http import AsyncHttpTransport, HttpTransport, Timeouts
    from kfstate.wecom.limits import LimitReached, WaitingLimit, reached, still_waits
    from kfstate.wecom.live import Live
    from kfstate.wecom.loop import Pace
    from kfstate.wecom.reading import Reading
    from kfstate.wecom.reconciling import Drift, Failure, Sweep
    from kfstate.wecom.replying import PulledPage
    from kfstate.wecom.retrying import Retries
    from kfstate.wecom.router import callback_router
    from kfstate.wecom.secret import Secret
    from kfstate.wecom.settings import Settings
    from kfstate.wecom.standing import AccountStatus
    from kfstate.wecom.syncing import Gap, Pulled
    from kfstate.wecom.timers import Due, Timers
    from kfstate.wecom.tokens import TokenSource
    from kfstate.wecom.transport import Answer, AsyncTransport, Transport

__all__ = [
    "ERRCODES",
    "AccountStatus",
    "Answer",
    "AsyncClient",
    "AsyncHttpTransport",
    "AsyncLive",
    "AsyncTokenSource",
    "AsyncTransport",
    "Callback",
    "CallbackApp",
    "Client",
    "Drift",
    "Due",
    "Errcode",
    "Failure",
    "Gap",
    "HttpTransport",
    "LimitReached",
    "Live",
    "Notice",
    "Pace",
    "Pulled",
    "PulledPage",
    "Reading",
    "Retries",
    "Secret",
    "Settings",
    "Sweep",
    "Timeouts",
    "Timers",
    "TokenSource",
    "Transport",
    "WaitingLimit",
    "callback_router",
    "errcode",
    "reached",
    "still_waits",
]

_HOMES = {
    "asgi": ("CallbackApp",),
    "async_client": ("AsyncClient", "AsyncTokenSource"),
    "async_live": ("AsyncLive",),
    "callback": ("Callback", "Notice"),
    "client": ("Client",),
    "errcodes": ("ERRCODES", "Errcode", "errcode"),
    "http": ("AsyncHttpTransport", "HttpTransport", "Timeouts"),
    "limits": ("LimitReached", "WaitingLimit", "reached", "still_waits"),
    "live": ("Live",),
    "loop": ("Pace",),
    "reading": ("Reading",),
    "reconciling": ("Drift", "Failure", "Sweep"),
    "replying": ("PulledPage",),
    "retrying": ("Retries",),
    "router": ("callback_router",),
    "secret": ("Secret",),
    "settings": ("Settings",),
    "standing": ("AccountStatus",),
    "syncing": ("Gap", "Pulled"),
    "timers": ("Due", "Timers"),
    "tokens": ("TokenSource",),
    "transport": ("Answer", "AsyncTransport", "Transport"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'kfstate.wecom' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"kfstate.wecom.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
