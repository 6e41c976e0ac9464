"""Telling other processes that something was committed: LISTEN and NOTIFY, where the database is PostgreSQL.

Hints and no more: whoever needs the log polls as well. Never inside the transaction that appends, because a transaction
that notifies takes a lock of the whole database server when it commits.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Connection, Engine

from kfstate.store.dialect import query

__all__ = ["Notices"]


class Notices:
    """The channel of one log."""

    def __init__(self, engine: Engine) -> None:
        """Speak to the database of ``engine``, on connections of its own."""
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    @staticmethod
    def known(engine: Engine) -> bool:
        """Tell whether the database can tell others."""
        return engine.dialect.name == "postgresql"

    @contextmanager
    def sending(self) -> Iterator[Callable[[], None]]:
        """Give what tells everybody who listens."""
        with self._apart() as connection:
            channel = _channel(connection)
            yield lambda: connection.exec_driver_sql(f'NOTIFY "{channel}"').close()

    @contextmanager
    def listening(self) -> Iterator[Callable[[float], bool]]:
        """Give what waits at most so many seconds until somebody tells, and says whether."""
        with self._apart() as connection:
            connection.exec_driver_sql(f'LISTEN "{_channel(connection)}"').close()
            driver = connection.connection.dbapi_connection
            yield lambda seconds: _wait(driver, seconds)

    @contextmanager
    def _apart(self) -> Iterator[Connection]:
        """Open a connection that never goes back to the pool."""
        connection = self._engine.connect()
        driver = connection.connection.dbapi_connection
        assert driver is not None  # noqa: S101 (it is open)
        connection.detach()
        with closing(driver), connection:  # SQLAlchemy closes no detached connection of an asyncio driver
            yield connection


def _channel(connection: Connection) -> str:
    (log_id,) = query(connection, "SELECT log_id FROM kf_log_head")[0]
    return f"kfstate_{bytes(log_id).hex()}"


def _wait(driver: Any, seconds: float) -> bool:
    run: Callable[[Callable[[Any], Awaitable[bool]]], bool] | None = getattr(driver, "run_async", None)
    if run is not None:  # the connection of an asynchronous driver, inside of a greenlet
        return run(lambda connection: _told(connection, seconds))
    return len(list(driver.notifies(timeout=seconds, stop_after=1))) > 0


async def _told(driver: Any, seconds: float) -> bool:
    return len([notice async for notice in driver.notifies(timeout=seconds, stop_after=1)]) > 0
