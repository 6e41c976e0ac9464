"""A byte changed behind the triggers' back is found, at its position."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kfstate.errors import ArgumentError, CorruptLogError
from kfstate.machine.spec import fingerprint_of
from kfstate.store import dialect, references
from kfstate.store.append import append
from kfstate.store.canonical import first_link
from kfstate.store.checkpoint import chain_at
from kfstate.store.cursor import Pull, record_pull
from kfstate.store.envelope import OwnEntry, draft_own
from kfstate.store.facts import draft_elements
from kfstate.store.head import read_head
from kfstate.store.merkle import Tree
from kfstate.store.read import fold_entries, rows_after
from kfstate.store.rows import ENTRY_COLUMNS
from kfstate.store.verify import anchor_of, verify
from tests.store.behind import forge, tamper
from tests.store.conftest import SIZE, Build

NOW = 1_760_000_000_000_000
_OLD = fingerprint_of({"version": "1"})


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
        ("UPDATE kf_payload SET body = x'7b7d' WHERE position = 5", 5),
        ("UPDATE kf_entry SET stream = 3, version = 9 WHERE position = 4", 4),
        ("UPDATE kf_payload SET salt = x'00' WHERE position = 2", 2),
        ("UPDATE kf_payload SET salt = NULL WHERE position = 2", 2),
        ("DELETE FROM kf_payload WHERE position = 3", 3),
        ("DELETE FROM kf_entry WHERE position = 3", 3),
        ("DELETE FROM kf_entry WHERE position = 6", 6),
        ("DELETE FROM kf_entry WHERE position = 1", 1),
        ("UPDATE kf_name SET value = 'wang2' WHERE folded = 'wang'", 4),
        ("UPDATE kf_name SET folded = 'li9' WHERE folded = 'wang'", 4),
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


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("statement", "position"),
    [
        ("UPDATE kf_name SET kind = 'servicer' WHERE value = 'wm0'", 3),
        ("UPDATE kf_name SET corp_id = 'another' WHERE value = 'wm0'", 3),
        ("UPDATE kf_name SET kind = 'customer' WHERE value = 'wang'", 4),
    ],
)
def test_a_name_of_another_kind_is_damage(log: Engine, statement: str, position: int) -> None:
    """No hash covers kind and corporation of a name; they have to be those of the stream, or of a servicer."""
    found = tamper(log, statement)
    assert found.damage is not None
    assert (position, True) == (found.damage.position, "of another kind" in found.damage.reason)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("value", ["tie = 'late'", "kind = x'ff'"])
def test_what_no_column_can_hold_is_damage(log: Engine, value: str) -> None:
    """SQLite takes any value in any column; it is damage there, not an error."""
    found = tamper(log, f"UPDATE kf_entry SET {value} WHERE position = 4")
    assert 4 == (found.damage and found.damage.position)


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


@pytest.mark.parametrize(
    ("statement", "position", "reason"),
    [
        ("DELETE FROM kf_pull", 7, "pull 1 is missing"),
        ("UPDATE kf_pull SET id = 9", 7, "pull 1 is missing"),
        ("DELETE FROM kf_machine", 8, f"machine {_OLD[:12]} is missing"),
        ("DELETE FROM kf_identity WHERE position = 5", 5, "the identity is missing"),
        ("UPDATE kf_identity SET position = 3 WHERE position = 5", 5, "the identity is missing"),
        ("DELETE FROM kf_identity", 1, "the identity is missing"),
        ("UPDATE kf_identity SET position = 99 WHERE position = 8", 9, "kf_identity has come to position 99"),
        ("UPDATE kf_projection SET position = 9", 9, "kf_projection has come to position 9"),
        ("INSERT INTO kf_payload VALUES (12, x'00', x'00')", 9, "kf_payload has come to position 12"),
    ],
)
def test_what_no_hash_covers_has_to_be_there(log: Engine, statement: str, position: int, reason: str) -> None:
    """Pulls, machines and identities that entries need; and nothing may have come further than the log."""
    with dialect.begin(log, write=True) as conn:
        record_pull(conn, Pull(open_kfid="wkA", pulled_at=NOW, elements=1))
        append(conn, draft_elements([b"no JSON"]), now=NOW, pull=1)
        own = OwnEntry(kind="machine_activated", actor="kfstate", fingerprint=_OLD, key="first")
        append(conn, [draft_own(own, now=NOW)], now=NOW)
        conn.exec_driver_sql(f"INSERT INTO kf_machine VALUES ('{_OLD}', '1', '{{ \"version\": \"1\" }}', 1)")
        columns = "name, version, position, fingerprint, status"
        conn.exec_driver_sql(f"INSERT INTO kf_projection ({columns}) VALUES ('shipped', 1, 8, 'f00d', 'live')")
        assert None is verify(conn).damage
    found = tamper(log, statement)
    assert found.damage is not None
    assert position == found.damage.position
    assert reason in found.damage.reason


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "changed",
    [
        "version = '2'",
        """definition = '{"version":"1","rows":[]}'""",
        "definition = '[]'",
        "definition = '{'",
        "definition = x'ff'",
        "version = x'ff'",
    ],
)
def test_a_machine_that_was_changed_is_damage(log: Engine, changed: str) -> None:
    """Its fingerprint, which the entry has, is made anew, whether this release can run it or not."""
    with dialect.begin(log, write=True) as conn:
        own = OwnEntry(kind="machine_activated", actor="kfstate", fingerprint=_OLD, key="first")
        append(conn, [draft_own(own, now=NOW)], now=NOW)
        conn.exec_driver_sql(f"INSERT INTO kf_machine VALUES ('{_OLD}', '1', '{{ \"version\": \"1\" }}', 1)")
        assert None is verify(conn).damage
    found = tamper(log, f"UPDATE kf_machine SET {changed}")
    assert found.damage is not None
    assert (SIZE + 1, True) == (found.damage.position, "not what its fingerprint was made of" in found.damage.reason)


def test_identities_are_looked_up_by_pages(log: Engine, element: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many entries share a day, or a msgid."""
    same = [element(msgid="m1", text={"content": str(number)}) for number in range(8)]
    later = [element(msgid=f"n{number}", send_time=number * 86_400) for number in range(4)]
    with dialect.begin(log, write=True) as conn:
        append(conn, draft_elements([*same, *later]), now=NOW)
        for size in (1, 2, 3, 100):
            monkeypatch.setattr(references, "_PAGE", size)
            assert (18, None) == ((found := verify(conn)).entries, found.damage)


