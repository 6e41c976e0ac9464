"""Single questions, outside of transactions, on connections that stay open in between."""

from collections import deque
from typing import Any

from sqlalchemy import Connection, Engine

from kfstate.errors import ClosedError, ConnectionLostError
from kfstate.store.connecting import backend_of, connect
from kfstate.store.dialect import query
from kfstate.store.greenlets import give_back

__all__ = ["Reader"]

_IDLE = 4
"""How many connections a reader keeps open in between."""


class Reader:
    """Single questions to a database, each a snapshot of its own, on connections that stay open in between.

    For the question that is asked most: to begin and end a transaction costs several times what the answer does.
    Share one between threads. Between questions no transaction is open.
    """

    def __init__(self, engine: Engine, *, keep: int = _IDLE) -> None:
        """Take connections from ``engine`` as they are needed, and keep at most ``keep`` of them."""
        self._engine = engine
        self._keep = keep
        self._closed = False
        self._idle: deque[Connection] = deque()

    def __call__(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run a statement written with ``?`` and return the driver's tuples."""
        if self._closed:
            raise ClosedError
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._ask(self._connected(), sql, values)
        try:
            return self._ask(connection, sql, values)
        except ConnectionLostError:
            # The server closed it while it was idle. What it asks changes nothing, so that it can be asked again.
            return self._ask(self._connected(), sql, values)

    def _connected(self) -> Connection:
        connection = connect(self._engine)
        try:
            return connection.execution_options(**backend_of(connection).ALONE)
        except BaseException:
            give_back(connection)
            raise

    def _ask(self, connection: Connection, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            found = query(connection, sql, values)
        except BaseException:
            give_back(connection)
            raise
        if len(self._idle) < self._keep:
            self._idle.append(connection)
        else:
            give_back(connection)
        return found

    def close(self) -> None:
        """Give the connections back."""
        self._closed = True
        while self._idle:
            give_back(self._idle.pop())
