"""Text that a database cannot hold, or not look for: the page comes in without it, and questions find nothing."""

import json

import pytest

from kfstate.engine import Engine
from kfstate.errors import (
    ArgumentError,
    UnknownConversationError,
    UnknownDeadLetterError,
    UnknownSubscriptionError,
)
from kfstate.intake import CursorMove
from kfstate.service_state import KfServiceState
from kfstate.testing import customer_message, page
from tests.engine.tables import rows
from tests.engine.worlds import NOW

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite", "pg18", "mariadb")

BAD = {"NUL": "a\0b", "half a surrogate pair": "\ud800", "too long": "x" * 5000, "not ASCII": "客户"}
BAD_IDS = pytest.mark.parametrize("bad", list(BAD.values()), ids=list(BAD))


def hello(at: int) -> dict[str, object]:
    """Return a message of its own msgid."""
    return customer_message("wkA", "wm1", NOW + at, msgid=f"m{at}")


@BAD_IDS
def test_a_cursor_that_cannot_be_kept(engine: Engine, bad: str) -> None:
    """A page with a next_cursor that cannot be kept comes in; its cursor stays where it was, and the report says so."""
    claimed = engine.claim("wkA")
    engine.ingest(
        page([hello(1)], next_cursor="c1"), account="wkA", cursor=CursorMove(expected="", epoch=claimed.epoch)
    )
    move = CursorMove(expected="c1", epoch=claimed.epoch)
    raw = json.dumps(page([hello(2), hello(3)], next_cursor=bad))
    report = engine.ingest(raw, account="wkA", cursor=move)
    assert (2, 2, 0) == (report.entries, report.appended, report.rejected)
    assert ["line 1: $.next_cursor"] == [problem.path for problem in report.problems]
    assert (after := engine.cursor("wkA")) is not None
    assert "c1" == after.cursor
    assert [("", "c1"), ("c1", "")] == rows(engine, "SELECT cursor_before, cursor_after FROM kf_pull ORDER BY id")


def test_the_longest_cursor(engine: Engine) -> None:
    """A next_cursor of 256 printable ASCII characters is kept, and one of 257 is not."""
    for at, length in enumerate((256, 257)):
        engine.ingest(page([hello(at)], next_cursor="c" * length))
    assert [("c" * 256,), ("",)] == rows(engine, "SELECT cursor_after FROM kf_pull ORDER BY id")


@BAD_IDS
def test_an_account_that_is_no_id(engine: Engine, bad: str) -> None:
    """A page that was pulled under an account that can be none comes in without it, and the report says so."""
    report = engine.ingest(page([hello(1)]), account=bad)
    assert (1, 1, 0) == (report.entries, report.appended, report.rejected)
    assert 1 == len(report.problems)
    assert [("",)] == rows(engine, "SELECT open_kfid FROM kf_pull")


@BAD_IDS
def test_what_can_be_no_id_is_unknown(engine: Engine, bad: str) -> None:
    """Questions about an id that can be none find nothing, as about one that the log does not know."""
    engine.ingest(page([hello(1)]))
    for ids in ((bad, "wm1"), ("wkA", bad)):
        for ask in (engine.state, engine.history, engine.explain):
            with pytest.raises(UnknownConversationError):
                ask(*ids)
        assert engine.may(*ids, KfServiceState.QUEUE) == engine.may("wkA", "unknown", KfServiceState.QUEUE)
        assert [] == list(engine.sessions(open_kfid=ids[0], external_userid=ids[1]))
        assert [] == list(engine.anomalies(open_kfid=ids[0], external_userid=ids[1]))
        assert [] == list(engine.fates(open_kfid=ids[0], external_userid=ids[1]))
        assert [] == list(engine.codes(open_kfid=ids[0], external_userid=ids[1]))
    assert engine.cursor(bad) is None
    assert [] == [*engine.conversations(account=bad), *engine.conversations(servicer=bad)]
    assert {0} == set(engine.counts(account=bad).values())
    assert [] == [*engine.queue(bad), *engine.load(bad)]


@BAD_IDS
def test_what_can_be_no_id_is_not_stored(engine: Engine, bad: str) -> None:
    """An id that can be none is refused where it would be stored, or where a list is to go on from it."""
    with pytest.raises(ArgumentError):
        engine.claim(bad)
    with pytest.raises(ArgumentError):
        list(engine.conversations(after=(bad, "wkA")))
    with pytest.raises(ArgumentError):
        list(engine.sessions(after=("wm1", bad, 1)))


@pytest.mark.parametrize("bad", ["", "a\0b", "\ud800", "x" * 65, "客" * 22])
def test_what_can_be_no_name(engine: Engine, bad: str) -> None:
    """What can be no name of a subscription is refused as a new one, and unknown otherwise."""
    with pytest.raises(ArgumentError):
        engine.subscribe(bad, print)
    with pytest.raises(UnknownSubscriptionError):
        engine.unsubscribe(bad)
    with pytest.raises(UnknownDeadLetterError):
        engine.requeue(f"{bad}:1")
    assert [] == list(engine.dead_letters(bad))