@pytest.mark.parametrize(
    ("at", "chain", "damage"),
    [
        (SIZE, None, None),
        (4, None, None),
        (0, None, None),
        (4, b"\0" * 32, 4),
        (0, b"\0" * 32, 0),
        (SIZE + 1, b"\0" * 32, SIZE + 1),
    ],
)
def test_an_anchor_holds_or_does_not(log: Engine, at: int, chain: bytes | None, damage: int | None) -> None:
    """The chain at an anchor is that of the log there; a log that ends before is damaged after its end."""
    with dialect.begin(log, write=False) as conn:
        head = read_head(conn)
        links = [first_link(head.log_id, head.created_at), *(row.chain for row in rows_after(conn))]
        anchor = (at, links[at] if chain is None else chain)
        found = verify(conn, anchor=anchor)
        assert anchor == anchor_of(f"{at}:{anchor[1].hex()}")
    assert damage == (found.damage and found.damage.position)


def test_what_was_archived_is_damage(log: Engine) -> None:
    """Nobody reads or verifies on over it, unless they say from where on; at a mark the chain is known."""
    with dialect.begin(log, write=True) as conn:
        links = [row.chain for row in rows_after(conn)]
        mark = (
            "INSERT INTO kf_archive_mark SELECT position, chain, recorded_at, leaf, 1 FROM kf_entry WHERE position = "
        )
        for position in (2, 4):
            conn.exec_driver_sql(f"{mark}{position}")
        for table in ("kf_entry", "kf_payload"):
            conn.exec_driver_sql(f"DELETE FROM {table} WHERE position <= 4")
        for anchor in (None, *((position, links[position - 1]) for position in (2, 4, 6))):
            damage = verify(conn, anchor=anchor).damage
            assert damage is not None
            assert (1, True) == (damage.position, damage.reason.startswith("entries 1 to 4 are not here"))
            later = verify(conn, first=3, anchor=anchor if anchor and anchor[0] > 2 else None).damage
            assert (3, True) == (later and (later.position, "entries 3 to 4 are not here" in later.reason))
        for position, damage in ((4, None), (5, None), (6, None)):
            found = verify(conn, first=5, anchor=(position, links[position - 1]))
            assert (5, damage) == (found.first, found.damage)
        other = verify(conn, first=5, anchor=(4, links[2])).damage
        assert 4 == (other and other.position)
        with pytest.raises(CorruptLogError, match="the entry is missing"):
            next(fold_entries(conn))
        assert 5 == next(fold_entries(conn, 4))[0].position


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "asked", [{"first": 0}, {"first": -4}, {"last": -4}, {"last": 0}, {"first": 9}, {"first": 5, "last": 4},
              {"first": SIZE + 1}, {"first": 1 << 70}],
)  # fmt: skip
def test_a_range_that_is_none(log: Engine, asked: dict[str, int]) -> None:
    """Who asks about what the log does not have is told so: nothing was verified."""
    with dialect.begin(log, write=False) as conn, pytest.raises(ArgumentError):
        verify(conn, **asked)  # type: ignore[arg-type]


