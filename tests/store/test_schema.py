"""The schema: migrations equal the models, upgrades repeat, and a database that is not whole is refused."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from kfstate.errors import DriverError, SchemaError
from kfstate.store import dialect, schema
from kfstate.store.head import read_head
from kfstate.store.sqlite_triggers import SQLITE
from kfstate.store.tables import metadata

NOW = 1_760_000_000_000_000


def test_migrations_equal_the_models(engine: Engine) -> None:
    """Alembic finds nothing to do after an upgrade, and every trigger stands in the wording of the code."""
    with dialect.begin(engine, write=False) as conn:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
        changes = compare_metadata(MigrationContext.configure(conn, opts=options), metadata)
        assert [] == [change for change in changes if "alembic" not in str(change)]
        assert [] == dialect.missing_triggers(conn)


@pytest.mark.databases("sqlite")
def test_positions_are_rowids(engine: Engine) -> None:
    """On SQLite 64-bit primary keys are the rowid itself, and the identity has none."""
    with dialect.begin(engine, write=False) as conn:
        for table, key in (
            ("kf_entry", "position"),
            ("kf_payload", "position"),
            ("kf_stream", "id"),
            ("kf_name", "id"),
        ):
            plan = dialect.query(conn, f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {key} = 1")
            assert "INTEGER PRIMARY KEY" in plan[0][3]
        ddl = dialect.query(conn, "SELECT sql FROM sqlite_master WHERE name = 'kf_identity'")[0][0]
    assert "WITHOUT ROWID" in ddl


def test_head_is_the_last_revision() -> None:
    """The revision worked out from the file names is Alembic's."""
    config = Config()
    config.set_main_option("script_location", str(schema.script_location()))
    assert [schema.head()] == ScriptDirectory.from_config(config).get_heads()


def test_an_upgrade_can_be_repeated(engine: Engine) -> None:
    """The second upgrade changes nothing: the log keeps its id and its beginning."""
    with dialect.begin(engine, write=True) as conn:
        before = read_head(conn)
        assert schema.head() == schema.upgrade(conn, now=NOW + 1)
        assert before == read_head(conn)
        schema.check(conn)


def test_an_upgrade_is_all_or_nothing(tmp_path: Path) -> None:
    """The caller's transaction holds the whole upgrade."""
    engine = dialect.open_database(f"sqlite:///{tmp_path / 'new.db'}")
    with engine.execution_options(**{dialect.WRITE: True}).connect() as conn:
        transaction = conn.begin()
        assert schema.upgrade(conn, now=NOW) is None
        transaction.rollback()
    with dialect.begin(engine, write=False) as conn:
        assert schema.current(conn) is None
        with pytest.raises(SchemaError) as caught:
            schema.check(conn)
    engine.dispose()
    assert ("nothing", schema.head()) == (caught.value.found, caught.value.needed)


_EACH_ROW = "CREATE TRIGGER kf_name_delete BEFORE DELETE ON kf_name FOR EACH ROW"
_WEAKENED = {
    "sqlite": [
        "DROP TRIGGER kf_entry_update", "DROP TRIGGER kf_name_delete",
        "CREATE TRIGGER kf_name_delete BEFORE DELETE ON kf_name BEGIN SELECT 1; END",
    ],
    "postgresql": [
        "DROP TRIGGER kf_entry_update ON kf_entry", "ALTER TABLE kf_name ENABLE TRIGGER kf_name_delete",
    ],
    "mysql": ["DROP TRIGGER kf_entry_update", "DROP TRIGGER kf_name_delete", f"{_EACH_ROW} SET @harmless = 1"],
}  # fmt: skip


def test_a_missing_trigger_is_named(engine: Engine) -> None:
    """A log whose triggers were dropped, or weakened, is not opened in silence."""
    with dialect.begin(engine, write=True) as conn:
        for statement in _WEAKENED[engine.dialect.name]:
            conn.exec_driver_sql(statement)
        with pytest.raises(SchemaError, match="kf_entry_update, kf_name_delete"):
            schema.check(conn)


def test_a_newer_database_is_refused(engine: Engine) -> None:
    """A database of a later release asks for that release."""
    with dialect.begin(engine, write=True) as conn:
        conn.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
        with pytest.raises(SchemaError, match="newer"):
            schema.check(conn)


def test_the_upgrade_can_be_read_as_sql() -> None:
    """People who run migrations by hand get the whole script, triggers included."""
    script = schema.sql()
    assert all(f"CREATE TRIGGER {name}" in script for name in SQLITE)
    assert all(f"CREATE TABLE {table}" in script for table in metadata.tables if table.startswith("kf_log"))


@pytest.mark.parametrize(
    ("url", "needle"),
    [
        ("postgresql://", 'VARCHAR(128) COLLATE "C"'),
        ("mysql://", "VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"),
        ("mariadb://", "VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"),
    ],
)
def test_ids_compare_by_byte_on_every_database(url: str, needle: str) -> None:
    """Ids have a collation that pads nothing and ignores nothing; the whole script can be read for each database."""
    script = schema.sql(url)
    assert needle in script
    assert script.count("CREATE TRIGGER") > 15


@pytest.mark.parametrize("url", ["oracle://localhost/x", "postgresql+asyncpg://localhost/x", "mysql+mysqldb://x/y"])
def test_other_databases_are_refused(url: str) -> None:
    """A URL of a database, or of a driver, that is none of ours is one clear error."""
    with pytest.raises(DriverError, match="sqlite, postgresql or mysql"):
        dialect.open_database(url)
