"""kfstate: what state is each WeCom KF session in, since when, and why.

Public names are loaded when they are first asked for, so that ``kfstate --help`` need not wait for the database layer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfstate.engine import Engine, Recorded
    from kfstate.errors import KfstateError
    from kfstate.intake import CursorMove, Report
    from kfstate.machine import SessionMachine, SessionState, evolve, fold
    from kfstate.service_state import KfServiceState
    from kfstate.store.envelope import OwnEntry

__version__ = "0.1.0"

__all__ = [
    "CursorMove",
    "Engine",
    "KfServiceState",
    "KfstateError",
    "OwnEntry",
    "Recorded",
    "Report",
    "SessionMachine",
    "SessionState",
    "__version__",
    "evolve",
    "fold",
]

_HOMES = {
    "CursorMove": "intake",
    "Engine": "engine",
    "KfServiceState": "service_state",
    "KfstateError": "errors",
    "OwnEntry": "store.envelope",
    "Recorded": "engine",
    "Report": "intake",
    "SessionMachine": "machine",
    "SessionState": "machine",
    "evolve": "machine",
    "fold": "machine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"kfstate.{_HOMES[name]}"), name)
