"""Every error that kfstate raises.

.. code-block:: text

    KfstateError
    ├── WireError               what came in is no page, or no entry
    │   └── EnvelopeError       an own entry cannot be recorded as it is
    ├── MachineError            a machine's definition is not sound
    ├── StrictOutcomeError      strict mode met an outcome that it refuses
    ├── UnknownConversationError
    └── StoreError
        ├── VersionConflictError    a stream is not at the version that the caller expected
        ├── CursorConflictError     somebody else moved the cursor
        ├── LockTimeoutError        another writer holds the head of the log
        ├── TransactionError        the caller's transaction cannot take an append
        ├── SchemaError             the database is older, newer, or not whole
        └── CorruptLogError         the chain does not verify

The default message of an error is the first line of its docstring; the facts are attributes.
"""

import attrs

__all__ = [
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
    """Another writer holds the head of the log for too long."""

    waited: float
    blocker: str


@attrs.define(slots=False, str=False, eq=False)
class TransactionError(StoreError):
    """The caller's transaction cannot take an append."""

    found: str
    needed: str


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
