"""On every database: what is beside the chain cannot be changed either, and a trigger that is not ours is reported."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from kfstate.errors import SchemaError
from kfstate.store import dialect, schema
from kfstate.store.append import append
from kfstate.store.facts import draft_elements
from kfstate.store.verify import verify
from tests.servers import EMPTY_LOG, Databases
from tests.store.conftest import Build

__all__: list[str] = []

NOW = 1_760_000_000_000_000
REFUSED = [
    ("INSERT INTO kf_payload (position) VALUES (4)", "no entry"),
    ("UPDATE kf_identity SET content = entry_key", "only content"),
    ("UPDATE kf_identity SET day = 7, content = NULL", "only content"),
    ("UPDATE kf_identity SET position = 9, content = NULL WHERE position = 3", "only content"),
    ("DELETE FROM kf_identity WHERE position = 3", "no DELETE"),
    ("DELETE FROM kf_entry WHERE position = 3", "only up to kf_archive_mark"),
]
FOREIGN = {
    "sqlite": ["CREATE TRIGGER mine AFTER INSERT ON KF_ENTRY BEGIN SELECT 1; END"],
    "mysql": ["CREATE TRIGGER mine AFTER INSERT ON kf_entry FOR EACH ROW SET @mine = NEW.position"],
    "postgresql": [
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$",
        "CREATE TRIGGER mine AFTER INSERT ON kf_entry FOR EACH ROW EXECUTE FUNCTION mine()",
    ],
}
ELSEWHERE = {"sqlite": "BEGIN SELECT 1; END", "mysql": "FOR EACH ROW SET @mine = 1"}


@pytest.fixture
def log(database: Databases, element: Build) -> Iterator[Engine]:
    """A log of three entries."""
    made = dialect.open_database(database.new(EMPTY_LOG), lock_timeout=1)
    with dialect.begin(made, write=True) as conn:
        append(conn, draft_elements([element(msgid=f"m{number}") for number in range(3)]), now=NOW)
    yield made
    made.dispose()


def name(engine: Engine) -> str:
    """Return which of the three databases it is."""
    return "mysql" if engine.dialect.name == "mariadb" else engine.dialect.name


@pytest.mark.parametrize(("statement", "rule"), REFUSED)
def test_plain_sql_is_refused(log: Engine, element: Build, statement: str, rule: str) -> None:
    """The database refuses and names the rule; nothing has changed, and the log goes on."""
    with pytest.raises(DBAPIError, match=rule), log.begin() as conn:
        conn.exec_driver_sql(statement)
    with dialect.begin(log, write=True) as conn:
        append(conn, draft_elements([element(msgid="m4"), element(msgid="m1")]), now=NOW)
        assert (4, None) == ((found := verify(conn)).entries, found.damage)


def test_content_can_be_cleared(log: Engine, element: Build) -> None:
    """Erasure: after it the msgid alone is the same, whatever comes under it."""
    with log.begin() as conn:
        conn.exec_driver_sql("UPDATE kf_identity SET content = NULL WHERE position = 2")
    with dialect.begin(log, write=True) as conn:
        again = append(conn, draft_elements([element(msgid="m1", text={"content": "other"})]), now=NOW)
        assert ({0: 2}, None) == (again.repeats, verify(conn).damage)


def statements(conn: Connection, *texts: str) -> None:
    """Run statements."""
    for text in texts:
        conn.exec_driver_sql(text)


def test_a_trigger_that_is_not_ours_is_reported(log: Engine) -> None:
    """Whatever stands on a table of the log and is not of this release is named, and such a log is not opened."""
    with log.begin() as conn:
        assert [] == dialect.missing_triggers(conn)
        statements(conn, *FOREIGN[name(log)])
    with dialect.begin(log, write=False) as conn:
        (told,) = dialect.missing_triggers(conn)
        assert "mine (not ours, on kf_entry)" == told.lower()
        with pytest.raises(SchemaError, match="mine"):
            schema.check(conn)


def test_triggers_elsewhere_are_nobodys_business(log: Engine) -> None:
    """A trigger on another table of the same database is none of the log."""
    with log.begin() as conn:
        statements(conn, "CREATE TABLE other (x INTEGER)")
        if name(log) == "postgresql":
            statements(conn, FOREIGN["postgresql"][0])
        body = ELSEWHERE.get(name(log), "FOR EACH ROW EXECUTE FUNCTION mine()")
        statements(conn, f"CREATE TRIGGER mine AFTER INSERT ON other {body}")
        assert [] == dialect.missing_triggers(conn)


@pytest.mark.databases("pg15", "pg18")
def test_a_rule_on_the_log_is_reported(log: Engine) -> None:
    """PostgreSQL can rewrite statements before any trigger sees them."""
    with log.begin() as conn:
        statements(conn, "CREATE RULE mine AS ON INSERT TO kf_entry DO INSTEAD NOTHING")
        assert ["mine (not ours, on kf_entry)"] == dialect.missing_triggers(conn)


@pytest.mark.databases("pg15", "pg18")
def test_a_trigger_of_our_name_on_another_table(log: Engine) -> None:
    """A name alone makes no guard."""
    with log.begin() as conn:
        statements(
            conn, "DROP TRIGGER kf_entry_delete ON kf_entry",
            "CREATE TRIGGER kf_entry_delete BEFORE DELETE ON kf_payload FOR EACH ROW "
            "EXECUTE FUNCTION kf_unarchived_stays()",
        )  # fmt: skip
        assert ["kf_entry_delete", "kf_entry_delete (not ours, on kf_payload)"] == dialect.missing_triggers(conn)
