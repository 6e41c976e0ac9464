"""Exit codes, and which error leads to which."""

import enum
import errno
import sys

from kfstate.errors import (
    ArgumentError,
    ConcurrentChangeError,
    CursorConflictError,
    KfstateError,
    MachineError,
    SettingsError,
    StoreError,
    UnknownConversationError,
    UnknownCustomerError,
    VersionConflictError,
)

__all__ = ["LARGEST", "MEANINGS", "DatabaseError", "Exit", "UsageError", "exit_of"]


class Exit(enum.IntEnum):
    """How a command ended."""

    OK = 0
    REJECTED = 1
    USAGE = 2
    UNKNOWN_CONVERSATION = 3
    DATABASE = 4
    CONFLICT = 5
    BUG = 70
    INTERRUPTED = 130
    CLOSED_PIPE = 141


MEANINGS = {
    Exit.OK: "done",
    Exit.REJECTED: "something was rejected, or a check failed; the rest is done",
    Exit.USAGE: "the command line, a setting, or a machine or file that they name is wrong; nothing was done",
    Exit.UNKNOWN_CONVERSATION: "no entry of this conversation, or customer, is in the log",
    Exit.DATABASE: "the database is not there, cannot be opened, is locked, or has another schema; "
    "or a process at work on it was killed",
    Exit.CONFLICT: "a stream or a cursor is not where the caller expected it, or somebody else was quicker",
    Exit.BUG: "a bug in kfstate; please report it",
    Exit.INTERRUPTED: "interrupted (Ctrl-C); what was stored before stays stored",
    Exit.CLOSED_PIPE: "the reader of the output went away",
}


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LARGEST = 1 << 63
"""No database has a number as large as this."""


class UsageError(Exception):
    """The command line is wrong."""


class DatabaseError(Exception):
    """The database cannot be used."""


def exit_of(error: Exception) -> tuple[Exit, str] | None:
    """Return the exit code of an error and its one line; None: nobody foresaw it."""
    line = " ".join("; ".join([str(error), *getattr(error, "__notes__", ())]).split())
    if isinstance(error, (UsageError, SettingsError, ArgumentError, MachineError)):
        return Exit.USAGE, line
    if isinstance(error, (UnknownConversationError, UnknownCustomerError)):
        return Exit.UNKNOWN_CONVERSATION, line
    if isinstance(error, (VersionConflictError, CursorConflictError, ConcurrentChangeError)):
        return Exit.CONFLICT, line
    if isinstance(error, (StoreError, DatabaseError)):
        return Exit.DATABASE, line
    if isinstance(error, KfstateError):
        return Exit.REJECTED, line
    return _of_others(error)


def _of_others(error: Exception) -> tuple[Exit, str] | None:
    if isinstance(error, OSError) and error.errno in _FULL:
        return Exit.USAGE, f"the output cannot be written ({error.strerror})"
    if "sqlalchemy" in sys.modules:
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        if isinstance(error, SQLAlchemyError):
            told = error.orig if isinstance(error, DBAPIError) else error
            return Exit.DATABASE, " ".join(f"the database says: {told}".split())
    return None
