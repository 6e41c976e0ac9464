"""Behind the triggers' back: who owns the database can take them away, change the log, and put them back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine

from kfstate.store import canonical as form
from kfstate.store import dialect
from kfstate.store.dialect import query
from kfstate.store.read import rows_after, streams_by_id
from kfstate.store.verify import Verified, verify

__all__ = ["change", "drop_trigger", "forge", "spelled", "tamper", "unguarded"]

_POSTGRESQL = (
    "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "WHERE NOT t.tgisinternal AND pg_table_is_visible(c.oid)"
)


def spelled(conn: Connection, statement: str) -> str:
    """Return a statement with its x'00' as this database writes bytes."""
    if conn.dialect.name != "postgresql":
        return statement
    return re.sub(r"x'([0-9a-f]*)'", r"'\\x\1'::bytea", statement)


def change(conn: Connection, statement: str) -> None:
    """Run a statement that was written for SQLite."""
    conn.exec_driver_sql(spelled(conn, statement).replace("%", "%%"), ())


@contextmanager
def unguarded(conn: Connection) -> Iterator[None]:
    """Take every trigger away for a while."""
    if conn.dialect.name == "postgresql":
        triggers = [tuple(row) for row in conn.exec_driver_sql(_POSTGRESQL)]
        for table, name in triggers:
            conn.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
        yield
        for table, name in triggers:
            conn.exec_driver_sql(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
        return
    ddl = dict(_ddl(conn))
    for name in ddl:
        conn.exec_driver_sql(f"DROP TRIGGER {name}")
    yield
    for statement in ddl.values():
        conn.exec_driver_sql(statement.replace("%", "%%"), ())


def tamper(engine: Engine, *statements: str) -> Verified:
    """Drop the triggers, change the log, put the triggers back, verify."""
    with dialect.begin(engine, write=True) as conn:
        with unguarded(conn):
            for statement in statements:
                change(conn, statement)
        return verify(conn, batch=2)


def forge(conn: Connection, position: int, **columns: Any) -> None:
    """Change an entry, and make leaves and links anew from there to the end: the chain holds."""
    rows = rows_after(conn)
    names = {id_: bytes(digest) for id_, digest in query(conn, "SELECT id, commitment FROM kf_name")}
    streams = streams_by_id(conn, {row.stream for row in rows})
    link = rows[position - 2].chain
    with unguarded(conn):
        for old in rows[position - 1 :]:
            row = old._replace(**columns) if old.position == position else old
            of = streams[row.stream]
            prefix = form.stream_prefix(
                of.corp_id, of.kind, of.open_kfid, names.get(of.customer), names.get(of.servicer)
            )
            from_, to = (names.get(id_ or 0) for id_ in (row.servicer_from, row.servicer_to))
            leaf = form.leaf(form.canonical(prefix, row, from_, to))
            link = form.chain(link, leaf)
            changes = [f"{name} = {value}" for name, value in columns.items() if old.position == position]
            changes += [f"leaf = x'{leaf.hex()}'", f"chain = x'{link.hex()}'"]
            change(conn, f"UPDATE kf_entry SET {', '.join(changes)} WHERE position = {row.position}")


def drop_trigger(conn: Connection, table: str, name: str) -> None:
    """Take one trigger away."""
    on = f" ON {table}" if conn.dialect.name == "postgresql" else ""
    conn.exec_driver_sql(f"DROP TRIGGER {name}{on}")


def _ddl(conn: Connection) -> Iterator[tuple[str, str]]:
    """Yield name and definition of every trigger of SQLite, MySQL or MariaDB."""
    if conn.dialect.name == "sqlite":
        for name, sql in conn.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all():
            yield name, sql
        return
    for name, *_ in conn.exec_driver_sql("SHOW TRIGGERS").all():
        yield name, conn.exec_driver_sql(f"SHOW CREATE TRIGGER {name}").one()[2]
