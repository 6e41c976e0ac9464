"""A byte changed behind the triggers' back is found, at its position."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kfstate.store import dialect
from kfstate.store.append import append
from kfstate.store.facts import draft_elements
from kfstate.store.rows import ENTRY_COLUMNS
from kfstate.store.verify import Verified, verify
from tests.store.conftest import Build

NOW = 1_760_000_000_000_000
SIZE = 6


@pytest.fixture
def log(engine: Engine, element: Build) -> Engine:
    """A log of six entries of three streams."""
    page = [
        element(msgid=f"m{n}", origin=5, servicer_userid="li", external_userid=f"wm{n % 3}") for n in range(1, SIZE + 1)
    ]
    page[3] = element(
        msgid="m4",
        msgtype="event",
        origin=4,
        text=None,
        event={
            "event_type": "session_status_change",
            "open_kfid": "wkA",
            "external_userid": "wm1",
            "change_type": 2,
            "old_servicer_userid": "li",
            "new_servicer_userid": "wang",
            "msg_code": "code",
        },
    )
    with dialect.begin(engine, write=True) as conn:
        append(conn, draft_elements(page), now=NOW)
    return engine


def tamper(engine: Engine, *statements: str) -> Verified:
    """Drop the triggers, change the log, put the triggers back, verify."""
    with dialect.begin(engine, write=True) as conn:
        triggers = dialect.query(conn, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        for name, _ in triggers:
            conn.exec_driver_sql(f"DROP TRIGGER {name}")
        for statement in statements:
            conn.exec_driver_sql(statement)
        for _, ddl in triggers:
            conn.exec_driver_sql(ddl)
        return verify(conn, batch=2)


def test_an_untouched_log_holds(log: Engine) -> None:
    """Every leaf, link and commitment is recomputed."""
    with dialect.begin(log, write=False) as conn:
        found = verify(conn, batch=4)
        again = verify(conn, first=3, last=5)
    assert (1, SIZE, SIZE, None, ()) == (found.first, found.last, found.entries, found.damage, found.erased)
    assert (3, 5, 3, None) == (again.first, again.last, again.entries, again.damage)


@pytest.mark.parametrize("column", ENTRY_COLUMNS[1:])
def test_every_column_is_under_the_chain(log: Engine, column: str) -> None:
    """Whatever column of an entry changes, its position is named."""
    other = "x'00'" if column in {"commitment", "leaf", "chain"} else "77"
    found = tamper(log, f"UPDATE kf_entry SET {column} = {other} WHERE position = 4")
    assert found.damage is not None
    assert 4 == found.damage.position


@pytest.mark.parametrize(
    ("statement", "position"),
    [
        ("UPDATE kf_payload SET body = CAST(CAST(body AS TEXT) || ' ' AS BLOB) WHERE position = 5", 5),
        ("UPDATE kf_entry SET stream = 3, version = 9 WHERE position = 4", 4),
        ("UPDATE kf_entry SET tie = 'late' WHERE position = 4", 4),
        ("UPDATE kf_entry SET kind = x'ff' WHERE position = 4", 4),
        ("UPDATE kf_payload SET salt = x'00' WHERE position = 2", 2),
        ("UPDATE kf_payload SET salt = NULL WHERE position = 2", 2),
        ("DELETE FROM kf_payload WHERE position = 3", 3),
        ("DELETE FROM kf_entry WHERE position = 3", 3),
        ("DELETE FROM kf_entry WHERE position = 6", 6),
        ("DELETE FROM kf_entry WHERE position = 1", 1),
        ("UPDATE kf_name SET value = 'wang2' WHERE folded = 'wang'", 4),
        ("UPDATE kf_name SET folded = 'li' || id WHERE folded = 'wang'", 4),
        ("UPDATE kf_name SET commitment = x'00' WHERE value = 'wang'", 4),
        ("DELETE FROM kf_name WHERE value = 'wang'", 4),
        ("UPDATE kf_name SET value = 'wm9', folded = 'wm9' WHERE value = 'wm0'", 3),
        ("UPDATE kf_stream SET open_kfid = 'wkB' WHERE id = 1", 1),
        ("DELETE FROM kf_stream WHERE id = 3", 3),
        ("UPDATE kf_log_head SET created_at = created_at + 1", 1),
    ],
)
def test_damage_is_found_at_its_position(log: Engine, statement: str, position: int) -> None:
    """Payloads, names, streams, the log's head and missing rows are looked at too."""
    found = tamper(log, statement)
    assert found.damage is not None
    assert position == found.damage.position


def test_a_log_rewritten_to_its_end_needs_an_anchor(log: Engine, element: Build) -> None:
    """A chain kept elsewhere tells the true log from a consistent forgery."""
    with dialect.begin(log, write=False) as conn:
        true = verify(conn)
    tables = ("kf_entry", "kf_payload", "kf_identity")
    tamper(log, *(f"DELETE FROM {table} WHERE position = {SIZE}" for table in tables))
    with dialect.begin(log, write=True) as conn:
        cut = verify(conn, anchor=(SIZE, true.chain))
        append(conn, draft_elements([element(msgid="forged")]), now=NOW)
        unanchored, anchored = verify(conn), verify(conn, anchor=(SIZE, true.chain))

    assert (None, True) == (unanchored.damage, cut.damage is not None)
    assert anchored.damage is not None
    assert SIZE == anchored.damage.position


def test_a_page_of_the_file_that_is_overwritten_is_damage(log: Engine, path: Path) -> None:
    """Bytes changed in the file itself are reported, whatever SQLite makes of them."""
    log.dispose()
    with sqlite3.connect(path) as plain:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    plain.close()
    data = path.read_bytes()
    place = data.rindex(b'"content": "hello"')
    path.write_bytes(data[:place] + b'"content": "HELLO"' + data[place + 18 :])
    with dialect.begin(log, write=False) as conn:
        assert verify(conn).damage is not None
