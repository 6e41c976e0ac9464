"""The driver's pipeline mode: statements that do not wait for each other, and share one wait for what they answer."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

from sqlalchemy import Connection

from kfstate.store import backend
from kfstate.store.backend import Answer, Rows
from kfstate.store.greenlets import awaited

__all__ = ["ask", "in_one_go", "is_in_one_go", "is_ours"]


def is_ours(conn: Connection) -> bool:
    """Tell whether the driver is psycopg 3; a caller's own connection may have another one."""
    return conn.dialect.driver.startswith("psycopg") and conn.dialect.driver != "psycopg2"


def is_in_one_go(conn: Connection) -> bool:
    """Tell whether the connection is in pipeline mode, in which it cannot COPY."""
    return is_ours(conn) and bool(_driver(conn).pgconn.pipeline_status)


@contextmanager
def in_one_go(conn: Connection) -> Iterator[None]:
    """Send what is run in the block without waiting for each statement; a block inside of another adds nothing."""
    if not (is_ours(conn) and _has_pipelines()) or is_in_one_go(conn):
        yield
        return
    pipeline = _driver(conn).pipeline()
    if not conn.dialect.is_async:
        with pipeline:
            yield
        return
    awaited(pipeline.__aenter__())
    try:
        yield
    except BaseException:
        awaited(pipeline.__aexit__(*sys.exc_info()))
        raise
    awaited(pipeline.__aexit__(None, None, None))


def ask(conn: Connection, sql: str, values: Sequence[Any]) -> Answer:
    """Send a statement, and return what waits for its rows."""
    if not is_in_one_go(conn):
        return backend.ask(conn, sql, values)
    # Not through SQLAlchemy's cursor: that of an asyncio driver looks for the rows as soon as it has sent.
    cursor = _driver(conn).cursor()
    sent = cursor.execute(sql, values)
    if not conn.dialect.is_async:
        return cursor.fetchall if sql.startswith("SELECT") else list
    awaited(sent)
    return (lambda: _fetched(cursor)) if sql.startswith("SELECT") else list


def _driver(conn: Connection) -> Any:
    """Return the driver's connection, also of one that was taken out of its pool."""
    return conn.dialect.get_driver_connection(cast(Any, conn.connection.dbapi_connection))


def _fetched(cursor: Any) -> Rows:
    rows: Rows = awaited(cursor.fetchall())
    return rows


@cache
def _has_pipelines() -> bool:
    from psycopg import Pipeline  # noqa: PLC0415 (needs an extra)

    return Pipeline.is_supported()
