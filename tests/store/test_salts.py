"""Where a salt ends, nothing in a commitment says: it has 16 bytes; and what is erased is erased whole."""

import pytest
from sqlalchemy import Connection, Engine

from kfstate.store import dialect
from kfstate.store.append import append
from kfstate.store.canonical import commit, proves
from kfstate.store.dialect import query
from kfstate.store.envelope import OwnEntry, draft_own
from kfstate.store.facts import draft_elements
from kfstate.store.verify import verify
from tests.store.behind import change, unguarded
from tests.store.conftest import NOW, Build

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")


@pytest.fixture
def log(engine: Engine, element: Build) -> Engine:
    """Three messages of one customer, and one of another; then an own entry with a key, and one without."""
    page = [element(msgid=f"m{number}", external_userid=f"wm{number // 4}") for number in range(1, 5)]
    with dialect.begin(engine, write=True) as conn:
        append(conn, draft_elements(page), now=NOW)
        for key in ("first", ""):
            own = OwnEntry(kind="own_action", actor="li", via="note", open_kfid="wkA", key=key)
            append(conn, [draft_own(own, now=NOW)], now=NOW)
    return engine


def damage(conn: Connection, *statements: str) -> tuple[int, str] | None:
    """Change the log behind its triggers; return where it does not hold any more, and why."""
    with unguarded(conn):
        for statement in statements:
            change(conn, statement)
    found = verify(conn, batch=3).damage
    return None if found is None else (found.position, found.reason)


def test_a_salt_has_16_bytes() -> None:
    """Bytes of the value in the salt, or of the salt in the value, keep the hash, and prove nothing."""
    salt, value = bytes(range(16)), b"li4 said so"
    assert proves(salt, value, commit(salt, value))
    for end in (0, 15, 17, 20, 27):
        whole = salt + value
        assert commit(salt, value) == commit(whole[:end], whole[end:])
        assert not proves(whole[:end], whole[end:], commit(salt, value))
    for no_salt in (None, "x" * 16, 16):
        assert not proves(no_salt, value, commit(salt, value))


@pytest.mark.databases("sqlite", "pg18")
def test_where_salt_and_payload_meet(log: Engine) -> None:
    """Moved, it is damage at its position, though the hash is the same."""
    with dialect.begin(log, write=True) as conn:
        ((salt, body),) = query(conn, "SELECT salt, body FROM kf_payload WHERE position = 2")
        whole = bytes(salt) + bytes(body)
        for size in (15, 17, 40):
            moved = f"salt = x'{whole[:size].hex()}', body = x'{whole[size:].hex()}'"
            found = damage(conn, f"UPDATE kf_payload SET {moved} WHERE position = 2")
            assert (2, "the payload is not what was committed to") == found


def test_where_salt_and_name_meet(log: Engine) -> None:
    """Nor can an id be made shorter."""
    with dialect.begin(log, write=True) as conn:
        ((id_, salt, value),) = query(conn, "SELECT id, salt, value FROM kf_name WHERE folded = 'wm1'")
        moved = f"salt = x'{(bytes(salt) + b'w').hex()}', value = '{value[1:]}', folded = '{value[1:]}'"
        found = damage(conn, f"UPDATE kf_name SET {moved} WHERE id = {id_}")
    assert (4, f"name {id_} is not what was committed to") == found


@pytest.mark.parametrize("changed", ["salt = 'sixteen letters.'", "salt = 16", "body = 'text'"])
def test_what_is_no_salt_is_damage(log: Engine, changed: str) -> None:
    """SQLite takes any value in any column."""
    with dialect.begin(log, write=True) as conn:
        found = damage(conn, f"UPDATE kf_payload SET {changed} WHERE position = 3")
    assert (3, "the payload is not what was committed to") == found


@pytest.mark.parametrize("left", ["salt", "value", "folded", "salt, value", "salt, folded", "value, folded", ""])
def test_a_name_is_erased_whole(log: Engine, left: str) -> None:
    """What is left of one is damage; where nothing is left, it is erased."""
    gone = ", ".join(f"{column} = NULL" for column in ("salt", "value", "folded") if column not in left)
    with dialect.begin(log, write=True) as conn:
        ((id_,),) = query(conn, "SELECT id FROM kf_name WHERE folded = 'wm1'")
        found = damage(conn, f"UPDATE kf_name SET {gone} WHERE id = {id_}")
        assert ((4, f"name {id_} is erased in part only") if left else None) == found
        assert (() if left else (id_,)) == verify(conn).erased_names


_CLEAR = "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position = {}"
_CLEAR_DIGEST = "UPDATE kf_identity SET content = NULL WHERE position = {}"


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_a_payload_is_erased_with_its_digest(log: Engine) -> None:
    """By which a guess at what was said could be tested; an entry without an identity has none."""
    with dialect.begin(log, write=True) as conn:
        for position in (6, 3, 5):
            found = damage(conn, _CLEAR.format(position))
            kept = (position, "the payload is gone, and the digest of its content is not")
            assert (None if position == 6 else kept) == found
            assert None is damage(conn, _CLEAR_DIGEST.format(position))
        assert ((3, 3), (5, 6)) == verify(conn).aged_out


def test_half_a_payload_is_damage(log: Engine) -> None:
    """Salt and body go together; also where the identities are not looked at."""
    with dialect.begin(log, write=True) as conn:
        for position, left in ((3, "salt"), (2, "body")):
            found = damage(conn, f"UPDATE kf_payload SET {left} = NULL WHERE position = {position}")
            assert (position, "the payload is not what was committed to") == found
            assert position == getattr(verify(conn, first=1).damage, "position", None)
