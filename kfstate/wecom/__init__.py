"""The live side: what talks with WeCom."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfstate.wecom.secret import Secret

__all__ = ["Secret"]

_HOMES = {
    "secret": ("Secret",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'kfstate.wecom' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"kfstate.wecom.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
