"""Whatever is put into a column behind the triggers' back is damage where it is first needed, and never an error."""

from typing import Any

import pytest
from sqlalchemy import Engine

from kfstate.errors import CorruptLogError
from kfstate.store import canonical as form
from kfstate.store import dialect, verify
from kfstate.store.append import append
from kfstate.store.columns import bytes_at
from kfstate.store.dialect import bulk_insert, query
from kfstate.store.facts import draft_elements
from kfstate.store.references import identified
from kfstate.store.rows import ENTRY_COLUMNS
from kfstate.store.tables import kf_name
from kfstate.store.verify import Damage
from tests.store.behind import change, tamper
from tests.store.conftest import NOW, SIZE, Build

NEW = 99
"""The number of a name or stream that a forger makes."""


def named(engine: Engine, number: int, of: str, more: bytes = b"") -> bytes:
    """Put in the row of a name that looks erased, with the commitment of another one, or more; return that one's."""
    with dialect.begin(engine, write=True) as conn:
        sql = "SELECT corp_id, kind, commitment FROM kf_name WHERE value = ?"
        corp_id, kind, commitment = query(conn, sql, (of,))[0]
        bulk_insert(conn, kf_name, [(number, corp_id, kind, None, None, None, commitment + more)])
    return bytes(commitment)


@pytest.mark.databases("sqlite", "pg18")
def test_a_name_that_swallows_a_field(log: Engine) -> None:
    """A header of 32 bytes stands before a commitment: one that is longer would hold the fields after it."""
    with dialect.begin(log, write=False) as conn:
        ((wang,),) = query(conn, "SELECT commitment FROM kf_name WHERE value = 'wang'")
    named(log, NEW, "li", b"\x1a\x00\x20" + wang)
    found = tamper(log, f"UPDATE kf_entry SET servicer_from = {NEW}, servicer_to = NULL WHERE position = 4")
    assert Damage(4, "name 99 has no commitment of 32 bytes") == found.damage


@pytest.mark.databases("sqlite", "pg18")
def test_a_stream_that_swallows_a_field(log: Engine) -> None:
    """The same with the customer."""
    named(log, NEW, "wm0", bytes(3))
    found = tamper(log, f"UPDATE kf_stream SET customer = {NEW} WHERE id = 3")
    assert Damage(3, "name 99 has no commitment of 32 bytes") == found.damage


@pytest.mark.databases("sqlite", "pg18")
@pytest.mark.parametrize("other", [b"", b"\x00"])
def test_the_commitment_of_a_payload_has_32_bytes(log: Engine, other: bytes) -> None:
    """A payload that is gone cannot show that its commitment was cut, or has grown."""
    with dialect.begin(log, write=False) as conn:
        ((commitment,),) = query(conn, "SELECT commitment FROM kf_entry WHERE position = 4")
    forged = (bytes(commitment) + other if other else bytes(commitment)[:31]).hex()
    found = tamper(
        log,
        "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position = 4",
        f"UPDATE kf_entry SET commitment = x'{forged}' WHERE position = 4",
    )
    assert found.damage is not None
    assert (4, True) == (found.damage.position, "a commitment has 32 bytes" in found.damage.reason)


@pytest.mark.parametrize("size", [0, 31, 33, 67])
def test_no_other_length_is_encoded(size: int) -> None:
    """Wherever a commitment stands in the canonical form."""
    row: list[Any] = [0] * 37
    for name in ("kind", "ref", "code", "actor"):
        row[ENTRY_COLUMNS.index(name)] = ""
    for name in ("via", "as_kind", "msgtype", "code_kind"):
        row[ENTRY_COLUMNS.index(name)] = None
    whole, other = bytes(32), bytes(size)
    row[36] = whole
    assert form.canonical(form.stream_prefix("", "", "", whole, whole), row, whole, whole)
    for names in ((other, whole), (whole, other)):
        with pytest.raises(ValueError, match="a commitment has 32 bytes"):
            form.stream_prefix("", "", "", *names)
        with pytest.raises(ValueError, match="a commitment has 32 bytes"):
            form.canonical(b"", row, *names)
    row[36] = other
    with pytest.raises(ValueError, match="a commitment has 32 bytes"):
        form.canonical(b"", row, None, None)


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_a_name_under_two_numbers(log: Engine) -> None:
    """The fold compares numbers: one servicer would be two, and no leaf would tell."""
    named(log, NEW, "li")
    with dialect.begin(log, write=False) as conn:
        ((li,),) = query(conn, "SELECT id FROM kf_name WHERE value = 'li'")
        assert Damage(1, f"name {li} has the commitment of name {NEW}") == verify.verify(conn).damage
    found = tamper(log, f"UPDATE kf_entry SET servicer_to = {NEW} WHERE position = 5")
    with dialect.begin(log, write=False) as conn:
        assert Damage(5, f"name {NEW} has the commitment of name {li}") == found.damage == verify.verify(conn).damage
        assert None is verify.verify(conn, last=4).damage
        assert 5 == getattr(verify.verify(conn, first=5).damage, "position", None)


