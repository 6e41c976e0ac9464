"""The migrations: one line of revisions that makes the very tables that the code speaks of."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from kfstate.projections.tables import TABLES
from kfstate.store import schema
from kfstate.store.dialect import begin, open_database
from kfstate.store.tables import metadata

__all__: list[str] = []


@pytest.fixture
def migrated() -> Iterator[sa.Connection]:
    """Give a database that the migrations made."""
    with begin(open_database("sqlite://"), write=True) as connection:
        schema.upgrade(connection, now=0)
        yield connection


def definitions(connection: sa.Connection) -> dict[str, str]:
    """Return the SQL of every table and index of a SQLite database, white space evened out."""
    query = sa.text("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL")
    return {name: " ".join(sql.split()) for name, sql in connection.execute(query) if name != schema.VERSION_TABLE}


def test_migrations_have_one_line() -> None:
    """The revisions have one head and no branches, and it is the one that the store asks for."""
    revisions = ScriptDirectory(str(schema.script_location()))
    assert [schema.head()] == revisions.get_heads()
    assert [] == [revision.revision for revision in revisions.walk_revisions() if revision.is_branch_point]


def test_migrations_make_the_models(migrated: sa.Connection) -> None:
    """A database that the migrations made has the tables and indexes of the models, to the letter."""
    with begin(open_database("sqlite://"), write=True) as connection:
        metadata.create_all(connection)
        assert {table.name for table in TABLES} <= definitions(connection).keys()
        assert definitions(connection) == definitions(migrated)


def test_alembic_finds_nothing_to_migrate(migrated: sa.Connection) -> None:
    """Alembic, asked what the next revision would have to do, finds nothing."""
    options = {
        "compare_type": True,
        "include_name": lambda name, kind, _parents: kind != "table" or name != schema.VERSION_TABLE,
    }
    assert [] == compare_metadata(MigrationContext.configure(migrated, opts=options), metadata)
