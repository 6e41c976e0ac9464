"""The grants of the documentation: a service that has them can do its work, and cannot take the guards away."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import DBAPIError

from kfstate.engine import Engine
from kfstate.samples import paths
from tests.docs.blocks import blocks
from tests.servers import plain

__all__: list[str] = []

pytestmark = pytest.mark.databases("servers")
PAGE = "docs/how-to/grants.md"
OWNERS = [
    "TRUNCATE TABLE kf_entry",
    "DROP TABLE kf_entry",
    "ALTER TABLE kf_entry DROP COLUMN kind",
    "UPDATE kf_entry SET kind = 'x'",
    "UPDATE kf_log_head SET created_at = 0",
    "UPDATE kf_name SET kind = 'x'",
    "DELETE FROM kf_entry",
    "DELETE FROM kf_identity",
    "CREATE TABLE kf_mine (x INT)",
]


@pytest.fixture
def service(url: str) -> Iterator[str]:
    """The URL of a database for a user with the grants of the page."""
    parsed = make_url(url)
    name, postgres = str(parsed.database), parsed.get_backend_name() == "postgresql"
    user = f"app_{name}"[:32] if not postgres else f"app_{name}"
    (recipe,) = [
        block.text for block in blocks(PAGE) if ("SCHEMA" in block.text) == postgres and block.language == "sql"
    ]
    recipe = recipe.replace("kf_app", user).replace(" kf.", f" {name}.")
    lines = "\n".join(line for line in recipe.splitlines() if not line.startswith("--"))
    owner = create_engine(plain(url), isolation_level="AUTOCOMMIT")
    with owner.connect() as conn:
        for statement in filter(str.strip, lines.split(";")):
            conn.exec_driver_sql(statement)
    yield parsed.set(username=user).render_as_string()
    with owner.connect() as conn:
        if postgres:
            conn.exec_driver_sql(f"DROP OWNED BY {user}")
        conn.exec_driver_sql(f"DROP USER {user}" if postgres else f"DROP USER {user}@localhost")
    owner.dispose()


def test_the_service_can_work(service: str) -> None:
    """It opens the database, pulls, projects, folds again and compares what it may not drop."""
    with Engine(service) as engine:
        assert engine.ingest(paths()).appended > 50
        engine.claim("wkA")
        engine.subscribe("mine", lambda _: None).run(until_idle=True)
        assert engine.verify().damage is None
        assert next(engine.conversations()).state


@pytest.mark.parametrize("statement", [*OWNERS, "DROP TRIGGER kf_entry_update{on}"])
def test_the_service_cannot_take_the_guards_away(service: str, statement: str) -> None:
    """What only the owner may do, the server refuses, and what triggers refuse, they refuse."""
    postgres = service.startswith("postgresql")
    stranger = create_engine(plain(service))
    with stranger.connect() as conn, pytest.raises(DBAPIError, match=r"(?i)denied|must be owner|append-only|no DELETE"):
        conn.exec_driver_sql(statement.format(on=" ON kf_entry" if postgres else ""))
    stranger.dispose()
