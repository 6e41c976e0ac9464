"""What each database does in its own way. The modules that do it: sqlite, postgresql, mysql."""

import select
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import attrs
from sqlalchemy import Connection, Table
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection

from kfstate.errors import StoreError

__all__ = [
    "DEFAULT_LOCK_TIMEOUT",
    "LOCK_TIMEOUT",
    "LOG_TABLES",
    "SERVER_POOL",
    "STANDING",
    "WRITE",
    "Answer",
    "Backend",
    "Rows",
    "Standing",
    "Trouble",
    "ask",
    "columns",
    "execute",
    "foreign",
    "has_input",
]

WRITE = "kfstate_write"
"""Execution option: True: the transaction will append; False: it sees one snapshot and writes nothing; else neither."""
STANDING = "kfstate_standing"
"""Execution option: the :class:`Standing` of a transaction of our own that writes."""
LOCK_TIMEOUT = "kfstate_lock_timeout"
"""Execution option: how many seconds a transaction waits for another one."""
DEFAULT_LOCK_TIMEOUT = 10.0
SERVER_POOL: Mapping[str, Any] = {"pool_size": 10, "max_overflow": 20}
"""How many connections an engine keeps to a server, and how many more it opens at most."""

Rows = list[tuple[Any, ...]]
Answer = Callable[[], Rows]
"""Waits for the rows of a statement that was sent, and returns them: the driver's own tuples."""
Trouble = Literal["locked", "undone", "lost", "full"]
"""What an error of a driver means: a lock timed out; the server undid the transaction; the connection is gone; there is
no room."""


@attrs.define(eq=False)
class Standing:
    """What has become of a transaction, while the block it belongs to still runs."""

    inside: bool = False
    """Whether the block runs: nothing in it may commit or roll back."""
    gone: StoreError | None = None
    """Why the transaction is not there any more, and nothing may be committed."""


class Backend(Protocol):
    """One database's own ways."""

    ALONE: Mapping[str, Any]
    """Execution options of a connection on which every statement is a transaction."""
    SNAPSHOT: Mapping[str, Any]
    """Execution options of a connection whose transactions see one snapshot."""

    def prepared(self, url: URL, *, lock_timeout: float, asynchronous: bool) -> tuple[URL, dict[str, Any]]:
        """Return the URL with our driver, and what else an SQLAlchemy engine is to be made with."""
        ...

    def set_up(self, connection: DBAPIConnection, lock_timeout: float) -> None:
        """Set up a new connection of the driver."""
        ...

    def start(self, conn: Connection, *, write: bool | None) -> None:
        """Begin a transaction, as far as the driver does not."""
        ...

    def stale(self, connection: Any) -> bool:
        """Tell whether an idle connection of the driver looks as if the server had closed it."""
        ...

    def lock(self, conn: Connection) -> None:
        """Lock the head of the log in a transaction of :func:`kfstate.store.dialect.begin`."""
        ...

    def lock_in(self, conn: Connection) -> None:
        """Lock the head of the log in a transaction that somebody else began, or refuse it."""
        ...

    def trouble(self, error: BaseException) -> Trouble | None:
        """Tell what an error of the driver means."""
        ...

    def undone(self, conn: Connection, error: BaseException) -> bool:
        """Tell whether the database ended the transaction with this error, and undid it.

        What is written from then on stands in another transaction, which can be rolled back.
        """
        ...

    def standing(self, conn: Connection) -> bool:
        """Tell whether the transaction can be committed, as far as that is known without asking the server."""
        ...

    def holder(self, conn: Connection) -> str | None:
        """Return who holds the head of the log, asked on another connection; None: nobody, or nobody knows."""
        ...

    def ask(self, conn: Connection, sql: str, values: Sequence[Any]) -> Answer:
        """Send a statement, and return what waits for its rows: in a block of :meth:`in_one_go` several share it."""
        ...

    def insert(self, conn: Connection, table: Table, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows into ``table``, which stands under ``name``."""
        ...

    def upsert(self, conn: Connection, table: Table, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, or replace those with the same primary key."""
        ...

    def listed(self, sql: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        """Fill the list ``IN (??)`` of a statement."""
        ...

    def in_one_go(self, conn: Connection) -> AbstractContextManager[None]:
        """Send what is run in the block without waiting for each statement; inside of another block do nothing."""
        ...

    def forget_journal(self, conn: Connection, *, wait: bool) -> bool:
        """Empty the journal of what was committed, outside of a transaction; tell whether it is, if it is ours to do.

        ``wait``: for a second, for those who need it.
        """
        ...

    def migrating(self, conn: Connection) -> AbstractContextManager[None]:
        """Keep other processes from migrating the same database meanwhile."""
        ...

    def missing_triggers(self, conn: Connection) -> list[str]:
        """Return the names of triggers that do not stand, or stand in another wording, or that are not ours."""
        ...


LOG_TABLES = (
    "kf_entry", "kf_payload", "kf_identity", "kf_name", "kf_stream", "kf_log_head", "kf_pull", "kf_machine",
    "kf_archive_mark", "kf_access",
)  # fmt: skip
"""The tables that triggers guard."""


def foreign(found: Iterable[tuple[str, str]]) -> list[str]:
    """Return what to say of triggers that are not ours, given as name and table: those that stand on the log."""
    return sorted(f"{name} (not ours, on {table})" for name, table in found if table.lower() in LOG_TABLES)


def execute(connection: DBAPIConnection, *statements: str) -> None:
    """Run statements on a connection of a driver, through cursors: what asyncio's adapters have, too."""
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


def ask(conn: Connection, sql: str, values: Sequence[Any]) -> Answer:
    """Run a statement at once: what most drivers do."""
    cursor = conn.connection.cursor()
    try:
        cursor.execute(sql, values)
        # A driver that is asked for the description makes an object of every column.
        found: Any = cursor.fetchall() if sql.startswith("SELECT") or cursor.description else []
    finally:
        cursor.close()
    rows: Rows = found if type(found) is list else list(found)
    return lambda: rows


def has_input(connection: Any) -> bool:
    """Tell whether the server has sent something that nobody read yet; has a ``fileno``, of whatever size."""
    if not hasattr(select, "poll"):  # on Windows select takes them all
        return bool(select.select([connection], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def columns(table: Table) -> str:
    """Return the names of a table's columns, as they stand in statements."""
    return ", ".join(column.name for column in table.columns)
