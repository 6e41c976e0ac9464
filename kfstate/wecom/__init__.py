"""The live side: what talks with WeCom."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfstate.wecom.asgi import CallbackApp
    from kfstate.wecom.callback import Callback, Notice
    from kfstate.wecom.router import callback_router
    from kfstate.wecom.secret import Secret
    from kfstate.wecom.settings import Settings

__all__ = [
    "Callback",
    "CallbackApp",
    "Notice",
    "Secret",
    "Settings",
    "callback_router",
]

_HOMES = {
    "asgi": ("CallbackApp",),
    "callback": ("Callback", "Notice"),
    "router": ("callback_router",),
    "secret": ("Secret",),
    "settings": ("Settings",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'kfstate.wecom' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"kfstate.wecom.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