@pytest.mark.databases("sqlite")
def test_a_range_on_the_edges(log: Engine) -> None:
    """After an entry that is missing there is no link to begin with; what ends after the log is cut off."""
    with dialect.begin(log, write=False) as conn:
        assert None is verify(conn, first=SIZE, last=SIZE).damage
        for last in (SIZE + 1, 1 << 70):
            damage = verify(conn, first=2, last=last).damage
            asked = f"the entry is missing: position {last} was asked for"
            assert (SIZE + 1, asked) == (damage and (damage.position, damage.reason))
    tamper(log, "DELETE FROM kf_entry WHERE position = 3")
    with dialect.begin(log, write=False) as conn:
        damage = verify(conn, first=4).damage
    assert (3, "the entry is missing") == (damage and (damage.position, damage.reason))


@pytest.mark.parametrize("text", ["", "7", "7:", ":00", "7:00", f"-1:{'00' * 32}", f"x:{'00' * 32}", f"7:{'0g' * 32}"])
def test_what_is_no_anchor(text: str) -> None:
    """An anchor is a position and 32 bytes in hex."""
    with pytest.raises(ValueError, match="no POSITION:CHAIN"):
        anchor_of(text)


def test_reading_stops_at_a_hole(log: Engine) -> None:
    """No reader skips an entry: what is missing is an error at its position, after all that comes before."""
    tamper(log, "DELETE FROM kf_entry WHERE position = 4")
    with dialect.begin(log, write=False) as conn:
        assert [1, 2, 3] == [row.position for row in rows_after(conn, limit=3)]
        assert [5, 6] == [row.position for row in rows_after(conn, 4)]
        for after in (0, 3):
            with pytest.raises(CorruptLogError) as caught:
                rows_after(conn, after)
            assert (4, "the entry is missing") == (caught.value.position, caught.value.reason)
        with pytest.raises(CorruptLogError):
            list(fold_entries(conn, batch=2))


@pytest.mark.databases("sqlite")
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


@pytest.mark.databases("sqlite")
def test_it_tells_how_far_it_is(log: Engine) -> None:
    """Batch by batch, over the whole log or a range."""
    told: list[int] = []
    with dialect.begin(log, write=False) as conn:
        verify(conn, batch=4, progress=told.append)
        verify(conn, first=2, last=4, batch=2, progress=told.append)
    assert [4, 2, 2, 1] == told


