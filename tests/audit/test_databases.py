"""Two databases held against each other: whatever one has otherwise is found, and nothing else is."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfstate import Engine
from kfstate.audit.trials.databases import named
from kfstate.audit.trials.face import Comparison
from kfstate.audit.trials.places import Divergence
from kfstate.audit.trials.spreading import Spreading
from kfstate.errors import ArgumentError, CheckpointError
from kfstate.store.dialect import query
from kfstate.store.rows import ENTRY_COLUMNS
from kfstate.testing import FrozenClock, page, servicer_status_change
from tests.engine.conftest import Fresh
from tests.engine.story import DAY2, KF, USER, change, own, said, wrote
from tests.engine.worlds import NOW

__all__: list[str] = []

STORY = [said(0), change(5, 1, new="a"), said(6, user="wm2"), wrote(9, "a"), change(30, 3, old="a")]
ASIDE = [servicer_status_change(KF, "a", NOW + 2, status=1), {"msgid": "nobody", "send_time": NOW + 3}]
OURS = [
    own(12, "message_intended", via="send_msg", msgid="m1", reason="hello"),
    own(13, "message_sent", via="send_msg", msgid="m1"),
    own(50, "own_action", via="recall_msg", key="k1"),
]


@pytest.fixture(scope="module")
def here(fresh: Fresh) -> Iterator[Engine]:
    """A log with every kind of stream; nobody adds to it."""
    with fresh("whole") as (engine, _):
        filled(engine)
        yield engine


def filled(engine: Engine) -> None:
    """Tell an engine what all of them know."""
    engine.ingest(page(STORY + ASIDE))
    for entry in OURS:
        engine.record(entry)


def copied(engine: Engine, path: Path, *statements: str) -> str:
    """Return the URL of a copy of the database, changed where no trigger sees it."""
    with sqlite3.connect(engine.url.removeprefix("sqlite:///")) as source, sqlite3.connect(path) as copy:
        source.backup(copy)
        triggers = copy.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            copy.execute(f"DROP TRIGGER {name}")
        for sql in statements:
            assert copy.execute(sql).rowcount
        for _, sql in triggers:
            copy.execute(sql)
    for connection in (source, copy):
        connection.close()
    return f"sqlite:///{path}"


def whole(found: Comparison | None) -> Comparison:
    """Return what came of a comparison that was not stopped."""
    assert found is not None
    return found


def one(found: Comparison | None) -> Divergence:
    """Return the only divergence."""
    assert not whole(found).equal
    (apart,) = whole(found).apart
    return apart


def changed(engine: Engine, sql: str) -> None:
    """Change what projections say, behind the engine's back."""
    with engine._writing() as conn:
        query(conn, sql)


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_alike(engine: Engine, clock: FrozenClock, tmp_path: Path) -> None:
    """Order of arrival, positions, ids, and when each log began to live are no difference; nor is the database."""
    later = FrozenClock.at(NOW + 40)
    with Engine(f"sqlite:///{tmp_path}/there.db", clock=later) as there:
        filled(engine)
        for element in reversed(STORY + ASIDE):
            there.ingest(page([element]))
        for entry in OURS:
            there.record(entry)
        for time in (clock, later):
            time.set((NOW + DAY2 + 3_600) * 1_000_000)
        for each in (engine, there):
            ((opened,),) = rows(each, "SELECT position FROM kf_entry WHERE kind = 'customer_message' AND tie = "
                                      "(SELECT MAX(tie) FROM kf_entry WHERE kind = 'customer_message')")  # fmt: skip
            owner = each.audit.explain(opened).entry.external_userid or ""
            each.record(own(60, "correction", user=owner, target=opened))
            assert 1 == each.tick()
        for each, other in ((engine, there), (there, engine)):
            found = whole(each.audit.compare_databases(other.url))
            assert (True, 2, 0) == (found.equal, found.conversations, found.cleared), found
            assert found.entries == each.position() - 1


def rows(engine: Engine, sql: str) -> list[tuple[int, ...]]:
    """Ask the database."""
    with engine._reading() as conn:
        return [tuple(row) for row in query(conn, sql)]


