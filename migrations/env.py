"""Run the migrations: on the connection that kfstate hands in, else on the URL of the configuration.

kfstate never lets Alembic configure logging, and keeps a version table of its own, beside a host's.
"""

from alembic import context
from sqlalchemy import Connection

from kfstate.projections.tables import TABLES
from kfstate.store.connecting import known_url, open_database
from kfstate.store.dialect import begin
from kfstate.store.schema import VERSION_TABLE

METADATA = TABLES[0].metadata
NAMED_HERE = ("kf_", "uq_kf_", "ix_kf_")


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Leave a host's own tables alone."""
    return kind != "table" or (name is not None and name.startswith(NAMED_HERE))


def run(connection: Connection) -> None:
    """Migrate on an open connection, inside its transaction."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        version_table=VERSION_TABLE,
        include_name=include_name,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_offline(url: str) -> None:
    """Write the SQL that a migration would run."""
    context.configure(
        url=known_url(url),
        dialect_opts={"paramstyle": "named"},
        target_metadata=METADATA,
        version_table=VERSION_TABLE,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Pick one of the three ways."""
    url = context.config.get_main_option("sqlalchemy.url") or "sqlite:///kfstate.db"
    connection = context.config.attributes.get("connection")
    if context.is_offline_mode():
        run_offline(url)
    elif connection is not None:
        run(connection)
    else:
        with begin(open_database(url), write=True) as opened:
            run(opened)


main()