@pytest.mark.databases("sqlite", "pg18", "mariadb")
@pytest.mark.parametrize("number", [NEW, -1])
def test_a_conversation_of_nobody(log: Engine, number: int) -> None:
    """All of it moved to a twin of the customer: then no entry names the customer whom one would ask for."""
    named(log, number, "wm2")
    with dialect.begin(log, write=False) as conn:
        ((wm2,),) = query(conn, "SELECT id FROM kf_name WHERE value = 'wm2'")
    columns = "corp_id, kind, open_kfid"
    found = tamper(
        log,
        f"INSERT INTO kf_stream (id, {columns}, customer, servicer)"
        f" SELECT {NEW}, {columns}, {number}, servicer FROM kf_stream WHERE id = 2",
        f"UPDATE kf_entry SET stream = {NEW} WHERE stream = 2",
    )
    assert Damage(2, f"name {number} has the commitment of name {wm2}") == found.damage


@pytest.mark.databases("sqlite")
def test_a_stream_under_two_numbers(log: Engine) -> None:
    """Where the table was made anew without its key."""
    columns = "corp_id, kind, open_kfid, customer, servicer"
    found = tamper(
        log,
        "CREATE TABLE other AS SELECT * FROM kf_stream",
        f"INSERT INTO other SELECT {NEW}, {columns} FROM kf_stream WHERE id = 3",
        "DROP TABLE kf_stream",
        "ALTER TABLE other RENAME TO kf_stream",
        f"UPDATE kf_entry SET stream = {NEW} WHERE stream = 3",
    )
    assert Damage(3, f"stream {NEW} is stream 3 once more") == found.damage


TEXT = [
    ("UPDATE kf_payload SET body = '{}' WHERE position = 5", 5),
    ("UPDATE kf_payload SET salt = 'x' WHERE position = 2", 2),
    ("UPDATE kf_payload SET body = 'x', salt = 'x' WHERE position = 2", 2),
    ("UPDATE kf_name SET salt = 'x' WHERE value = 'wang'", 4),
    ("UPDATE kf_name SET commitment = 'x' WHERE value = 'wang'", 4),
    ("UPDATE kf_name SET commitment = 'x' WHERE value = 'wm0'", 3),
    ("UPDATE kf_name SET value = CAST(value AS BLOB) WHERE value = 'wang'", 4),
    ("UPDATE kf_name SET folded = CAST(folded AS BLOB) WHERE value = 'wang'", 4),
    ("UPDATE kf_name SET kind = CAST(kind AS BLOB) WHERE value = 'wang'", 4),
    ("UPDATE kf_stream SET customer = 'x' WHERE id = 3", 3),
    ("UPDATE kf_stream SET servicer = 'x' WHERE id = 3", 3),
    ("UPDATE kf_stream SET open_kfid = CAST(open_kfid AS BLOB) WHERE id = 3", 3),
    ("UPDATE kf_entry SET commitment = 'x' WHERE position = 4", 4),
    ("UPDATE kf_entry SET leaf = 'x' WHERE position = 4", 4),
    ("UPDATE kf_entry SET chain = 'x' WHERE position = 6", 6),
    ("UPDATE kf_entry SET kind = 'machine_activated', ref = CASE position WHEN 4 THEN 'x' ELSE x'ff' END", 1),
    ("UPDATE kf_entry SET position = 9000000000000 WHERE position = 2", 2),
    ("UPDATE kf_entry SET position = 9000000000000 WHERE position = 6", 6),
    ("UPDATE kf_identity SET position = 'x' WHERE position = 5", 5),
    ("UPDATE kf_identity SET position = -5 WHERE position = 5", 5),
    ("UPDATE kf_identity SET position = -5, content = NULL WHERE position = 5", 5),
    ("INSERT INTO kf_identity VALUES (0, x'00', 'x', NULL)", 7),
    ("INSERT INTO kf_identity VALUES (0, x'00', 9000000000000, NULL)", 7),
    ("INSERT INTO kf_projection (name, version, position, fingerprint, status) VALUES ('p', 1, 'x', 'f', 'live')", 7),
]


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(("statement", "position"), TEXT)
def test_text_where_bytes_belong(log: Engine, statement: str, position: int) -> None:
    """SQLite keeps text among bytes and numbers, and bytes among text: that is damage, wherever it stands."""
    found = tamper(log, statement)
    with dialect.begin(log, write=False) as conn:
        assert found.damage == verify.verify(conn).damage
    assert position == getattr(found.damage, "position", None)
    assert (1, position - 1) == (found.first, found.last)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("changed", ["log_id = 'x'", "log_id = x'00'", "created_at = 'x'", "created_at = -1"])
def test_a_head_that_holds_what_it_cannot(log: Engine, changed: str) -> None:
    """Of the log as a whole there is nothing to verify then."""
    with pytest.raises(CorruptLogError) as caught:
        tamper(log, f"UPDATE kf_log_head SET {changed}")
    assert (0, True) == (caught.value.position, changed.split(maxsplit=1)[0] in caught.value.reason)