def test_apart(fresh: Fresh) -> None:
    """A missing entry, one too many, a whole conversation, and a step that another machine made are each named."""
    with fresh("here") as (here, _), fresh("there") as (there, _):
        here.ingest(page(STORY))
        there.ingest(page(STORY[:3] + STORY[4:]))
        found = one(here.audit.compare_databases(there.url))
        assert ("missing", 5, "servicer_message") == (found.what, found.position, found.kind)
        assert (USER, "conversation") == (found.external_userid, found.stream)
        assert "extra" == one(there.audit.compare_databases(here.url)).what
        there.ingest(page([STORY[3]]))
        assert here.audit.compare_databases(there.url, sample=1.0) is not None
        there.ingest(page([said(70, user="wm9")]))
        found = one(here.audit.compare_databases(there.url))
        assert ("extra", "wm9", "customer_message") == (found.what, found.external_userid, found.kind)
        found = one(there.audit.compare_databases(here.url))
        assert ("missing", "wm9") == (found.what, found.external_userid)
        here.ingest(page([said(70, user="wm9")]))
        changed(there, "UPDATE kf_step SET doubt = 'menu_click' WHERE transition = 'ended'")
        found = one(here.audit.compare_databases(there.url))
        assert ("step", 6) == (found.what, found.position)
        assert found.before is not None
        assert found.after is not None
        assert ("none", "menu_click") == (found.before.doubt, found.after.doubt)
        changed(there, "UPDATE kf_step SET doubt = 'none', outcome = 'stayed' WHERE transition = 'ended'")
        assert ("step", 6) == ((found := one(here.audit.compare_databases(there.url))).what, found.position)


COLUMNS = {
    "kind": "'own_action'", "via": "'forged'", "as_kind": "'forged'", "msgtype": "'forged'", "ref": "'forged'",
    "code": "'forged'", "code_kind": "'forged'", "actor": "'forged'", "commitment": "zeroblob(32)",
    "leaf": "zeroblob(32)", "chain": "zeroblob(32)", "servicer_from": "999", "servicer_to": "999",
}  # fmt: skip


def test_every_column(fresh: Fresh, here: Engine, tmp_path: Path) -> None:
    """Whatever stands otherwise in the row of an entry is found, and said; in whatever kind of stream it is."""
    columns = [name for name in ENTRY_COLUMNS if name not in {"position", "stream", "version"}]
    with fresh("columns") as (engine, _):
        engine.ingest(page([said(at, user=column) for at, column in enumerate(columns)]))
        url = copied(engine, tmp_path / "columns.db", *(
            f"UPDATE kf_entry SET {column} = {COLUMNS.get(column, f'COALESCE({column}, 0) + 1')} WHERE position = {at}"
            for at, column in enumerate(columns, 2)
        ))  # fmt: skip
        found = whole(engine.audit.compare_databases(url))
    assert columns == [apart.external_userid for apart in found.apart]
    for at, (column, apart) in enumerate(zip(columns, found.apart, strict=True), 2):
        assert ("entry", at) == (apart.what, apart.position)
        assert {"ignored" if column == "again" else column} <= apart.fields.keys()
    url = copied(here, tmp_path / "streams.db", "UPDATE kf_entry SET actor = 'forged' WHERE position IN (1, 7, 8)")
    found = whole(here.audit.compare_databases(url))
    assert ["log", "servicer", "unplaced"] == [apart.stream for apart in found.apart]
    assert {"actor"} == {name for apart in found.apart for name in apart.fields}


def test_payloads(here: Engine, tmp_path: Path) -> None:
    """Other words are a difference, and so is a row that is gone; what was erased or has aged out is counted."""
    for at, (sql, sizes) in enumerate([
        ("UPDATE kf_payload SET body = X'7b7d' WHERE position = 2", "2 bytes, another one from byte 2 on"),
        ("UPDATE kf_payload SET body = replace(CAST(body AS TEXT), 'hello', 'hallo') WHERE position = 9", "from byte"),
        ("UPDATE kf_payload SET body = replace(CAST(body AS TEXT), '\"k1', '\"k2') WHERE position = 11", "from byte"),
        ("UPDATE kf_payload SET body = 'text' WHERE position = 2", "4 bytes"),
        ("DELETE FROM kf_payload WHERE position = 2", "0 bytes"),
    ]):  # fmt: skip
        found = one(here.audit.compare_databases(copied(here, tmp_path / f"{at}.db", sql)))
        assert "payload" == found.what
        assert sizes in found.why
    url = copied(here, tmp_path / "aged.db", "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position > 8")
    aged = whole(here.audit.compare_databases(url))
    assert (True, 3) == (aged.equal, aged.cleared)


