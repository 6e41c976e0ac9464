"""Every error that kfstate raises.

.. code-block:: text

    KfstateError
    ├── WireError               what came in is no page, or no entry
    │   └── EnvelopeError       an own entry cannot be recorded as it is
    ├── MachineError            a machine's definition is not sound
    ├── StrictOutcomeError      strict mode met an outcome that it refuses
    ├── ArchiveError            an archive cannot be read or written, or is not one of this log
    ├── ExtraError              packages are missing: an extra is to be installed
    ├── UnknownConversationError
    ├── UnknownCustomerError    nobody of this id is in the log, or no more
    ├── UnknownHoldError
    ├── UnknownSubscriptionError
    ├── UnknownDeadLetterError
    ├── UpcasterError           a set of upcasters is not sound
    ├── PoisonEntryError        an entry cannot be given to a handler
    ├── CallbackError           what came in is no callback of WeCom for us
    ├── SettingsError           a setting is missing, unknown or wrong
    ├── WecomError              WeCom refused a call: nothing was carried out
    │   └── RateLimitError      it takes this call no more for a while
    ├── UnreachableError        WeCom could not be reached: the call changed nothing
    ├── ReplyLostError          the reply of a call is lost: it may have been carried out
    ├── ReplyError              what came back is no reply of WeCom
    ├── StateChangeRefusedError a conversation's state was not changed
    ├── SendRefusedError        a message was not sent
    ├── ConcurrentChangeError   somebody else changes the conversation
    └── StoreError
        ├── VersionConflictError    a stream is not at the version that the caller expected
        ├── CursorConflictError     somebody else moved the cursor
        ├── LockTimeoutError        another transaction holds the head of the log, or another lock
        ├── TransactionError        the caller's transaction cannot take an append
        ├── UndoneError             the server undid the transaction to let another one go on
        ├── ConnectionLostError     the connection is lost
        │   └── ConnectError        there never was one: the database cannot be opened
        ├── DriverError             no driver for this database is installed, or it is none of ours
        ├── OutcomeUnknownError     the database went away while it committed
        ├── ClosedError             the engine was closed
        ├── StorageFullError        the database has no room
        ├── PayloadTooLargeError    the server takes no statement of this size
        ├── SchemaError             the database is older, newer, or not whole
        ├── CheckpointError         the log is not the one that was read up to there
        ├── LeaseLostError          another runner has taken over
        ├── ProjectionError         a projection cannot be built, switched or run
        ├── WorkerLostError         one of several processes ended before its work was done
        └── CorruptLogError         the chain does not verify

The default message of an error is the first line of its docstring; the facts are attributes.
"""

from kfstate.errors.general import (
    ArchiveError,
    ArgumentError,
    EnvelopeError,
    ExtraError,
    KfstateError,
    MachineError,
    PoisonEntryError,
    StrictOutcomeError,
    UnknownConversationError,
    UnknownCustomerError,
    UnknownDeadLetterError,
    UnknownHoldError,
    UnknownSubscriptionError,
    UpcasterError,
    WireError,
)
from kfstate.errors.live import (
    CallbackError,
    ConcurrentChangeError,
    RateLimitError,
    ReplyError,
    ReplyLostError,
    SendRefusedError,
    SettingsError,
    StateChangeRefusedError,
    UnreachableError,
    WecomError,
)
from kfstate.errors.store import (
    CheckpointError,
    ClosedError,
    ConnectError,
    ConnectionLostError,
    CorruptLogError,
    CursorConflictError,
    DriverError,
    LeaseLostError,
    LockTimeoutError,
    OutcomeUnknownError,
    PayloadTooLargeError,
    ProjectionError,
    SchemaError,
    StorageFullError,
    StoreError,
    TransactionError,
    UndoneError,
    VersionConflictError,
    WorkerLostError,
)

__all__ = [
    "ArchiveError",
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
    "ExtraError",
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
    "UnknownCustomerError",
    "UnknownDeadLetterError",
    "UnknownHoldError",
    "UnknownSubscriptionError",
    "UnreachableError",
    "UpcasterError",
    "VersionConflictError",
    "WecomError",
    "WireError",
    "WorkerLostError",
]
