"""The live side: what talks with WeCom."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfstate.wecom.asgi import CallbackApp
    from kfstate.wecom.assigning import Assigned
    from kfstate.wecom.async_client import AsyncClient, AsyncTokenSource
    from kfstate.wecom.async_live import AsyncLive
    from kfstate.wecom.callback import Callback, Notice
    from kfstate.wecom.candidates import Candidate, Candidates, least_loaded
    from kfstate.wecom.changing import Changed
    from kfstate.wecom.client import Client
    from kfstate.wecom.errcodes import ERRCODES, Errcode, errcode
    from kfstate.wecom.http import AsyncHttpTransport, HttpTransport, Timeouts
    from kfstate.wecom.intents import Intent
    from kfstate.wecom.limits import LimitReached, WaitingLimit, reached, still_waits
    from kfstate.wecom.live import Live
    from kfstate.wecom.loop import Pace
    from kfstate.wecom.reading import Reading
    from kfstate.wecom.reconciling import Drift, Failure, Sweep
    from kfstate.wecom.replying import PulledPage
    from kfstate.wecom.retrying import Retries
    from kfstate.wecom.router import callback_router
    from kfstate.wecom.secret import Secret
    from kfstate.wecom.sending import Sent
    from kfstate.wecom.settings import Settings
    from kfstate.wecom.settling import Settled
    from kfstate.wecom.standing import AccountStatus
    from kfstate.wecom.syncing import Gap, Pulled
    from kfstate.wecom.timers import Due, Timers
    from kfstate.wecom.tokens import TokenSource
    from kfstate.wecom.transport import Answer, AsyncTransport, Transport

__all__ = [
    "ERRCODES",
    "AccountStatus",
    "Answer",
    "Assigned",
    "AsyncClient",
    "AsyncHttpTransport",
    "AsyncLive",
    "AsyncTokenSource",
    "AsyncTransport",
    "Callback",
    "CallbackApp",
    "Candidate",
    "Candidates",
    "Changed",
    "Client",
    "Drift",
    "Due",
    "Errcode",
    "Failure",
    "Gap",
    "HttpTransport",
    "Intent",
    "LimitReached",
    "Live",
    "Notice",
    "Pace",
    "Pulled",
    "PulledPage",
    "Reading",
    "Retries",
    "Secret",
    "Sent",
    "Settings",
    "Settled",
    "Sweep",
    "Timeouts",
    "Timers",
    "TokenSource",
    "Transport",
    "WaitingLimit",
    "callback_router",
    "errcode",
    "least_loaded",
    "reached",
    "still_waits",
]

_HOMES = {
    "asgi": ("CallbackApp",),
    "assigning": ("Assigned",),
    "async_client": ("AsyncClient", "AsyncTokenSource"),
    "async_live": ("AsyncLive",),
    "callback": ("Callback", "Notice"),
    "candidates": ("Candidate", "Candidates", "least_loaded"),
    "changing": ("Changed",),
    "client": ("Client",),
    "errcodes": ("ERRCODES", "Errcode", "errcode"),
    "http": ("AsyncHttpTransport", "HttpTransport", "Timeouts"),
    "limits": ("LimitReached", "WaitingLimit", "reached", "still_waits"),
    "intents": ("Intent",),
    "live": ("Live",),
    "loop": ("Pace",),
    "reading": ("Reading",),
    "reconciling": ("Drift", "Failure", "Sweep"),
    "replying": ("PulledPage",),
    "retrying": ("Retries",),
    "router": ("callback_router",),
    "secret": ("Secret",),
    "sending": ("Sent",),
    "settings": ("Settings",),
    "settling": ("Settled",),
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
