"""Errors of the store: the log and its database."""

import attrs

from kfstate.errors.general import KfstateError

__all__ = [
    "CheckpointError",
    "ClosedError",
    "ConnectError",
    "ConnectionLostError",
    "CorruptLogError",
    "CursorConflictError",
    "DriverError",
    "LeaseLostError",
    "LockTimeoutError",
    "OutcomeUnknownError",
    "PayloadTooLargeError",
    "ProjectionError",
    "SchemaError",
    "StorageFullError",
    "StoreError",
    "TransactionError",
    "UndoneError",
    "VersionConflictError",
    "WorkerLostError",
]


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
    """The engine was closed: it takes no more appends; or the client: it makes no more calls."""


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
    """Another runner has taken over, so nothing of this one is committed.

    ``name`` is that of the subscription, or what the lease was of. ``epoch`` is that of the runner that lost it,
    ``current`` the one that counts; 0 where the subscription, or the lease, is gone.
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


@attrs.define(slots=False, str=False, eq=False)
class WorkerLostError(StoreError):
    """One of several processes ended before its work was done; as a rule it was killed for want of memory: take fewer.

    What was done before stays done, as far as it was stored. ``processes`` is how many there were.
    """

    processes: int
