"""Every error that kfstate raises.

.. code-block:: text

    KfstateError
    ├── WireError               what came in is no page, or no entry
    │   └── EnvelopeError       an own entry cannot be recorded as it is
    ├── MachineError            a machine's definition is not sound
    ├── StrictOutcomeError      strict mode met an outcome that it refuses
    ├── UnknownConversationError
    ├── UnknownSubscriptionError
    ├── UnknownDeadLetterError
    ├── UpcasterError           a set of upcasters is not sound
    ├── PoisonEntryError        an entry cannot be given to a handler
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
        └── CorruptLogError         the chain does not verify

The default message of an error is the first line of its docstring; the facts are attributes.
"""

import attrs

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "ClosedError",
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
    "SchemaError",
    "StorageFullError",
    "StoreError",
    "StrictOutcomeError",
    "TransactionError",
    "UndoneError",
    "UnknownConversationError",
    "UnknownDeadLetterError",
    "UnknownSubscriptionError",
    "UpcasterError",
    "VersionConflictError",
    "WireError",
]


class KfstateError(Exception):
    """Something in kfstate failed."""

    def __str__(self) -> str:
        """Return the first line of the docstring and the facts."""
        facts = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        summary = (type(self).__doc__ or "").splitlines()[0].rstrip(".")
        return f"{summary}: {facts}" if facts else summary


@attrs.define(slots=False, str=False, eq=False)
class WireError(KfstateError):
    """What came in cannot be read.

    ``path`` is where (``$.msg_list[3].send_time``), ``value`` what stood there (cut to 200 characters), ``reason`` why.
    """

    path: str
    value: str
    reason: str

    def __str__(self) -> str:
        """Return reason, path and value as one sentence."""
        return f"{self.reason} at {self.path}: {self.value}"


@attrs.define(slots=False, str=False, eq=False)
class EnvelopeError(WireError):
    """An own entry cannot be recorded as it is.

    ``index`` is its place among the entries that were to be appended together, where that is known.
    """

    index: int | None = None


@attrs.define(slots=False, str=False, eq=False)
class MachineError(KfstateError):
    """The definition of a machine is not sound."""

    problems: tuple[str, ...]


@attrs.define(slots=False, str=False, eq=False)
class StrictOutcomeError(KfstateError):
    """Strict mode refuses this outcome."""

    outcome: str
    position: int
    reason: str


@attrs.define(slots=False, str=False, eq=False)
class UnknownConversationError(KfstateError):
    """No entry of this conversation is in the log."""

    open_kfid: str
    external_userid: str


@attrs.define(slots=False, str=False, eq=False)
class UnknownSubscriptionError(KfstateError):
    """There is no subscription of this name."""

    name: str


@attrs.define(slots=False, str=False, eq=False)
class UnknownDeadLetterError(KfstateError):
    """There is no dead letter of this id."""

    id: str


@attrs.define(slots=False, str=False, eq=False)
class UpcasterError(KfstateError):
    """A set of upcasters is not sound."""

    problems: tuple[str, ...]


@attrs.define(slots=False, str=False, eq=False)
class PoisonEntryError(KfstateError):
    """This entry cannot be given to a handler."""

    position: int
    kind: str
    reason: str


@attrs.define(slots=False, str=False, eq=False)
class ArgumentError(KfstateError):
    """An argument has a value that it cannot have."""

    name: str
    value: str
    allowed: str


class StoreError(KfstateError):
    """The store refused."""


@attrs.define(slots=False, str=False, eq=False)
class VersionConflictError(StoreError):
    """The stream is not at the version that was expected."""

    stream: str
    expected: str
    current: int


@attrs.define(slots=False, str=False, eq=False)
class CursorConflictError(StoreError):
    """The cursor of this account was moved by somebody else."""

    open_kfid: str
    expected: str
    current: str
    epoch: int


@attrs.define(slots=False, str=False, eq=False)
class LockTimeoutError(StoreError):
    """Another transaction holds a lock for too long: that of the head of the log, or another one."""

    waited: float
    blocker: str


@attrs.define(slots=False, str=False, eq=False)
class TransactionError(StoreError):
    """The caller's transaction cannot take an append."""

    found: str
    needed: str


@attrs.define(slots=False, str=False, eq=False)
class OutcomeUnknownError(StoreError):
    """The connection broke while the database committed, and it could not be asked since.

    The entries are all there, or none is. To append them again is safe where they have a ``msgid``, or an idempotency
    ``key``: what is there already is answered as a duplicate.
    """

    waited: float
    reason: str


@attrs.define(slots=False, str=False, eq=False)
class ClosedError(StoreError):
    """The engine was closed: it takes no more appends."""


@attrs.define(slots=False, str=False, eq=False)
class UndoneError(StoreError):
    """The server undid the transaction to let another one go on; it can be run again."""

    reason: str


@attrs.define(slots=False, str=False, eq=False)
class ConnectionLostError(StoreError):
    """The connection to the database is lost: what was not committed is undone."""

    reason: str


@attrs.define(slots=False, str=False, eq=False)
class ConnectError(ConnectionLostError):
    """The database cannot be opened, or is none: no connection was made, and nothing was done."""


@attrs.define(slots=False, str=False, eq=False)
class StorageFullError(StoreError):
    """The database has no room left: its disk is full, or its quota. Nothing of the transaction is stored."""

    reason: str


@attrs.define(slots=False, str=False, eq=False)
class PayloadTooLargeError(StoreError):
    """The server takes no statement as long as one with this payload. Nothing of the append is stored.

    ``size`` and ``limit`` are in bytes: the payload as a statement holds it, and the server's ``max_allowed_packet``.
    """

    size: int
    limit: int


@attrs.define(slots=False, str=False, eq=False)
class DriverError(StoreError):
    """This database cannot be opened from here."""

    found: str
    needed: str
    remedy: str


@attrs.define(slots=False, str=False, eq=False)
class SchemaError(StoreError):
    """The database is not at the schema that this release needs."""

    found: str
    needed: str
    remedy: str


@attrs.define(slots=False, str=False, eq=False)
class CorruptLogError(StoreError):
    """The log was changed behind the triggers' back."""

    position: int
    reason: str


@attrs.define(slots=False, str=False, eq=False)
class CheckpointError(StoreError):
    """The log is not the one that was read up to this checkpoint: it lost its tail, or it is another log.

    ``expected`` is the chain of the checkpoint in hex, ``found`` that of the log at ``position``; '' where the log ends
    before it.
    """

    position: int
    found: str
    expected: str


@attrs.define(slots=False, str=False, eq=False)
class LeaseLostError(StoreError):
    """Another runner of this subscription has taken over, so nothing of this one is committed.

    ``epoch`` is that of the runner that lost it, ``current`` the one that counts; 0 where the subscription is gone.
    """

    name: str
    epoch: int
    current: int


@attrs.define(slots=False, str=False, eq=False)
class ProjectionError(StoreError):
    """A projection cannot be built, switched or run.

    ``version`` is the number of the build; 0 where it is about none.
    """

    name: str
    version: int
    reason: str
