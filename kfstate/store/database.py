"""One database behind a URL: its connections, its transactions, and who is told after a commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from kfstate.store import dialect

__all__ = ["Database"]


class Database:
    """Transactions on one database. Share one between threads."""

    def __init__(self, url: str | URL, *, lock_timeout: float = 10.0) -> None:
        """Set up connections to ``url``; ``lock_timeout`` is how many seconds a writer waits for another one."""
        self.engine = dialect.open_database(url, lock_timeout=lock_timeout)
        self.read = dialect.Reader(self.engine)
        """Single questions, each a snapshot of its own."""
        self.names: dialect.Rename | None = None
        """Gives the tables of projections the names of the build that is live."""
        self.committed: list[Callable[[], None]] = []
        """Called after every commit of :meth:`writing`: wake-ups, which are hints and must not raise."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one snapshot and writes nothing."""
        with dialect.begin(self.engine, write=False, names=self.names) as conn:
            yield conn

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that may append; it commits at the end of the block.

        Raises :class:`~kfstate.errors.LockTimeoutError`.
        """
        with dialect.begin(self.engine, write=True, names=self.names) as conn:
            yield conn
        for told in self.committed:
            told()

    def close(self) -> None:
        """Give back every connection."""
        self.read.close()
        self.engine.dispose()
