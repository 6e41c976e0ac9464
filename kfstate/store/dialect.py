"""Every database in the same words: open it, begin, lock, ask, insert. Callers never ask which one they have.

What differs from one to the next is in :mod:`kfstate.store.sqlite`, :mod:`kfstate.store.postgresql` and
:mod:`kfstate.store.mysql`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, RootTransaction, Table
from sqlalchemy.exc import SQLAlchemyError

from kfstate.errors import LockTimeoutError, StoreError, TransactionError, UndoneError
from kfstate.store.backend import STANDING, WRITE, Answer, Rows, Standing
from kfstate.store.columns import BigKey, Body, Digest, Id, Key, Salt, Text, as_text
from kfstate.store.connecting import backend_of, connect, failed, gone, open_database
from kfstate.store.greenlets import give_back

__all__ = [
    "FEW",
    "NAMES",
    "WRITE",
    "Answer",
    "BigKey",
    "Body",
    "Digest",
    "Id",
    "Key",
    "Read",
    "Rename",
    "Salt",
    "Text",
    "as_text",
    "ask",
    "ask_in",
    "begin",
    "bulk_insert",
    "bulk_upsert",
    "failed",
    "forget_journal",
    "gone",
    "in_one_go",
    "listed",
    "lock",
    "migrating",
    "missing_triggers",
    "open_database",
    "query",
    "query_in",
]

NAMES = "kfstate_names"
"""Execution option: called with connection and statement, returns it with the tables of a projection's build."""

_CHUNK = 900
FEW = 64
"""Up to so many rows, waiting for the server costs more than a slower way to insert them."""


@contextmanager
def begin(engine: Engine, *, write: bool, **options: object) -> Iterator[Connection]:
    """Open a connection in a transaction that commits at the end of the block; ``options`` as :data:`NAMES`.

    One that writes is READ COMMITTED, one that does not sees one snapshot. Raises
    :class:`~kfstate.errors.LockTimeoutError` where another writer holds the log longer than ``lock_timeout``. One that
    writes and was undone while the block ran is not committed, even where the block caught the error: what undid it is
    raised, and :class:`~kfstate.errors.TransactionError` where the block ended it itself.
    """
    started = time.monotonic()
    standing = Standing()
    with _connected(engine) as connection:
        given: dict[str, Any] = {WRITE: write, STANDING: standing if write else None, **options}
        connection.execution_options(**given, **({} if write else backend_of(connection).SNAPSHOT))
        try:
            transaction = connection.begin()
        except LockTimeoutError as error:
            error.waited = round(time.monotonic() - started, 3)
            raise
        try:
            with transaction:
                standing.inside = True
                try:
                    yield connection
                finally:
                    standing.inside = False
                if write:
                    _ask_standing(connection, transaction, standing)
        except BaseException:
            if standing.gone is not None:
                _undo(connection)
            raise


def _undo(conn: Connection) -> None:
    """Roll back, whatever SQLAlchemy believes of the transaction."""
    try:
        if not conn.invalidated:
            conn.connection.rollback()
    except Exception as error:  # noqa: BLE001 (the server undoes it when the connection is gone)
        conn.invalidate(error)


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    connection = connect(engine)
    try:
        yield connection
    finally:
        give_back(connection)


def _ask_standing(conn: Connection, transaction: RootTransaction, standing: Standing) -> None:
    """Raise what ended a transaction that is about to be committed."""
    if standing.gone is not None:
        raise standing.gone
    if not transaction.is_active:
        raise TransactionError(found="a transaction that has ended", needed="the one that was begun")
    if not backend_of(conn).standing(conn):
        raise UndoneError(reason="a statement failed, or ended the transaction")


@contextmanager
def lock(conn: Connection) -> Iterator[None]:
    """Lock the head of the log until the transaction ends, in a statement of its own, before what the block asks.

    Raises :class:`~kfstate.errors.LockTimeoutError`, and in a transaction of the caller's own
    :class:`~kfstate.errors.TransactionError` where that is none, or not READ COMMITTED.
    """
    backend, started = backend_of(conn), time.monotonic()
    try:
        if conn.get_execution_options().get(WRITE):
            with backend.in_one_go(conn):
                backend.lock(conn)
                yield
        else:
            backend.lock_in(conn)
            yield
    except LockTimeoutError as error:
        error.waited = round(time.monotonic() - started, 3)
        raise
    except Exception as error:
        # A connection of the caller's engine does not turn its driver's errors into ours.
        raise failed(conn, error, waited=round(time.monotonic() - started, 3)) from error


