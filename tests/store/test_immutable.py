"""Nothing but an append changes the log: plain SQL on a plain connection is refused, REPLACE included."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kfstate.store import dialect
from kfstate.store.append import append
from kfstate.store.cursor import Pull, record_pull
from kfstate.store.facts import draft_elements
from kfstate.store.verify import verify
from tests.store.conftest import Build

NOW = 1_760_000_000_000_000


@pytest.fixture
def plain(engine: Engine, path: Path, element: Build) -> Iterator[sqlite3.Connection]:
    """A connection that knows nothing of kfstate, on a log of three entries."""
    with dialect.begin(engine, write=True) as conn:
        pull = record_pull(conn, Pull(open_kfid="wkA", pulled_at=NOW, elements=3))
        page = [element(), element(msgid="m2", origin=5, servicer_userid="li"), element(msgid="m3")]
        append(conn, draft_elements(page), now=NOW, pull=pull)
        conn.exec_driver_sql("INSERT INTO kf_machine VALUES ('f', '1', '{}', 1)")
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


COPY = "INSERT OR REPLACE INTO {0} SELECT * FROM {0} LIMIT 1"
REFUSED = [
    ("UPDATE kf_entry SET kind = 'x'", "no UPDATE"),
    ("UPDATE OR REPLACE kf_entry SET position = 1 WHERE position = 2", "no UPDATE"),
    ("DELETE FROM kf_entry WHERE position = 3", "only up to kf_archive_mark"),
    ("DELETE FROM kf_entry", "only up to kf_archive_mark"),
    (COPY.format("kf_entry"), "kf_entry: "),
    ("UPDATE kf_payload SET body = x'00'", "cleared, together"),
    ("UPDATE kf_payload SET body = NULL", "cleared, together"),
    ("UPDATE kf_payload SET position = 9, salt = NULL, body = NULL WHERE position = 3", "cleared, together"),
    ("DELETE FROM kf_payload", "only up to kf_archive_mark"),
    (COPY.format("kf_payload"), "has a payload"),
    ("UPDATE kf_name SET value = 'other'", "cleared, together"),
    ("UPDATE kf_name SET value = NULL, salt = NULL", "cleared, together"),
    ("UPDATE kf_name SET value = NULL, salt = NULL, folded = NULL, commitment = x'00'", "cleared, together"),
    ("DELETE FROM kf_name", "no DELETE"),
    (COPY.format("kf_name"), "this name exists"),
    ("INSERT OR REPLACE INTO kf_name SELECT 99, corp_id, kind, salt, value, folded, commitment FROM kf_name", "exists"),
    ("UPDATE kf_stream SET customer = 7", "no UPDATE"),
    ("DELETE FROM kf_stream", "no DELETE"),
    (COPY.format("kf_stream"), "this stream exists"),
    ("UPDATE kf_log_head SET created_at = 0", "no UPDATE"),
    ("DELETE FROM kf_log_head", "no DELETE"),
    ("INSERT INTO kf_log_head VALUES (x'01', 1)", "one row"),
    ("UPDATE kf_pull SET elements = 0", "no UPDATE"),
    ("DELETE FROM kf_pull", "no DELETE"),
    (COPY.format("kf_pull"), "this pull exists"),
    ("UPDATE kf_machine SET definition = ''", "no UPDATE"),
    ("DELETE FROM kf_machine", "no DELETE"),
    (COPY.format("kf_machine"), "this machine exists"),
    ("INSERT INTO kf_archive_mark SELECT 9, chain, recorded_at, chain, 1 FROM kf_entry LIMIT 1", "only grows"),
    ("INSERT INTO kf_archive_mark SELECT 3, leaf, recorded_at, leaf, 1 FROM kf_entry LIMIT 1", "only grows"),
]


@pytest.mark.parametrize(("statement", "rule"), REFUSED)
def test_plain_sql_is_refused(plain: sqlite3.Connection, engine: Engine, statement: str, rule: str) -> None:
    """The database itself refuses, names the rule, and nothing has changed."""
    with pytest.raises(sqlite3.IntegrityError, match=rule):
        plain.execute(statement)
    plain.rollback()
    with dialect.begin(engine, write=False) as conn:
        found = verify(conn)
    assert (3, None) == (found.entries, found.damage)


def _insert(position: int, version: int) -> str:
    columns = [
        "position", "stream", "kind", "sort_second", "tie", "again", "version", "form", "kind_version", "recorded_at",
        "ref", "code", "actor", "commitment", "leaf", "chain",
    ]  # fmt: skip
    values = [str(position), "1", *columns[2:6], str(version), *columns[7:]]
    return f"INSERT OR REPLACE INTO kf_entry ({', '.join(columns)}) SELECT {', '.join(values)} FROM kf_entry LIMIT 1"


@pytest.mark.parametrize(
    ("position", "version", "rule"), [(1, 9, "plus 1"), (5, 9, "plus 1"), (4, 1, "no version of a stream comes twice")]
)
def test_replace_and_holes_are_refused(plain: sqlite3.Connection, position: int, version: int, rule: str) -> None:
    """REPLACE deletes without a DELETE trigger: the INSERT is refused. So is a position that would leave a hole."""
    with pytest.raises(sqlite3.IntegrityError, match=rule):
        plain.execute(_insert(position, version))


def test_erasing_is_allowed(plain: sqlite3.Connection) -> None:
    """What was said, and who said it, can be cleared."""
    plain.execute("UPDATE kf_payload SET salt = NULL, body = NULL WHERE position = 1")
    plain.execute("UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE id = 1")
    plain.commit()


def test_archived_entries_can_leave(plain: sqlite3.Connection, engine: Engine, element: Build) -> None:
    """Up to the mark, rows may be deleted; the rest verifies from the mark's link, and the log goes on after it."""
    plain.execute(
        "INSERT INTO kf_archive_mark SELECT position, chain, recorded_at, leaf, 1 FROM kf_entry WHERE position = 2"
    )
    plain.execute("DELETE FROM kf_entry WHERE position <= 2")
    plain.execute("DELETE FROM kf_payload WHERE position <= 2")
    plain.commit()
    with pytest.raises(sqlite3.IntegrityError):
        plain.execute("DELETE FROM kf_entry WHERE position = 3")
    plain.rollback()
    with dialect.begin(engine, write=True) as conn:
        append(conn, draft_elements([element(msgid="m4")]), now=NOW)
        found = verify(conn)
    assert (3, 4, None) == (found.first, found.last, found.damage)
