"""A database that is used again is as a new one, whatever was done to it before; else it is not used again."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from kfstate import Engine
from kfstate.testing import FrozenClock, customer_message, page
from tests.servers import EMPTY_ENGINE, Databases, plain
from tests.servers.databases import NOW, MariaDB, PostgreSQL, on
from tests.servers.resetting import MariaCopy, PostgresCopy
from tests.servers.test_servers import run

__all__: list[str] = []

pytestmark = pytest.mark.databases("servers")

Kept = MariaDB | PostgreSQL
LISTS = {
    "postgresql": [
        (
            "SELECT relname, relkind::text, relpersistence::text, relacl, reloptions FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        ),
        (
            "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY 1, ordinal_position"
        ),
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "SELECT pg_get_triggerdef(oid), tgenabled::text FROM pg_trigger ORDER BY 1",
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2",
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
        (
            "SELECT setconfig FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase"
            " WHERE datname = current_database()"
        ),
        "SELECT SUM(n_tup_ins + n_tup_del + n_dead_tup) FROM pg_stat_user_tables WHERE relname LIKE 'kf_conv%%'",
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'client%%'",
    ],
    "mariadb": [
        (
            "SELECT table_name, engine, table_collation, create_options, auto_increment FROM information_schema.tables"
            " WHERE table_schema = DATABASE() ORDER BY 1"
        ),
        (
            "SELECT table_name, column_name, column_type, is_nullable, column_default FROM information_schema.columns"
            " WHERE table_schema = DATABASE() ORDER BY 1, ordinal_position"
        ),
        (
            "SELECT table_name, index_name, column_name FROM information_schema.statistics"
            " WHERE table_schema = DATABASE() ORDER BY 1, 2, seq_in_index"
        ),
        (
            "SELECT trigger_name, event_object_table, event_manipulation, action_statement"
            " FROM information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY 1"
        ),
        (
            "SELECT table_name, check_clause FROM information_schema.check_constraints"
            " WHERE constraint_schema = DATABASE() ORDER BY 1, 2"
        ),
        "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE()",
    ],
}
TABLES = "SELECT table_name FROM information_schema.tables"
POSTGRESQL = [
    "CREATE TABLE kf_step_v2 (id INTEGER)",
    "DROP TABLE kf_anomaly",
    "ALTER TABLE kf_step ADD COLUMN mine INTEGER",
    "ALTER TABLE kf_name DROP COLUMN folded",
    "CREATE INDEX mine ON kf_entry (recorded_at)",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE SEQUENCE mine",
    "ALTER TABLE kf_entry DISABLE TRIGGER kf_entry_update",
    "ALTER TABLE kf_entry ENABLE TRIGGER kf_entry_update",
    "DROP TRIGGER kf_entry_update ON kf_entry",
    "CREATE TRIGGER mine BEFORE INSERT ON kf_step EXECUTE FUNCTION kf_refuse('no')",
    "CREATE RULE mine AS ON INSERT TO kf_step DO INSTEAD NOTHING",
    "CREATE OR REPLACE FUNCTION kf_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION kf_refuse() SECURITY DEFINER",
    "ALTER TABLE kf_entry ALTER COLUMN recorded_at SET DEFAULT 7",
    "ALTER TABLE kf_entry ADD CONSTRAINT mine CHECK (position < 1000)",
    "ALTER TABLE kf_entry SET (fillfactor = 50)",
    "ALTER TABLE kf_entry SET UNLOGGED",
    "ALTER TABLE kf_entry ENABLE ROW LEVEL SECURITY",
    "GRANT SELECT ON kf_entry TO PUBLIC",
    "GRANT USAGE ON SCHEMA public TO pg_monitor",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "CREATE SCHEMA mine",
    "CREATE TYPE mine AS ENUM ('a')",
    "CREATE PUBLICATION mine FOR ALL TABLES",
    "SELECT lo_create(0)",
    "COMMENT ON TABLE kf_entry IS 'mine'",
    "ANALYZE kf_entry",
    "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64', current_database()); END$$",
    "DO $$BEGIN EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET work_mem = 64', current_database()); END$$",
    "DO $$BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 9', current_database()); END$$",
    "DO $$BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()); END$$",
]
MARIADB = {
    "CREATE TABLE kf_step_v2 (id INTEGER)": "DROP TABLE kf_step_v2",
    "RENAME TABLE kf_anomaly TO gone": "RENAME TABLE gone TO kf_anomaly",
    "ALTER TABLE kf_step ADD COLUMN mine INTEGER": "ALTER TABLE kf_step DROP COLUMN mine",
    "CREATE INDEX mine ON kf_entry (recorded_at)": "DROP INDEX mine ON kf_entry",
    "ALTER TABLE kf_entry COMMENT 'mine'": "ALTER TABLE kf_entry COMMENT ''",
    "CREATE VIEW mine AS SELECT 1": "DROP VIEW mine",
    "CREATE SEQUENCE mine": "DROP SEQUENCE mine",
    "CREATE TRIGGER mine BEFORE INSERT ON kf_step FOR EACH ROW SET @mine = 1": "DROP TRIGGER mine",
    "CREATE PROCEDURE mine() SELECT 1": "DROP PROCEDURE mine",
    "CREATE EVENT mine ON SCHEDULE EVERY 1 YEAR DO SELECT 1": "DROP EVENT mine",
    "ALTER DATABASE COMMENT 'mine'": "ALTER DATABASE COMMENT ''",
    "GRANT SELECT ON kf_entry TO mine@nowhere IDENTIFIED BY 'x'": "DROP USER mine@nowhere",
    "ANALYZE TABLE kf_entry PERSISTENT FOR ALL": "DELETE FROM mysql.table_stats",
    "DROP TRIGGER kf_entry_update": "",
}
"""What is done → what undoes it."""


@pytest.fixture
def kept(database: Databases) -> Iterator[Kept]:
    """What makes databases on the server, and uses them again; no other test's."""
    assert isinstance(database, Kept)
    made = on(database.name, database.admin.render_as_string(hide_password=False))
    made.keep()
    yield made
    made.drop_all()
    made.close()


