"""Cursors: moved with the page, fenced by epoch."""

import pytest
from sqlalchemy import Connection, Engine

from kfstate.errors import CursorConflictError
from kfstate.store import dialect
from kfstate.store.append import append
from kfstate.store.cursor import Pull, advance, claim, read_cursor, read_pull, record_pull
from kfstate.store.facts import draft_elements
from kfstate.store.head import read_head
from tests.store.conftest import Build

NOW = 1_760_000_000_000_000


def test_a_cursor_moves_from_what_was_expected(conn: Connection) -> None:
    """The first claim makes the cursor; synced_until is set by a complete pull and kept by others."""
    mine = claim(conn, "wkA")
    advance(conn, "wkA", expected="", new="c1", epoch=mine.epoch, synced_until=NOW)
    moved = advance(conn, "wkA", expected="c1", new="c2", epoch=mine.epoch)

    assert ("c2", 1, NOW) == (moved.cursor, moved.epoch, moved.synced_until)
    assert moved == read_cursor(conn, "wkA")
    assert read_cursor(conn, "wkB") is None
    assert read_cursor(conn, "wkA", corp_id="ww2") is None


def test_a_stale_puller_is_fenced(conn: Connection) -> None:
    """Whoever claims an account takes it from whoever had it."""
    old = claim(conn, "wkA")
    new = claim(conn, "wkA")
    advance(conn, "wkA", expected="", new="c1", epoch=new.epoch)
    with pytest.raises(CursorConflictError) as caught:
        advance(conn, "wkA", expected="c1", new="c2", epoch=old.epoch)

    assert ("c1", 2) == (caught.value.current, caught.value.epoch)


def test_a_cursor_that_moved_is_a_conflict(conn: Connection) -> None:
    """Two pulls from one cursor: one of them wins."""
    epoch = claim(conn, "wkA").epoch
    advance(conn, "wkA", expected="", new="c1", epoch=epoch)
    for expected in ("", "C1"):
        with pytest.raises(CursorConflictError):
            advance(conn, "wkA", expected=expected, new="c2", epoch=epoch)
    with pytest.raises(CursorConflictError):
        advance(conn, "wkUnclaimed", expected="", new="c2", epoch=1)


def test_entries_and_cursor_commit_together(engine: Engine, element: Build) -> None:
    """A page whose cursor is refused leaves nothing behind."""
    with dialect.begin(engine, write=True) as conn:
        claim(conn, "wkA")
    with engine.connect() as conn:
        append(conn, draft_elements([element()]), now=NOW)
        with pytest.raises(CursorConflictError):
            advance(conn, "wkA", expected="gone", new="c1", epoch=1)
    with dialect.begin(engine, write=False) as conn:
        assert 0 == read_head(conn).position


def test_a_pull_is_kept_and_its_entries_name_it(conn: Connection, element: Build) -> None:
    """One row a pull; entries carry its id and their place in the page."""
    pull = Pull(open_kfid="wkA", pulled_at=NOW, elements=2, cursor_after="c1", has_more=True, date_at=NOW, software="1")
    id_ = record_pull(conn, pull)
    done = append(conn, draft_elements([element(), element(msgid="m2")]), now=NOW, pull=id_)

    assert pull == read_pull(conn, id_)
    assert [(id_, 0), (id_, 1)] == [(row.pull, row.ordinal) for row in done.rows]
    assert id_ + 1 == record_pull(conn, pull)
    assert read_pull(conn, 99) is None
