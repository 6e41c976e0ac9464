# ruff: noqa: S608 (the SQL is put together from constants)
"""The database's schema: bring it up to this release, say where it is, check that it is whole.

Migrations are Alembic's, shipped with the package, under a version table of their own, beside a host's.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect

from kfstate.errors import SchemaError
from kfstate.store.dialect import bulk_insert, migrating, missing_triggers, query
from kfstate.store.tables import kf_log_head

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["VERSION_TABLE", "check", "current", "head", "script_location", "sql", "upgrade"]

VERSION_TABLE = "kfstate_alembic_version"
_REMEDY = "run `kfstate db upgrade`"


def script_location() -> Path:
    """Return where the migrations are: in the installed package, else at the top of the checkout."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def head() -> str:
    """Return the revision that this release needs. History is linear: the greatest file name is the last revision."""
    return max(path.name for path in (script_location() / "versions").glob("[0-9]*.py")).split("_")[0]


def current(conn: Connection) -> str | None:
    """Return the revision of this database; None where kfstate was never set up in it."""
    if not inspect(conn).has_table(VERSION_TABLE):
        return None
    found = query(conn, f"SELECT version_num FROM {VERSION_TABLE}")
    return found[0][0] if found else None


def upgrade(
    conn: Connection, *, now: int, revision: str = "head", entropy: Callable[[int], bytes] = os.urandom
) -> str | None:
    """Bring the schema up to ``revision`` in the caller's transaction, and return the revision it had before.

    The first upgrade begins the log: it draws a ``log_id`` and notes ``now`` (microseconds) as its beginning. Another
    process that upgrades meanwhile is waited for. MySQL commits with every change of the schema: there an upgrade that
    was broken off is finished by the next one.
    """
    with migrating(conn):
        before = current(conn)
        if before is None or revision != "head" or before < head():
            from alembic import command  # noqa: PLC0415 (see _config)

            config = _config()
            config.attributes["connection"] = conn
            command.upgrade(config, revision)
        if not query(conn, "SELECT 1 FROM kf_log_head"):
            bulk_insert(conn, kf_log_head, [(entropy(16), now)])
    return before


def check(conn: Connection) -> None:
    """Raise :class:`~kfstate.errors.SchemaError` unless the schema is this release's and the triggers stand."""
    found, needed = current(conn), head()
    if found != needed:
        newer = found is not None and found > needed
        raise SchemaError(
            found=found or "nothing", needed=needed, remedy="install a newer kfstate" if newer else _REMEDY
        )
    if missing := missing_triggers(conn):
        raise SchemaError(
            found=f"triggers missing, changed or not ours: {', '.join(missing)}",
            needed="the triggers that keep the log append-only",
            remedy="find out who changed the database, verify the log, restore it from a backup",
        )


def sql(url: str = "sqlite://", *, revision: str = "head") -> str:
    """Return the SQL of an upgrade from nothing, for people who run it by hand. The log's head row is not in it."""
    from alembic import command  # noqa: PLC0415 (see _config)

    config = _config()
    config.output_buffer = io.StringIO()
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, revision, sql=True)
    return config.output_buffer.getvalue()


def _config() -> "Config":
    # Imported late: Alembic takes longer to load than a question to the log takes to answer.
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(script_location()).replace("%", "%%"))
    return config