def dump(url: str) -> list[Any]:
    """Return all that a database holds."""
    engine = create_engine(plain(url), poolclass=NullPool)
    with engine.connect() as conn:
        ours = "'public'" if conn.dialect.name == "postgresql" else "DATABASE()"
        lists = LISTS["postgresql" if conn.dialect.name == "postgresql" else "mariadb"]
        tables = conn.exec_driver_sql(f"{TABLES} WHERE table_schema = {ours} ORDER BY 1").scalars().all()
        return [list(conn.exec_driver_sql(sql)) for sql in [*lists, *(f"SELECT * FROM {table}" for table in tables)]]


def identity(url: str) -> object:
    """Return what tells a database from every other."""
    if url.startswith("postgresql"):
        return run(url, "SELECT oid FROM pg_database WHERE datname = current_database()")
    return make_url(url).database


def use(url: str) -> None:
    """Write into most tables."""
    with Engine(url, clock=FrozenClock.at(NOW)) as engine:
        for number in range(3):
            engine.ingest(page([customer_message("wkA", f"wm{number}", NOW)]))
        engine.rebuild()


def overwrite(url: str) -> None:
    """Change what the guards protect, and leave the guards as they were."""
    if url.startswith("postgresql"):
        run(url, "ALTER TABLE kf_log_head DISABLE TRIGGER ALL; UPDATE kf_log_head SET log_id = ''::bytea;"
                 "ALTER TABLE kf_log_head ENABLE ALWAYS TRIGGER kf_log_head_insert;"
                 "ALTER TABLE kf_log_head ENABLE ALWAYS TRIGGER kf_log_head_update;"
                 "ALTER TABLE kf_log_head ENABLE ALWAYS TRIGGER kf_log_head_delete;"
                 "ALTER TABLE kf_log_head ENABLE ALWAYS TRIGGER kf_log_head_truncate")  # fmt: skip
    else:
        run(url, "TRUNCATE kf_log_head")
        run(url, "INSERT INTO kf_log_head SELECT REPEAT('x', 16), 1")
    run(url, "UPDATE kfstate_alembic_version SET version_num = '0001'")
    run(url, "DELETE FROM kf_projection")


@pytest.mark.parametrize("what", [use, overwrite])
def test_rows_are_put_back(database: Databases, kept: Kept, what: Callable[[str], None]) -> None:
    """The same database, and nothing tells it from a new one; three times over."""
    new, one = database.new(EMPTY_ENGINE), kept.new(EMPTY_ENGINE)
    expected, before = dump(new), identity(one)
    for _ in range(3):
        what(one)
        assert expected != dump(one)
        kept.drop_all()
        one = kept.new(EMPTY_ENGINE)
        assert (before, expected) == (identity(one), dump(one))
    with Engine(one, clock=FrozenClock.at(NOW)) as engine:
        engine.verify()
        assert 1 == engine.position()


@pytest.mark.databases("pg15", "pg18")
def test_what_a_copy_is_told_from(database: Databases) -> None:
    """Whatever is changed beside the rows is seen."""
    url = database.new(EMPTY_ENGINE)
    copy = PostgresCopy.of(url)
    assert copy is not None
    with psycopg.connect(url) as conn:
        unseen = [sql for sql in POSTGRESQL if _unseen(conn, copy, sql)]
        assert copy.unchanged(conn)
    assert [] == unseen


def _unseen(conn: "psycopg.Connection[Any]", copy: PostgresCopy, sql: str) -> bool:
    conn.execute(sql.encode())
    unseen = copy.unchanged(conn)
    conn.rollback()
    return unseen


@pytest.mark.databases("mariadb")
def test_what_a_copy_is_told_from_there(database: Databases) -> None:
    """The same on MariaDB."""
    url = database.new(EMPTY_ENGINE)
    name = make_url(url).database
    assert name
    engine = create_engine(plain(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        copy = MariaCopy.of(conn, name, name)
        assert copy is not None
        for sql, back in MARIADB.items():
            assert copy.unchanged(conn, name)
            conn.exec_driver_sql(sql)
            assert not copy.unchanged(conn, name), sql
            if back:
                conn.exec_driver_sql(back)
    engine.dispose()


@pytest.mark.parametrize("sql", ["CREATE TABLE kf_step_v2 (id INTEGER)", "DROP TABLE kf_anomaly"])
def test_what_was_tampered_with_is_new(database: Databases, kept: Kept, sql: str) -> None:
    """It is another database, and a new copy."""
    one = kept.new(EMPTY_ENGINE)
    run(one, sql)
    before = identity(one)
    kept.drop_all()
    one = kept.new(EMPTY_ENGINE)
    assert before != identity(one)
    assert dump(database.new(EMPTY_ENGINE)) == dump(one)


def test_who_stays_connected_keeps_none_waiting(kept: Kept) -> None:
    """A database that somebody is connected to is not used again, and nobody is connected to it any more."""
    one = kept.new(EMPTY_ENGINE)
    before = identity(one)
    stays = create_engine(plain(one))
    with stays.connect() as conn:
        kept.drop_all()
        assert before != identity(kept.new(EMPTY_ENGINE))
        conn.invalidate()
    stays.dispose()
