"""Errors of the library at large."""

import attrs

__all__ = [
    "ArchiveError",
    "ArgumentError",
    "EnvelopeError",
    "ExtraError",
    "KfstateError",
    "MachineError",
    "PoisonEntryError",
    "StrictOutcomeError",
    "UnknownConversationError",
    "UnknownCustomerError",
    "UnknownDeadLetterError",
    "UnknownHoldError",
    "UnknownSubscriptionError",
    "UpcasterError",
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
class UnknownCustomerError(KfstateError):
    """The log knows no such customer; or no more: the receipts say who was erased when."""

    external_userid: str


@attrs.define(slots=False, str=False, eq=False)
class UnknownHoldError(KfstateError):
    """There is no legal hold of this number in force."""

    id: int


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


@attrs.define(slots=False, str=False, eq=False)
class ArchiveError(KfstateError):
    """An archive cannot be read or written, or it is not one of this log.

    ``path`` is the file or folder; ``reason`` what is wrong with it.
    """

    path: str
    reason: str


@attrs.define(slots=False, str=False, eq=False)
class ExtraError(KfstateError):
    """This needs packages that are not installed."""

    needed: str
    remedy: str
