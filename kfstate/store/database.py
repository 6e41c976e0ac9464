"""One database behind a URL: its connections, its transactions, and who is told after a commit."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import WeakSet

import attrs
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.engine import URL, Transaction
from sqlalchemy.exc import DBAPIError

from kfstate.errors import ClosedError, TransactionError
from kfstate.store import dialect
from kfstate.store.backend import DEFAULT_LOCK_TIMEOUT
from kfstate.store.connecting import open_database
from kfstate.store.head import lock_head, read_head
from kfstate.store.reader import Reader
from kfstate.store.rows import Head
from kfstate.store.sqlite import in_memory

__all__ = ["Database"]

_logger = logging.getLogger("kfstate")
_AGAIN = 1.0
"""Seconds between two attempts to empty a journal that others need."""


@attrs.define
class _Inside:
    """The transaction that a thread or task is in; tasks that were started in it share this object."""

    transaction: Transaction | None = None
    """Of a caller; None: of the engine."""
    over: bool = False

    def is_open(self) -> bool:
        return not self.over if self.transaction is None else self.transaction.is_active


class Database:
    """Transactions on one database. Share one between threads."""

    def __init__(
        self, url: str | URL, *, lock_timeout: float = DEFAULT_LOCK_TIMEOUT, asynchronous: bool = False
    ) -> None:
        """Set up connections to ``url``; ``lock_timeout`` is how many seconds a writer waits for another one.

        ``asynchronous``: through asyncio's drivers, for code that runs inside SQLAlchemy's greenlets.
        """
        self.engine = open_database(url, lock_timeout=lock_timeout, asynchronous=asynchronous)
        self.closed = False
        # A database in memory has one connection, which nobody may keep.
        self._memory = self.engine.dialect.name == "sqlite" and in_memory(self.engine.url)
        self.read = Reader(self.engine, keep=0) if self._memory else Reader(self.engine)
        """Single questions, each a snapshot of its own."""
        self.options: dict[str, object] = {}
        """Execution options of every transaction, as :data:`~kfstate.store.dialect.NAMES`."""
        self._inside: ContextVar[_Inside | None] = ContextVar("kfstate_inside", default=None)
        self._log_id: bytes | None = None
        self._hosts: WeakSet[Engine] = WeakSet()
        """Callers' engines whose connections lead to a log."""
        self.committed: list[Callable[[], None]] = []
        """Called after every commit of :meth:`writing`: wake-ups, which are hints and must not raise."""
        # What was taken out, and may stand in the journal still.
        self._owed: set[object] = set()
        self._again_at = 0.0

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one snapshot and writes nothing."""
        self._ask_open()
        if self._memory:
            self.refuse_inside()
        with dialect.begin(self.engine, write=False, **self.options) as conn:
            yield conn

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that may append; it commits at the end of the block.

        Raises :class:`~kfstate.errors.LockTimeoutError`.
        """
        self._ask_open()
        self.refuse_inside()
        # Before it begins: after its commit, nothing may raise an error or be cancelled.
        if self._owed and time.monotonic() >= self._again_at:
            self._empty_journal(wait=False)
        inside = _Inside()
        with dialect.begin(self.engine, write=True, **self.options) as conn:
            self._inside.set(inside)
            try:
                yield conn
            finally:
                inside.over = True
        for told in self.committed:
            told()

    @property
    def journal_owed(self) -> bool:
        """Whether the journal may hold what was taken out before the last :meth:`forget_journal`."""
        return bool(self._owed)

    def forget_journal(self) -> None:
        """Empty the journal of what was committed. Where others need it, say so, and try before later transactions."""
        if self._memory:
            return
        self._owed.add(object())
        self._empty_journal(wait=True)
        if self._owed:
            message = "what was taken out may stand in the journal still, which others need: run the retention again"
            _logger.warning(message, extra={"action": "journal_owed"})

    def _empty_journal(self, *, wait: bool) -> None:
        self._again_at = time.monotonic() + _AGAIN
        due = frozenset(self._owed)  # what others take out meanwhile stays owed
        if dialect.forget_journal(self.engine, wait=wait):
            self._owed.difference_update(due)

    def refuse_inside(self) -> None:
        """Refuse a thread or task that is in a write transaction of this database: it would wait for itself.

        Raises :class:`~kfstate.errors.TransactionError`.
        """
        inside = self._inside.get()
        if inside is not None and inside.is_open():
            found = "a transaction of this engine in the same thread or task"
            raise TransactionError(found=found, needed="its connection, handed over as connection=")

    def join(self, conn: Connection) -> Head:
        """Lock the head in a caller's own transaction, and return it; until its end, nothing else may wait for it here.

        Raises :class:`~kfstate.errors.TransactionError` where the connection is to another log than this database's.
        """
        if self._log_id is None:
            with self.reading() as reading:
                self._log_id = read_head(reading).log_id
        if conn.engine not in self._hosts:
            self._ask_for_log(conn)
        try:
            head = lock_head(conn)
        except DBAPIError as error:
            # Only SQLite gets here without the log: it was not asked before, because a read would begin a transaction.
            if inspect(conn).has_table("kf_log_head"):
                raise
            raise self._without_log(conn) from error
        if head.log_id != self._log_id:
            raise TransactionError(found=f"log {head.log_id.hex()}", needed=f"log {self._log_id.hex()}")
        self._hosts.add(conn.engine)
        self._inside.set(_Inside(conn.get_transaction()))
        conn.execution_options(**self.options)
        return head

    def _ask_for_log(self, conn: Connection) -> None:
        family = {"mariadb": "mysql"}
        theirs, ours = conn.dialect.name, self.engine.dialect.name
        same = family.get(theirs, theirs) == family.get(ours, ours)
        # On a server a statement that fails would spoil the caller's transaction.
        if not same or (ours != "sqlite" and not inspect(conn).has_table("kf_log_head")):
            raise self._without_log(conn)

    def _without_log(self, conn: Connection) -> TransactionError:
        return TransactionError(found=f"a connection to {conn.engine.url!r}", needed="one to the engine's own log")

    def close(self) -> None:
        """Give back every connection."""
        if self._owed and not self.closed:
            self._empty_journal(wait=False)
        self.closed = True
        self.read.close()
        self.engine.dispose()

    def _ask_open(self) -> None:
        if self.closed:
            raise ClosedError