@pytest.mark.databases("sqlite")
def test_a_range_after_a_link_that_is_none(log: Engine) -> None:
    """There is nothing to begin with."""
    tamper(log, "UPDATE kf_entry SET chain = 'x' WHERE position = 3")
    with dialect.begin(log, write=False) as conn:
        damage = verify.verify(conn, first=4).damage
    assert Damage(3, "chain holds what no column can hold: no bytes") == damage


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("changed", ["recorded_at = 'x'", "chain = 'x'", "chain = x'00'"])
def test_nobody_goes_on_after_it(log: Engine, changed: str, element: Build) -> None:
    """Whoever would append after an entry that holds what it cannot is told so."""
    tamper(log, f"UPDATE kf_entry SET {changed} WHERE position = {SIZE}")
    with dialect.begin(log, write=True) as conn, pytest.raises(CorruptLogError) as caught:
        append(conn, draft_elements([element(msgid="next")]), now=NOW)
    assert SIZE == caught.value.position


@pytest.mark.databases("sqlite")
def test_a_second_identity_hides_nothing(log: Engine) -> None:
    """The digest of a payload that is gone stays one, whatever stands beside it."""
    found = tamper(
        log,
        "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position = 5",
        "INSERT INTO kf_identity SELECT day, x'ffffffff', position, NULL FROM kf_identity WHERE position = 5",
    )
    assert Damage(5, "the payload is gone, and the digest of its content is not") == found.damage


UNREADABLE = [
    ("UPDATE kf_entry SET actor = CAST(x'ff' AS TEXT) WHERE position = 5", 5),
    ("UPDATE kf_name SET value = CAST(x'ff' AS TEXT) WHERE value = 'wang'", 4),
    ("UPDATE kf_name SET value = CAST(x'ff' AS TEXT) WHERE value = 'wm0'", 3),
    ("UPDATE kf_stream SET open_kfid = CAST(x'ff' AS TEXT) WHERE id = 2", 2),
    ("UPDATE kf_payload SET body = CAST(x'ff' AS TEXT) WHERE position = 6", 6),
]


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(("statement", "position"), UNREADABLE)
def test_what_cannot_be_read_is_named_where_it_is(log: Engine, statement: str, position: int) -> None:
    """Not at the beginning of what was read together with it."""
    tamper(log, statement)
    told: list[int] = []
    with dialect.begin(log, write=False) as conn:
        found = verify.verify(conn, progress=told.append)
    assert (position, position - 1, position - 1) == (getattr(found.damage, "position", None), found.last, sum(told))
    assert "cannot be read" in str(found.damage)


@pytest.mark.databases("sqlite")
def test_identities_that_cannot_be_read(log: Engine) -> None:
    """Every entry holds; what stands beside the log is named after its end."""
    with dialect.begin(log, write=True) as conn:
        change(conn, "DROP TABLE kf_identity")
    with dialect.begin(log, write=False) as conn:
        found = verify.verify(conn)
    assert (SIZE, SIZE + 1) == (found.last, getattr(found.damage, "position", None))
    assert "no such table: kf_identity" in str(found.damage)


@pytest.mark.databases("pg18")
def test_a_statement_that_fails_on_postgresql(log: Engine) -> None:
    """It would end the transaction; verification reads on to the entry that it is about."""
    failing = "tie + 0 / (position - 5) AS tie"
    columns = ", ".join(failing if name == "tie" else name for name in ENTRY_COLUMNS)
    with dialect.begin(log, write=True) as conn:
        change(conn, "ALTER TABLE kf_entry RENAME TO kf_entry_there")
        change(conn, f"CREATE VIEW kf_entry AS SELECT {columns} FROM kf_entry_there")
    with dialect.begin(log, write=False) as conn:
        for setting in ("enable_seqscan", "enable_sort"):
            conn.exec_driver_sql(f"SET LOCAL {setting} = off")
        found = verify.verify(conn)
    assert (5, 4) == (getattr(found.damage, "position", None), found.last)
    assert "division by zero" in str(found.damage)


@pytest.mark.databases("sqlite")
def test_no_memory_for_positions_that_are_not_there(log: Engine) -> None:
    """Whatever position the last entry claims, there is a byte for each entry."""
    tamper(log, "UPDATE kf_entry SET position = 9000000000000 WHERE position = 6")
    with dialect.begin(log, write=False) as conn:
        assert SIZE + 1 == len(identified(conn, 0, 9_000_000_000_000))
        assert 3 == len(identified(conn, 4, 9_000_000_000_000))


def test_bytes_at() -> None:
    """What a driver hands out for bytes is bytes; anything else is said to stand where it stands."""
    for whole in (b"ab", bytearray(b"ab"), memoryview(b"ab")):
        assert b"ab" == bytes_at(7, "leaf", whole, 2)
    for value in ("ab", 5, None, b"a"):
        with pytest.raises(CorruptLogError) as caught:
            bytes_at(7, "leaf", value, 2)
        assert (7, True) == (caught.value.position, caught.value.reason.startswith("leaf holds what no column can"))
