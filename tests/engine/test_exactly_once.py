"""Exactly once (P5): cursor, entries and projections in one transaction, and nothing twice."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from kfstate.engine import Engine
from kfstate.errors import CursorConflictError
from kfstate.intake import CursorMove
from kfstate.projections import builds, conversations, live, projector, side
from kfstate.store import append, dialect, identity
from kfstate.store import cursor as cursors
from kfstate.testing import FrozenClock, customer_message, page, session_status_change
from tests.engine.conftest import Fresh
from tests.engine.tables import dump, everything, rows
from tests.engine.worlds import ASIDE, NOW, STRANGE, pages_of, seeded

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite", "pg18", "mariadb")

FIRST = page([customer_message("wkA", "wm1", NOW)], next_cursor="c1")
SECOND = page(
    [session_status_change(1, "wkA", "wm1", NOW + 5, new="li"), customer_message("wkA", "wm2", NOW + 6)],
    next_cursor="c2",
)


class BrokenError(Exception):
    """What a test lets fail."""


def broken(*_args: Any, **_more: Any) -> Any:
    """Fail."""
    raise BrokenError


def claimed(engine: Engine) -> int:
    """Claim the account and return the epoch."""
    with engine._writing() as conn:
        return cursors.claim(conn, "wkA").epoch


def cursor_of(engine: Engine) -> tuple[str, int, int | None]:
    """Return cursor, epoch and ``synced_until`` of the account."""
    with engine._reading() as conn:
        found = cursors.read_cursor(conn, "wkA")
    assert found is not None
    return found.cursor, found.epoch, found.synced_until


def test_cursor_moves_with_the_page(engine: Engine) -> None:
    """A page and its cursor are there together, and the pull says from where to where."""
    epoch = claimed(engine)
    engine.ingest(FIRST, account="wkA", cursor=CursorMove(expected="", epoch=epoch))
    engine.ingest(SECOND, account="wkA", cursor=CursorMove(expected="c1", epoch=epoch, synced_until=NOW * 1_000_000))
    assert ("c2", epoch, NOW * 1_000_000) == cursor_of(engine)
    pulls = rows(engine, "SELECT id, open_kfid, cursor_before, cursor_after, elements FROM kf_pull")
    assert [(1, "wkA", "", "c1", 1), (2, "wkA", "c1", "c2", 2)] == pulls
    assert [(1, 0), (2, 0), (2, 1)] == rows(engine, "SELECT pull, ordinal FROM kf_entry WHERE pull > 0")
    assert datetime.fromtimestamp(NOW, UTC) == engine.state("wkA", "wm1").synced_until


def test_empty_page_moves_the_cursor(engine: Engine) -> None:
    """A page without entries moves the cursor, and is a pull like any other."""
    epoch = claimed(engine)
    report = engine.ingest(page([], next_cursor="c9"), account="wkA", cursor=CursorMove(expected="", epoch=epoch))
    assert (0, 0, 1) == (report.entries, report.appended, report.position)
    assert "c9" == cursor_of(engine)[0]
    assert [("c9", 0)] == rows(engine, "SELECT cursor_after, elements FROM kf_pull")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (cursors, "record_pulls"), (append, "look_back"), (append, "find_streams"), (append, "bulk_insert"),
        (identity, "store"), (projector.Projector, "commit"), (projector.Projector, "_fold"),
        (side.SideTables, "flush"), (conversations, "write"), (projector, "bulk_insert"),
        (builds, "store"), (live, "project"), (live, "tell"), (cursors, "write_cursors"),
    ],
    ids=lambda part: part if isinstance(part, str) else part.__name__.rpartition(".")[2],
)  # fmt: skip
def test_failure_leaves_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> None:
    """Whatever fails while a page is stored, nothing of the page is there; the next try stores all of it."""
    epoch = claimed(engine)
    engine.ingest(FIRST, account="wkA", cursor=CursorMove(expected="", epoch=epoch))
    before = everything(engine)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, broken)
        with pytest.raises(BrokenError):
            engine.ingest(SECOND, account="wkA", cursor=CursorMove(expected="c1", epoch=epoch))
    assert before == everything(engine)
    report = engine.ingest(SECOND, account="wkA", cursor=CursorMove(expected="c1", epoch=epoch))
    assert (2, "c2") == (report.appended, cursor_of(engine)[0])
    assert ("manual", "li") == ((view := engine.state("wkA", "wm1")).state, view.servicer_userid)
    assert 0 == engine.check().different


@pytest.mark.parametrize("failing", range(6))
def test_failure_at_the_nth_statement(fresh: Fresh, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """The same where the n-th bulk write of the projections fails, early or late."""
    with fresh("nth") as (engine, _):
        epoch = claimed(engine)
        engine.ingest(FIRST, account="wkA", cursor=CursorMove(expected="", epoch=epoch))
        before, calls = everything(engine), iter(range(99))
        whole = dialect.bulk_upsert

        def counted(*args: Any) -> None:
            if next(calls) == failing:
                raise BrokenError
            whole(*args)

        with monkeypatch.context() as patch:
            for module in (conversations, builds, side):
                patch.setattr(module, "bulk_upsert", counted)
            with pytest.raises(BrokenError):
                engine.ingest(SECOND, account="wkA", cursor=CursorMove(expected="c1", epoch=epoch))
        assert before == everything(engine)


def test_cursor_moved_by_another(engine: Engine) -> None:
    """Where somebody else moved the cursor, nothing of the page is stored, and the error says where it is."""
    epoch = claimed(engine)
    engine.ingest(FIRST, account="wkA", cursor=CursorMove(expected="", epoch=epoch))
    before = everything(engine)
    with pytest.raises(CursorConflictError) as caught:
        engine.ingest(SECOND, account="wkA", cursor=CursorMove(expected="", epoch=epoch))
    error = caught.value
    assert ("wkA", "", "c1", epoch) == (error.open_kfid, error.expected, error.current, error.epoch)
    assert before == everything(engine)


def test_stale_puller_is_fenced(engine: Engine) -> None:
    """Who claimed the account before somebody else did cannot move its cursor any more."""
    stale = claimed(engine)
    epoch = claimed(engine)
    before = everything(engine)
    with pytest.raises(CursorConflictError):
        engine.ingest(FIRST, account="wkA", cursor=CursorMove(expected="", epoch=stale))
    assert before == everything(engine)
    engine.ingest(FIRST, account="wkA", cursor=CursorMove(expected="", epoch=epoch))
    assert "c1" == cursor_of(engine)[0]


def test_refused_page_moves_nothing(engine: Engine) -> None:
    """A page that WeCom refused is reported; cursor and log stay."""
    epoch = claimed(engine)
    before = everything(engine)
    refused = {"errcode": 95007, "errmsg": "invalid msgtoken", "next_cursor": "c1"}
    report = engine.ingest(refused, account="wkA", cursor=CursorMove(expected="", epoch=epoch))
    assert (1, 0) == (report.rejected, report.entries)
    assert before == everything(engine)


def test_same_pages_again_change_nothing(fresh: Fresh) -> None:
    """Reading the same three days again, in other pages, adds pulls and changes no other row of any table."""
    chance = random.Random(11)
    for seed in range(8):
        elements = pages_of(seeded(random.Random(seed), 60, ASIDE + STRANGE))
        with fresh("again") as (engine, clock):
            for at in range(0, len(elements), 9):
                clock.advance(3)
                engine.ingest(page(elements[at : at + 9]), account="wkA")
            before = everything(engine)
            for _ in range(3):
                clock.advance(1_000)
                chance.shuffle(elements)
                cut = chance.randrange(len(elements))
                for part in (elements[:cut], elements[cut:]):
                    report = engine.ingest(page(part), account="wkA")
                    assert (len(part), 0, len(part)) == (report.entries, report.appended, report.duplicates)
                    assert (0, 0, 0, 0) == (report.conflicts, report.unknown, report.late, report.rejected)
            after = everything(engine)
            del before["kf_pull"], after["kf_pull"]
            assert before == after


def test_one_page_that_repeats_itself(engine: Engine) -> None:
    """An entry that stands twice in one page is stored once."""
    said = customer_message("wkA", "wm1", NOW)
    report = engine.ingest(page([said, said, customer_message("wkA", "wm1", NOW + 1), said]))
    assert (4, 2, 2) == (report.entries, report.appended, report.duplicates)


def test_two_engines_take_turns(url: str, clock: FrozenClock) -> None:
    """Two engines on one file that write in turn, each from what it read before, keep one gapless, equal log."""
    with Engine(url, clock=clock) as one, Engine(url, clock=clock) as other:
        for number in range(12):
            engine = (one, other)[number % 2]
            engine.ingest(page([customer_message("wkA", f"wm{number % 3}", NOW + number)]))
        assert 0 == one.behind() == other.behind()
        assert 0 == other.check().different
        assert list(range(1, 14)) == [row[0] for row in rows(one, "SELECT position FROM kf_entry ORDER BY position")]
        assert dump(one) == dump(other)
        assert None is one.verify().damage
