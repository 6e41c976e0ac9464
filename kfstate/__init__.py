"""kfstate: what state is each WeCom KF session in, since when, and why.

Public names are loaded when they are first asked for, so that ``kfstate --help`` need not wait for the database layer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kfstate.version import __version__

if TYPE_CHECKING:
    from kfstate.aio import AsyncEngine
    from kfstate.clock import SECOND, Clock, SystemClock
    from kfstate.engine import Engine, Recorded
    from kfstate.errors import (
        CorruptLogError,
        CursorConflictError,
        EnvelopeError,
        KfstateError,
        LockTimeoutError,
        MachineError,
        SchemaError,
        StoreError,
        StrictOutcomeError,
        TransactionError,
        UnknownConversationError,
        VersionConflictError,
        WireError,
    )
    from kfstate.intake import CursorMove, Problem, Report
    from kfstate.machine import MACHINE, Entry, SessionMachine, SessionState, Step, Verdict, evolve, fold, may
    from kfstate.queries.views import (
        ConversationView,
        EntryView,
        Explanation,
        LoadView,
        QueueView,
        SegmentView,
        SendWindow,
        SessionView,
        StepView,
        Transition,
        as_json,
    )
    from kfstate.service_state import KfServiceState
    from kfstate.store.envelope import OwnEntry

__all__ = [
    "MACHINE",
    "SECOND",
    "AsyncEngine",
    "Clock",
    "ConversationView",
    "CorruptLogError",
    "CursorConflictError",
    "CursorMove",
    "Engine",
    "Entry",
    "EntryView",
    "EnvelopeError",
    "Explanation",
    "KfServiceState",
    "KfstateError",
    "LoadView",
    "LockTimeoutError",
    "MachineError",
    "OwnEntry",
    "Problem",
    "QueueView",
    "Recorded",
    "Report",
    "SchemaError",
    "SegmentView",
    "SendWindow",
    "SessionMachine",
    "SessionState",
    "SessionView",
    "Step",
    "StepView",
    "StoreError",
    "StrictOutcomeError",
    "SystemClock",
    "TransactionError",
    "Transition",
    "UnknownConversationError",
    "Verdict",
    "VersionConflictError",
    "WireError",
    "__version__",
    "as_json",
    "evolve",
    "fold",
    "may",
]

_HOMES = {
    "aio": ("AsyncEngine",),
    "clock": ("SECOND", "Clock", "SystemClock"),
    "engine": ("Engine", "Recorded"),
    "errors": (
        "CorruptLogError",
        "CursorConflictError",
        "EnvelopeError",
        "KfstateError",
        "LockTimeoutError",
        "MachineError",
        "SchemaError",
        "StoreError",
        "StrictOutcomeError",
        "TransactionError",
        "UnknownConversationError",
        "VersionConflictError",
        "WireError",
    ),
    "intake": ("CursorMove", "Problem", "Report"),
    "machine": ("MACHINE", "Entry", "SessionMachine", "SessionState", "Step", "Verdict", "evolve", "fold", "may"),
    "queries.views": (
        "as_json",
        "ConversationView",
        "EntryView",
        "Explanation",
        "LoadView",
        "QueueView",
        "SegmentView",
        "SendWindow",
        "SessionView",
        "StepView",
        "Transition",
    ),
    "service_state": ("KfServiceState",),
    "store.envelope": ("OwnEntry",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'kfstate' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"kfstate.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
