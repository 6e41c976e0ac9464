"""Nothing but an append changes the log: plain SQL on a plain connection is refused, REPLACE included."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError

from kfstate.store import dialect
from kfstate.store.append import append
from kfstate.store.cursor import Pull, record_pull
from kfstate.store.facts import draft_elements
from kfstate.store.tables import metadata
from kfstate.store.verify import verify
from tests.servers import plain
from tests.store.behind import change, spelled
from tests.store.conftest import Build

NOW = 1_760_000_000_000_000


@pytest.fixture
def hosts(engine: Engine, url: str, element: Build) -> Iterator[Connection]:
    """A connection that knows nothing of kfstate, on a log of three entries."""
    with dialect.begin(engine, write=True) as conn:
        pull = record_pull(conn, Pull(open_kfid="wkA", pulled_at=NOW, elements=3))
        page = [element(), element(msgid="m2", origin=5, servicer_userid="li"), element(msgid="m3")]
        append(conn, draft_elements(page), now=NOW, pull=pull)
        conn.exec_driver_sql("INSERT INTO kf_machine VALUES ('f', '1', '{}', 1)")
        change(conn, "INSERT INTO kf_access VALUES (1, x'00', '', 'ann', 'show', '', 0, '', 'ok')")
    made = create_engine(plain(url))
    with made.connect() as connection:
        yield connection
    made.dispose()


def refused(conn: Connection, statement: str) -> str:
    """Run a statement that must fail and return what the database said."""
    with pytest.raises(DBAPIError) as caught:
        change(conn, statement)
    conn.rollback()
    return str(caught.value.orig)


REFUSED = [
    ("UPDATE kf_entry SET kind = 'x'", "no UPDATE"),
    ("DELETE FROM kf_entry WHERE position = 3", "only up to kf_archive_mark"),
    ("DELETE FROM kf_entry", "only up to kf_archive_mark"),
    ("UPDATE kf_payload SET body = x'00'", "cleared, together"),
    ("UPDATE kf_payload SET body = NULL", "cleared, together"),
    ("UPDATE kf_payload SET position = 9, salt = NULL, body = NULL WHERE position = 3", "cleared, together"),
    ("DELETE FROM kf_payload", "only up to kf_archive_mark"),
    ("INSERT INTO kf_payload VALUES (4, x'00', x'00')", "no entry"),
    ("UPDATE kf_identity SET content = x'00'", "only content"),
    ("UPDATE kf_identity SET day = 7, content = NULL", "only content"),
    ("UPDATE kf_identity SET position = 9, content = NULL WHERE position = 3", "only content"),
    ("UPDATE kf_identity SET entry_key = x'00', content = NULL", "only content"),
    ("DELETE FROM kf_identity", "no DELETE"),
    ("UPDATE kf_name SET value = 'other'", "cleared, together"),
    ("UPDATE kf_name SET value = NULL, salt = NULL", "cleared, together"),
    ("UPDATE kf_name SET value = NULL, salt = NULL, folded = NULL, commitment = x'00'", "cleared, together"),
    ("DELETE FROM kf_name", "no DELETE"),
    ("UPDATE kf_stream SET customer = 7", "no UPDATE"),
    ("DELETE FROM kf_stream", "no DELETE"),
    ("UPDATE kf_log_head SET created_at = 0", "no UPDATE"),
    ("DELETE FROM kf_log_head", "no DELETE"),
    ("INSERT INTO kf_log_head VALUES (x'01', 1)", "one row"),
    ("UPDATE kf_pull SET elements = 0", "no UPDATE"),
    ("DELETE FROM kf_pull", "no DELETE"),
    ("UPDATE kf_machine SET definition = ''", "no UPDATE"),
    ("DELETE FROM kf_machine", "no DELETE"),
    ("UPDATE kf_access SET actor = 'nobody'", "no UPDATE"),
    ("DELETE FROM kf_access", "no DELETE"),
    ("INSERT INTO kf_archive_mark SELECT 9, chain, recorded_at, chain, 1 FROM kf_entry LIMIT 1", "only grows"),
    ("INSERT INTO kf_archive_mark SELECT 3, leaf, recorded_at, leaf, 1 FROM kf_entry LIMIT 1", "only grows"),
]
REPLACED = ("kf_entry", "kf_payload", "kf_identity", "kf_name", "kf_stream", "kf_pull", "kf_machine", "kf_access")
REPLACE = {"sqlite": "INSERT OR REPLACE", "mysql": "REPLACE", "mariadb": "REPLACE", "postgresql": "INSERT"}
_SQLITE = [
    ("UPDATE OR REPLACE kf_entry SET position = 1 WHERE position = 2", "no UPDATE"),
    ("INSERT OR REPLACE INTO kf_entry SELECT * FROM kf_entry LIMIT 1", "kf_entry: "),
    ("INSERT OR REPLACE INTO kf_payload SELECT * FROM kf_payload LIMIT 1", "has a payload"),
    ("INSERT OR REPLACE INTO kf_identity SELECT * FROM kf_identity LIMIT 1", "this identity exists"),
    ("INSERT OR REPLACE INTO kf_name SELECT * FROM kf_name LIMIT 1", "this name exists"),
    ("INSERT OR REPLACE INTO kf_name SELECT 99, corp_id, kind, salt, value, folded, commitment FROM kf_name", "exists"),
    ("INSERT OR REPLACE INTO kf_stream SELECT * FROM kf_stream LIMIT 1", "this stream exists"),
    ("INSERT OR REPLACE INTO kf_pull SELECT * FROM kf_pull LIMIT 1", "this pull exists"),
    ("INSERT OR REPLACE INTO kf_machine SELECT * FROM kf_machine LIMIT 1", "this machine exists"),
    ("INSERT OR REPLACE INTO kf_access SELECT * FROM kf_access LIMIT 1", "this access exists"),
]


def test_plain_sql_is_refused(hosts: Connection, engine: Engine) -> None:
    """The database itself refuses, names the rule, and nothing has changed."""
    rules = REFUSED + (_SQLITE if engine.dialect.name == "sqlite" else [])
    assert [] == [(sql, said) for sql, rule in rules if rule not in (said := refused(hosts, sql))]
    with dialect.begin(engine, write=False) as conn:
        found = verify(conn)
    assert (3, None) == (found.entries, found.damage)


@pytest.mark.parametrize("table", REPLACED)
def test_nothing_is_replaced(hosts: Connection, engine: Engine, table: str) -> None:
    """What would put a row in the place of another is refused, by whichever rule the database meets first."""
    refused(hosts, f"{REPLACE[engine.dialect.name]} INTO {table} SELECT * FROM {table} LIMIT 1")
    with dialect.begin(engine, write=False) as conn:
        assert (3, None) == ((found := verify(conn)).entries, found.damage)


def _insert(conn: Connection, position: int, version: int) -> str:
    columns = [
        "position", "stream", "kind", "sort_second", "tie", "again", "version", "form", "kind_version", "recorded_at",
        "ref", "code", "actor", "commitment", "leaf", "chain",
    ]  # fmt: skip
    values = [str(position), "1", *columns[2:6], str(version), *columns[7:]]
    replace = REPLACE[conn.dialect.name]
    return f"{replace} INTO kf_entry ({', '.join(columns)}) SELECT {', '.join(values)} FROM kf_entry LIMIT 1"


@pytest.mark.parametrize(("position", "version"), [(1, 9), (5, 9), (4, 1)], ids=["known", "hole", "version"])
def test_replace_and_holes_are_refused(hosts: Connection, position: int, version: int) -> None:
    """REPLACE deletes without a DELETE trigger: the INSERT is refused. So is a position that would leave a hole."""
    assert refused(hosts, _insert(hosts, position, version))


@pytest.mark.databases("pg15", "pg18")
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_truncate_and_replication_are_refused(hosts: Connection, role: str) -> None:
    """PostgreSQL empties no table of the log, also for a session that says that it replicates."""
    for table in (*REPLACED, "kf_log_head", "kf_archive_mark"):
        hosts.exec_driver_sql(f"SET session_replication_role = {role}")
        hosts.commit()
        assert f"{table} is append-only: no TRUNCATE" in refused(hosts, f"TRUNCATE {table} CASCADE")
        assert "no UPDATE" in refused(hosts, "UPDATE kf_entry SET kind = 'x'")


def test_erasing_is_allowed(hosts: Connection) -> None:
    """What was said, and who said it, can be cleared."""
    change(hosts, "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position = 1")
    change(hosts, "UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE id = 1")
    change(hosts, "UPDATE kf_identity SET content = NULL WHERE position = 1")
    hosts.commit()


def test_archived_entries_can_leave(hosts: Connection, engine: Engine, element: Build) -> None:
    """Up to the mark, rows may be deleted, and verify says so; the rest verifies from the mark's link, and goes on."""
    mark = "INSERT INTO kf_archive_mark SELECT position, chain, recorded_at, leaf, 1 FROM kf_entry WHERE position = 2"
    for statement in (mark, "DELETE FROM kf_entry WHERE position <= 2", "DELETE FROM kf_payload WHERE position <= 2"):
        hosts.exec_driver_sql(spelled(hosts, statement))
    hosts.commit()
    assert refused(hosts, "DELETE FROM kf_entry WHERE position = 3")
    with dialect.begin(engine, write=True) as conn:
        append(conn, draft_elements([element(msgid="m4")]), now=NOW)
        found, whole = verify(conn, first=3), verify(conn)
    assert (3, 4, None) == (found.first, found.last, found.damage)
    assert 1 == (whole.damage and whole.damage.position)


def test_every_table_of_the_log_is_tested() -> None:
    """A table that comes to the log comes to these tests."""
    guarded = {name for name in metadata.tables if any(name in sql for sql, _ in REFUSED)}
    assert {*REPLACED, "kf_log_head", "kf_archive_mark"} == guarded
