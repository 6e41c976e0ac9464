"""``kill -9`` at a statement: a process counts what it sends to its database, and kills itself before number N.

Counted at the drivers, below SQLAlchemy, because bulk inserts and most questions go past it; and only in the thread
that armed it. A commit counts twice: before it is sent, and after it was answered.
"""

import functools
import importlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Pool, event

__all__ = ["Killing"]


class Killing:
    """Counts statements of every database, and kills this process at one of them."""

    def __init__(self) -> None:
        """Watch all connections that are made from now on."""
        self.statements: list[str] = []
        self._at: int | None = None
        self._thread: int | None = None
        event.listen(Pool, "connect", self._watch_sqlite)
        self._watch_psycopg()
        self._watch_pymysql()

    def arm(self, at: int | None) -> None:
        """Count from here on, and kill this process before statement number ``at``, the first being 1."""
        self.statements.clear()
        self._at, self._thread = at, threading.get_ident()

    def disarm(self) -> int:
        """Count no more, and return how many there were."""
        self._thread = None
        return len(self.statements)

    def _met(self, statement: object) -> None:
        if threading.get_ident() != self._thread:
            return
        self.statements.append(str(statement)[:80])
        if len(self.statements) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _watch_sqlite(self, connection: Any, _record: object) -> None:
        if type(connection).__module__ != "sqlite3":
            return

        def traced(statement: str) -> None:
            if not statement.startswith("--"):  # what triggers do is part of their statement
                self._met(statement)

        connection.set_trace_callback(traced)

    def _watch_psycopg(self) -> None:
        import psycopg

        for name in ("execute", "executemany", "copy"):
            self._before(psycopg.Cursor, name)
        self._before(psycopg.Connection, "commit", after=True)

    def _watch_pymysql(self) -> None:
        connection = importlib.import_module("pymysql.connections").Connection  # has no types
        self._before(connection, "query")
        self._before(connection, "commit", after=True)

    def _before(self, owner: Any, name: str, *, after: bool = False) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(original)
        def counted(subject: Any, *args: Any, **more: Any) -> Any:
            self._met(args[0] if args else name)
            done = original(subject, *args, **more)
            if after:
                self._met(f"after {name}")
            return done

        setattr(owner, name, counted)