def test_erased_in_one(here: Engine, tmp_path: Path) -> None:
    """A conversation whose customer one copy has forgotten is the same one; the receipt is an entry of its own."""
    with Engine(copied(here, tmp_path / "copy.db")) as copy:
        copy.audit.erase("wm2", actor="dpo", basis="asked")
        for engine, other, what in ((here, copy, "extra"), (copy, here, "missing")):
            found = engine.audit.compare_databases(other.url)
            assert ("unplaced", what) == ((apart := one(found)).stream, apart.what)
            assert 1 == whole(found).cleared


LOST = "SELECT stream FROM kf_entry WHERE position IN (4, 7, 8)"


def test_lost(here: Engine, tmp_path: Path) -> None:
    """A stream of which one database has lost every entry is named, from either side."""
    streams = ["conversation", "servicer", "unplaced"]
    for name, sql in (("entries", "DELETE FROM kf_entry WHERE stream"), ("streams", "DELETE FROM kf_stream WHERE id")):
        with Engine(copied(here, tmp_path / f"{name}.db", f"{sql} IN ({LOST})")) as there:
            lost = whole(here.audit.compare_databases(there.url)).apart
            assert [("missing", stream) for stream in streams] == [(apart.what, apart.stream) for apart in lost]
            if name == "entries":
                more = whole(there.audit.compare_databases(here.url)).apart
                assert [("extra", stream) for stream in streams] == [(apart.what, apart.stream) for apart in more]


def test_journal(here: Engine, tmp_path: Path) -> None:
    """A journal is of one other database, as that was then: neither a copy of it nor what was added since is in it."""
    with Engine(copied(here, tmp_path / "there.db")) as there:
        there.ingest(page([said(70, user="wm9")]))
        how = Spreading(journal=tmp_path / "journal")
        first = whole(here.audit.compare_databases(there.url, how=how))
        assert ["wm9"] == [apart.external_userid for apart in first.apart]
        wrong = copied(there, tmp_path / "copy.db", "UPDATE kf_entry SET actor = 'x' WHERE position = 9")
        with pytest.raises(ArgumentError, match="journal"):
            here.audit.compare_databases(wrong, how=how)
        there.ingest(page([said(80), said(81, user="wm8")]))
        assert first == here.audit.compare_databases(there.url, how=how)
        path = tmp_path / "journal"
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
        assert first == here.audit.compare_databases(there.url, how=how)
        assert 3 == len(whole(here.audit.compare_databases(there.url)).apart)
    copied(here, tmp_path / "there.db", "UPDATE kf_entry SET chain = zeroblob(32) WHERE position = 10")
    with pytest.raises(CheckpointError):
        here.audit.compare_databases(there.url, how=how)


@pytest.mark.parametrize("url", ["postgresql+psycopg://me:secret@host/kf?password=secret", "mysql://me:secret@host/kf"])
def test_passwords_stay_out(url: str) -> None:
    """What a journal and an error say of a database is not how to open it."""
    assert "secret" not in named(url)
    assert "host/kf" in named(url)


def test_nothing_here(fresh: Fresh, here: Engine) -> None:
    """A database that has nothing is not like one that has something."""
    with fresh("nothing") as (nothing, _):
        found = whole(nothing.audit.compare_databases(here.url))
        assert {("conversation", "extra"), ("servicer", "extra")} < {
            (apart.stream, apart.what) for apart in found.apart
        }


def test_databases_that_are_not_there(engine: Engine) -> None:
    """No database is made where none is."""
    for url in ("sqlite://", "sqlite:///nowhere.db"):
        with pytest.raises(ArgumentError, match="database that is there"):
            engine.audit.compare_databases(url)