@pytest.mark.databases("sqlite")
def test_a_range_and_an_anchor(log: Engine) -> None:
    """An anchor inside of a range is looked at, one just before it, too; one elsewhere is refused."""
    with dialect.begin(log, write=False) as conn:
        links = {row.position: row.chain for row in rows_after(conn)}
        for at in (2, 3, 5):
            assert None is verify(conn, first=3, last=5, anchor=(at, links[at])).damage
            damage = verify(conn, first=3, last=5, anchor=(at, bytes(32))).damage
            assert at == (damage and damage.position)
        for at in (1, 6):
            with pytest.raises(ArgumentError):
                verify(conn, first=3, last=5, anchor=(at, links[at]))


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_re_ordered_entries_are_damage(log: Engine) -> None:
    """Two entries that have changed places are found at the first of them."""
    steps = ((3, 99), (4, 3), (99, 4))
    tables = ("kf_entry", "kf_payload", "kf_identity")
    swap = [f"UPDATE {table} SET position = {to} WHERE position = {at}" for table in tables for at, to in steps]
    found = tamper(log, *swap)
    assert 3 == (found.damage and found.damage.position)


@pytest.mark.databases("sqlite", "pg18", "mariadb")
@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, ""),
        ({"version": 7}, "version 7 of its stream follows version 1"),
        ({"version": 0}, "version 0 of its stream follows version 1"),
        ({"recorded_at": 1}, "it was recorded before the entry before it"),
    ],
)
def test_a_forged_order_is_damage(log: Engine, columns: dict[str, int], reason: str) -> None:
    """Where the chain was made anew: versions that are left out or there twice, and times that run backwards."""
    with dialect.begin(log, write=True) as conn:
        forge(conn, 5, **columns)
        damage = verify(conn).damage
    assert ((5, reason) if reason else None) == (damage and (damage.position, damage.reason))


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_payloads_that_are_gone_are_listed_apart(log: Engine) -> None:
    """Those of a customer who was erased one by one, those that aged out as ranges; neither is damage."""
    customer = "SELECT customer FROM kf_stream WHERE id = 2"
    found = tamper(
        log,
        "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position IN (1, 2, 3, 4, 6)",
        "UPDATE kf_identity SET content = NULL WHERE position IN (1, 2, 3, 4, 6)",
        f"UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE id = ({customer})",
    )
    with dialect.begin(log, write=False) as conn:
        ((name,),) = dialect.query(conn, customer)
        gone = [position for (position,) in dialect.query(conn, "SELECT position FROM kf_entry WHERE stream = 2")]
    assert (None, (name,)) == (found.damage, found.erased_names)
    assert tuple(position for position in gone if position != 5) == found.erased
    aged = {position for begin, end in found.aged_out for position in range(begin, end + 1)}
    assert {1, 2, 3, 4, 6} - set(found.erased) == aged


@pytest.mark.databases("sqlite")
def test_a_published_root_holds_or_does_not(log: Engine) -> None:
    """The tree over all leaves up to the anchor is made anew on the way."""
    with dialect.begin(log, write=False) as conn:
        rows = rows_after(conn)
        for at in range(SIZE + 1):
            tree = Tree()
            tree.extend(row.leaf for row in rows[:at])
            link = rows[at - 1].chain if at else chain_at(conn, 0) or b""
            assert None is verify(conn, anchor=(at, link, tree.root()), batch=4).damage
            damage = verify(conn, anchor=(at, link, bytes(32)), batch=4).damage
            assert at == (damage and damage.position)
            text = f"{at}:{link.hex()}:{tree.root().hex()}"
            assert (at, link, tree.root()) == anchor_of(text)
        later = verify(conn, first=3, anchor=(4, rows[3].chain, bytes(32))).damage
        assert "every leaf" in str(later and later.reason)