def bulk_insert(conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows whose values stand in the order of the table's columns.

    Goes to the driver directly: processing rows one by one would cost more than inserting them.
    """
    if rows:
        try:
            backend_of(conn).insert(conn, table, _named(conn, table.name), rows)
        except BaseException as error:
            raise failed(conn, error) from error


def bulk_upsert(conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, or replace those with the same primary key; values stand in the order of the table's columns."""
    if rows:
        try:
            backend_of(conn).upsert(conn, table, _named(conn, table.name), rows)
        except BaseException as error:
            raise failed(conn, error) from error


@contextmanager
def in_one_go(conn: Connection, rows: int) -> Iterator[None]:
    """Send what is run in the block without waiting for each statement, where that pays for so many rows.

    What is asked in it waits for its answer; but for that, only the block's end tells that its statements have
    succeeded. A block inside of another is part of that.
    """
    if not 0 < rows <= FEW:
        yield
        return
    try:
        with backend_of(conn).in_one_go(conn):
            yield
    except BaseException as error:
        raise failed(conn, error) from error


def query(conn: Connection, sql: str, values: Sequence[Any] = ()) -> Rows:
    """Run a statement written with ``?`` in the transaction of ``conn``, and return the driver's own tuples.

    Past SQLAlchemy's result objects: describing the columns anew would cost more than most of our statements.
    """
    return ask(conn, sql, values)()


def ask(conn: Connection, sql: str, values: Sequence[Any] = ()) -> Answer:
    """Send a statement as :func:`query` does, and return what waits for its rows.

    In a block of :func:`in_one_go`, whatever was asked and written before shares that wait, and its errors come there.
    """
    sql = _named(conn, sql)
    if conn.dialect.paramstyle != "qmark":
        sql = _formatted(sql)
    try:
        answer = backend_of(conn).ask(conn, sql, values)
    except BaseException as error:
        raise failed(conn, error) from error

    def answered() -> Rows:
        try:
            return answer()
        except BaseException as error:
            raise failed(conn, error) from error

    return answered


@lru_cache(maxsize=1024)
def _formatted(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


Rename = Callable[[Connection, str], str]
"""Returns a statement with the names under which the tables of a projection's build stand."""


def _named(conn: Connection, sql: str) -> str:
    rename: Rename | None = conn.get_execution_options().get(NAMES)
    return sql if rename is None else rename(conn, sql)


Read = Callable[[str, tuple[Any, ...]], Rows]
"""Runs one statement, written with ``?``, and returns the driver's tuples: ``partial(query, conn)``, or a reader."""


def query_in(conn: Connection, sql: str, values: Iterable[Any], *fixed: Any) -> Iterator[tuple[Any, ...]]:
    """Run a statement once per chunk of ``values``; ``IN (??)`` in it gets the list, ``fixed`` fills what is before."""
    for listing, chunk in _chunks(conn, sql, values):
        yield from query(conn, listing, (*fixed, *chunk))


def ask_in(conn: Connection, sql: str, values: Iterable[Any], *fixed: Any) -> Answer:
    """Send a statement as :func:`query_in` does, and return what waits for its rows."""
    answers = [ask(conn, listing, (*fixed, *chunk)) for listing, chunk in _chunks(conn, sql, values)]
    return lambda: [row for answer in answers for row in answer()]


def _chunks(conn: Connection, sql: str, values: Iterable[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    pending = list(values)
    for start in range(0, len(pending), _CHUNK):
        yield listed(conn, sql, pending[start : start + _CHUNK])


def listed(conn: Connection, sql: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Return a part of a statement with ``IN (??)`` filled, and the values that it takes now."""
    return backend_of(conn).listed(sql, values)


def migrating(conn: Connection) -> AbstractContextManager[None]:
    """Keep other processes from migrating the same database until the block, or the transaction, ends."""
    return backend_of(conn).migrating(conn)


def forget_journal(engine: Engine, *, wait: bool) -> bool:
    """Empty the journal of what was committed, where it is ours to do; tell whether it is: not where others need it.

    ``wait``: for a second.
    """
    try:
        with _connected(engine) as connection:
            return backend_of(connection).forget_journal(connection, wait=wait)
    except (SQLAlchemyError, StoreError):  # no connection: what was committed before stays
        return False


def missing_triggers(conn: Connection) -> list[str]:
    """Return the names of the log's triggers that do not stand, or stand in another wording."""
    return backend_of(conn).missing_triggers(conn)
