"""kfstate: what state is each WeCom KF session in, since when, and why.

Public names are loaded when they are first asked for, so that ``kfstate --help`` need not wait for the database layer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kfstate.version import __version__

if TYPE_CHECKING:
    from kfstate.aio import AsyncEngine, AsyncEvent, AsyncSubscription
    from kfstate.clock import SECOND, Clock, SystemClock
    from kfstate.engine import Engine, Recorded
    from kfstate.errors import (
        ArgumentError,
        CallbackError,
        CheckpointError,
        ClosedError,
        ConcurrentChangeError,
        ConnectError,
        ConnectionLostError,
        CorruptLogError,
        CursorConflictError,
        DriverError,
        EnvelopeError,
        KfstateError,
        LeaseLostError,
        LockTimeoutError,
        MachineError,
        OutcomeUnknownError,
        PayloadTooLargeError,
        PoisonEntryError,
        ProjectionError,
        RateLimitError,
        ReplyError,
        ReplyLostError,
        SchemaError,
        SendRefusedError,
        SettingsError,
        StateChangeRefusedError,
        StorageFullError,
        StoreError,
        StrictOutcomeError,
        TransactionError,
        UndoneError,
        UnknownConversationError,
        UnknownDeadLetterError,
        UnknownSubscriptionError,
        UnreachableError,
        UpcasterError,
        VersionConflictError,
        WecomError,
        WireError,
    )
    from kfstate.feed import DeadLetterView, Event, Projection, Projections, Subscription, SubscriptionView
    from kfstate.intake import CursorMove, Problem, Report
    from kfstate.machine import MACHINE, Entry, SessionMachine, SessionState, Step, Verdict, evolve, fold, may
    from kfstate.projections.comparing import BuildDifference, TableDifference
    from kfstate.projections.refolding import Refolded
    from kfstate.projections.views import ProjectionView, Rebuilt
    from kfstate.queries.entries import EntryView
    from kfstate.queries.side import AnomalyView, CodeView, FateView
    from kfstate.queries.views import (
        ConversationView,
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
    from kfstate.store.checkpoint import Checkpoint
    from kfstate.store.cursor import Cursor
    from kfstate.store.envelope import OwnEntry
    from kfstate.store.upcasting import Upcaster

__all__ = [
    "MACHINE",
    "SECOND",
    "AnomalyView",
    "ArgumentError",
    "AsyncEngine",
    "AsyncEvent",
    "AsyncSubscription",
    "BuildDifference",
    "CallbackError",
    "Checkpoint",
    "CheckpointError",
    "Clock",
    "ClosedError",
    "CodeView",
    "ConcurrentChangeError",
    "ConnectError",
    "ConnectionLostError",
    "ConversationView",
    "CorruptLogError",
    "Cursor",
    "CursorConflictError",
    "CursorMove",
    "DeadLetterView",
    "DriverError",
    "Engine",
    "Entry",
    "EntryView",
    "EnvelopeError",
    "Event",
    "Explanation",
    "FateView",
    "KfServiceState",
    "KfstateError",
    "LeaseLostError",
    "LoadView",
    "LockTimeoutError",
    "MachineError",
    "OutcomeUnknownError",
    "OwnEntry",
    "PayloadTooLargeError",
    "PoisonEntryError",
    "Problem",
    "Projection",
    "ProjectionError",
    "ProjectionView",
    "Projections",
    "QueueView",
    "RateLimitError",
    "Rebuilt",
    "Recorded",
    "Refolded",
    "ReplyError",
    "ReplyLostError",
    "Report",
    "SchemaError",
    "SegmentView",
    "SendRefusedError",
    "SendWindow",
    "SessionMachine",
    "SessionState",
    "SessionView",
    "SettingsError",
    "StateChangeRefusedError",
    "Step",
    "StepView",
    "StorageFullError",
    "StoreError",
    "StrictOutcomeError",
    "Subscription",
    "SubscriptionView",
    "SystemClock",
    "TableDifference",
    "TransactionError",
    "Transition",
    "UndoneError",
    "UnknownConversationError",
    "UnknownDeadLetterError",
    "UnknownSubscriptionError",
    "UnreachableError",
    "Upcaster",
    "UpcasterError",
    "Verdict",
    "VersionConflictError",
    "WecomError",
    "WireError",
    "__version__",
    "as_json",
    "evolve",
    "fold",
    "may",
]

_HOMES = {
    "aio": ("AsyncEngine", "AsyncEvent", "AsyncSubscription"),
    "clock": ("SECOND", "Clock", "SystemClock"),
    "engine": ("Engine", "Recorded"),
    "errors": (
        "ArgumentError",
        "CallbackError",
        "CheckpointError",
        "ClosedError",
        "ConcurrentChangeError",
        "ConnectError",
        "ConnectionLostError",
        "CorruptLogError",
        "CursorConflictError",
        "DriverError",
        "EnvelopeError",
        "KfstateError",
        "LeaseLostError",
        "LockTimeoutError",
        "MachineError",
        "OutcomeUnknownError",
        "PayloadTooLargeError",
        "PoisonEntryError",
        "ProjectionError",
        "RateLimitError",
        "ReplyError",
        "ReplyLostError",
        "SchemaError",
        "SendRefusedError",
        "SettingsError",
        "StateChangeRefusedError",
        "StorageFullError",
        "StoreError",
        "StrictOutcomeError",
        "TransactionError",
        "UndoneError",
        "UnknownConversationError",
        "UnknownDeadLetterError",
        "UnknownSubscriptionError",
        "UnreachableError",
        "UpcasterError",
        "VersionConflictError",
        "WecomError",
        "WireError",
    ),
    "feed": ("DeadLetterView", "Event", "Projection", "Projections", "Subscription", "SubscriptionView"),
    "intake": ("CursorMove", "Problem", "Report"),
    "machine": ("MACHINE", "Entry", "SessionMachine", "SessionState", "Step", "Verdict", "evolve", "fold", "may"),
    "projections.comparing": ("BuildDifference", "TableDifference"),
    "projections.refolding": ("Refolded",),
    "projections.views": ("ProjectionView", "Rebuilt"),
    "queries.entries": ("EntryView",),
    "queries.side": ("AnomalyView", "CodeView", "FateView"),
    "queries.views": (
        "as_json",
        "ConversationView",
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
    "store.checkpoint": ("Checkpoint",),
    "store.cursor": ("Cursor",),
    "store.envelope": ("OwnEntry",),
    "store.upcasting": ("Upcaster",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'kfstate' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"kfstate.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
