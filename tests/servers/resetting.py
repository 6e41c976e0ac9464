"""A database that was used, made again what a new copy of its template is; where that is in doubt, it cannot be.

Two things are asked: whether the schema, the privileges and the settings are still those of a new copy, and which
tables hold something else. The first decides whether the database is used again at all, the second are put back.
"""

from collections.abc import Iterable
from contextlib import closing
from itertools import compress
from typing import Any, LiteralString

import attrs
import psycopg
from sqlalchemy import Connection

__all__ = ["MariaCopy", "PostgresCopy"]

_FIRST = 16384
"""PostgreSQL numbers its own objects below this."""
_ENABLED = {"A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "O": "ENABLE", "D": "DISABLE"}


def _hashed(catalogue: str, where: str = "", row: str = "t") -> str:
    text = f"({row})::text"
    return (
        f"""SELECT '{catalogue}', md5(string_agg({text}, ',' ORDER BY {text} COLLATE "C")) FROM {catalogue} t {where}"""
    )


_THIS = "WHERE datname = current_database()"
_PHYSICAL = ["relfilenode", "relpages", "reltuples", "relallvisible", "relallfrozen", "relfrozenxid", "relminmxid"]
"""Columns of pg_class that say how a table is stored."""
_SCHEMA = " UNION ALL ".join(
    [
        _hashed("pg_class", f"WHERE oid >= {_FIRST}", f"to_jsonb(t) - '{{{','.join(_PHYSICAL)}}}'::text[]"),
        *(
            _hashed(f"pg_{name}", f"WHERE {key} >= {_FIRST}")
            for name, key in {
                "attribute": "attrelid", "attrdef": "oid", "constraint": "oid", "index": "indexrelid",
                "trigger": "oid", "proc": "oid", "type": "oid", "rewrite": "oid", "policy": "oid", "cast": "oid",
                "operator": "oid", "statistic": "starelid", "statistic_ext": "oid", "description": "objoid",
            }.items()
        ),
        _hashed("pg_largeobject_metadata"),
        # Whatever else there is was made from something, or is listed whole.
        _hashed("pg_depend", f"WHERE objid >= {_FIRST} OR refobjid >= {_FIRST}"),
        *(
            _hashed(name)
            for name in ("pg_namespace", "pg_extension", "pg_default_acl", "pg_publication", "pg_event_trigger")
        ),
        _hashed("pg_db_role_setting", f"WHERE setdatabase = (SELECT oid FROM pg_database {_THIS})",
                "(setrole, setconfig)"),
        _hashed("pg_database", _THIS,
                "(datdba, encoding, datcollate, datctype, datistemplate, datallowconn, datconnlimit, datacl)"),
    ]
)  # fmt: skip
_TABLES = (
    f"SELECT relname, relkind::text, pg_total_relation_size(oid) FROM pg_class WHERE oid >= {_FIRST}"
    " AND relkind NOT IN ('i', 't') ORDER BY relname"
)
_TRIGGERS = (
    "SELECT tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger"
    f" WHERE tgrelid >= {_FIRST} AND NOT tgisinternal ORDER BY 1, 2"
)


@attrs.frozen
class PostgresCopy:
    """What a new copy of a template is, on PostgreSQL."""

    schema: list[Any]
    sizes: dict[str, int]
    """Table → how many bytes it takes, with its indexes."""
    rows: dict[str, list[str]]
    """Table → its rows with their places, of those that have rows."""
    refill: dict[str, list[str]]
    """Table → the statements that insert its rows."""
    triggers: dict[str, list[str]]
    """Table → what sets each of its triggers as it was."""

    @classmethod
    def of(cls, url: str) -> "PostgresCopy | None":
        """Look at a new copy; None where it has what cannot be put back."""
        with psycopg.connect(url, autocommit=True) as conn:
            tables = _ask(conn, _TABLES)
            if {kind for _, kind, _ in tables} != {"r"}:
                return None
            sizes = {name: size for name, _, size in tables}
            triggers: dict[str, list[str]] = {}
            for table, name, enabled in _ask(conn, _TRIGGERS):
                triggers.setdefault(table, []).append(f"ALTER TABLE {table} {_ENABLED[enabled]} TRIGGER {name}")
            rows, refill = {}, {}
            for table in sizes:
                if found := _ask(
                    conn, f"SELECT ctid::text || t::text, quote_literal(t::text) FROM {table} t ORDER BY ctid"
                ):
                    rows[table] = [row for row, _ in found]
                    refill[table] = [f"INSERT INTO {table} SELECT ({row}::{table}).*" for _, row in found]
            return cls(_ask(conn, _SCHEMA), sizes, rows, refill, triggers)

    def unchanged(self, conn: "psycopg.Connection[Any]") -> bool:
        """Tell whether schema, privileges and settings are those of a new copy."""
        return _ask(conn, _SCHEMA) == self.schema

    def reset(self, url: str) -> bool:
        """Put the rows back; False where something other than rows has changed."""
        with psycopg.connect(url, autocommit=True) as conn:
            if not self.unchanged(conn):
                return False
            sizes = {name: size for name, _, size in _ask(conn, _TABLES)}
            changed = {name for name, size in sizes.items() if size != self.sizes[name]}
            rows = " UNION ALL ".join(
                f"SELECT '{name}', ARRAY(SELECT ctid::text || t::text FROM {name} t ORDER BY ctid)"
                for name in self.rows.keys() - changed
            )
            changed |= {name for name, found in _ask(conn, rows) if found != self.rows[name]} if rows else set()
            if changed:
                conn.execute("; ".join(["BEGIN", *self._statements(sorted(changed)), "COMMIT"]).encode())
            conn.execute("SELECT pg_stat_reset()")
        return True

    def _statements(self, changed: list[str]) -> Iterable[str]:
        guarded = [name for name in changed if name in self.triggers]
        yield from (f"ALTER TABLE {name} DISABLE TRIGGER USER" for name in guarded)
        yield f"TRUNCATE {', '.join(changed)}"
        for name in changed:
            yield from self.refill.get(name, [])
        for name in guarded:
            yield from self.triggers[name]


def _ask(conn: "psycopg.Connection[Any]", sql: str) -> list[Any]:
    return conn.execute(sql.encode()).fetchall()


_MARIADB_SCHEMA: tuple[LiteralString, ...] = (
    "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = %s ORDER BY 1",
    "SELECT default_collation_name, schema_comment FROM information_schema.schemata WHERE schema_name = %s",
    "SELECT name, type FROM mysql.proc WHERE db = %s",
    "SELECT name FROM mysql.event WHERE db = %s",
    "SELECT * FROM mysql.db WHERE %s LIKE db AND db <> '%%'",
    "SELECT * FROM mysql.tables_priv WHERE db = %s",
    "SELECT * FROM mysql.columns_priv WHERE db = %s",
    "SELECT * FROM mysql.procs_priv WHERE db = %s",
    "SELECT * FROM mysql.table_stats WHERE db_name = %s",
)
_WRITTEN = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND update_time IS NOT NULL"


@attrs.frozen
class MariaCopy:
    """What a new copy of a template is, on MariaDB."""

    template: str
    schema: list[Any]
    tables: list[str]
    rows: dict[str, tuple[Any, ...]]
    """Table → its rows, of those that have rows."""

    @classmethod
    def of(cls, conn: Connection, name: str, template: str) -> "MariaCopy | None":
        """Look at a new copy; None where it has what cannot be put back."""
        with closing(conn.connection.cursor()) as cursor:
            cursor.execute(_MARIADB_SCHEMA[0], (name,))
            found = cursor.fetchall()
            tables = [table for table, _ in found]
            if {kind for _, kind in found} != {"BASE TABLE"}:
                return None
            rows = {table: _rows(cursor, name, table, None) for table in tables}
            schema = _schema(cursor, name, tables)
            return cls(template, schema, tables, {table: found for table, found in rows.items() if found})

    def unchanged(self, conn: Connection, name: str) -> bool:
        """Tell whether schema, privileges and settings are those of a new copy."""
        with closing(conn.connection.cursor()) as cursor:
            return _schema(cursor, name, self.tables) == self.schema

    def reset(self, conn: Connection, name: str) -> bool:
        """Put the rows back; False where something other than rows has changed."""
        if not self.unchanged(conn, name):
            return False
        with closing(conn.connection.cursor()) as cursor:
            cursor.execute(_WRITTEN, (name,))
            written = {table for (table,) in cursor.fetchall()} - self.rows.keys()
            for table in self.tables:
                expected = self.rows.get(table, ())
                if table not in written and _rows(cursor, name, table, len(expected) + 1) != expected:
                    written.add(table)
            cursor.execute("SET foreign_key_checks = 0")
            for table in written:
                cursor.execute(f"TRUNCATE {name}.{table}")
            for table in sorted(written & self.rows.keys()):  # an entry before its payload: the triggers want it so
                cursor.execute(f"INSERT INTO {name}.{table} SELECT * FROM {self.template}.{table}")
            cursor.execute("SET foreign_key_checks = 1")
        return True


def _rows(cursor: Any, database: str, table: str, most: int | None) -> tuple[Any, ...]:
    cursor.execute(f"SELECT * FROM {database}.{table}" + (f" LIMIT {most}" if most else ""))
    return tuple(cursor.fetchall())


def _schema(cursor: Any, database: str, tables: list[str]) -> list[Any]:
    made = []
    for sql in _MARIADB_SCHEMA:
        cursor.execute(sql, (database,))
        made.append(cursor.fetchall())
    if [table for table, _ in made[0]] != tables:
        return made
    for table in tables:
        cursor.execute(f"SHOW CREATE TABLE {database}.{table}")
        made.append(cursor.fetchall())
    cursor.execute(f"SHOW TRIGGERS FROM {database}")
    told = [column[0] != "Created" for column in cursor.description]
    made.append([list(compress(row, told)) for row in cursor.fetchall()])
    return made
