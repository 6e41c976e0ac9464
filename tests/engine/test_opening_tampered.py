"""A log that was changed behind the triggers' back opens: else nobody could verify it."""

import pytest

from kfstate.engine import Engine
from kfstate.errors import CorruptLogError, LockTimeoutError
from kfstate.projections import live
from kfstate.testing import FrozenClock, customer_message, page
from tests.engine.story import KF, USER, Teller, said
from tests.engine.tables import dump
from tests.engine.worlds import NOW
from tests.store.behind import change, unguarded

__all__: list[str] = []

_NEXT = {
    "an entry of no stream": "stream = 999",
    "an entry of the wrong type": "sort_second = 'x'",
    "an entry that nobody can read": "kind = CAST(x'ff' AS TEXT)",
    "an entry after a gap": "position = 9000000000000",
}


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("changed", _NEXT.values(), ids=_NEXT)
def test_a_forged_tail(
    tell: Teller, url: str, clock: FrozenClock, caplog: pytest.LogCaptureFixture, changed: str
) -> None:
    """A log that cannot be folded opens, with its projections behind: else nobody could verify it."""
    tell(said(0))
    before = dump(tell.engine)
    with tell.engine._writing() as conn, unguarded(conn):
        change(conn, "CREATE TEMP TABLE forged AS SELECT * FROM kf_entry WHERE position = 2")
        change(conn, "UPDATE forged SET position = 3, version = version + 1")
        change(conn, f"UPDATE forged SET {changed}")
        change(conn, "INSERT INTO kf_entry SELECT * FROM forged")
    with Engine(url, clock=clock) as engine:
        assert ("the log cannot be folded" in caplog.text, "verify, then rebuild" in caplog.text) == (True, True)
        assert 3 == getattr(engine.verify().damage, "position", None)
        assert (before, engine.position() - 2) == (dump(engine), engine.behind())
        if "stream" in changed:
            with pytest.raises(CorruptLogError, match="stream 999 is missing"):
                engine.ingest(page([customer_message(KF, USER, NOW + 9)]))


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE kf_projection SET position = 'x'",
        "UPDATE kf_projection SET chain = 'x'",
        "UPDATE kf_entry SET chain = 'x' WHERE position = 2",
    ],
)
def test_text_beside_the_projections(
    tell: Teller, url: str, clock: FrozenClock, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    """Where nobody can say how far the projections got, the log opens, and nothing is folded onto them."""
    tell(said(0))
    with tell.engine._writing() as conn, unguarded(conn):
        change(conn, statement)
    with Engine(url, clock=clock) as engine:
        assert "the log ends before its projections" in caplog.text
        assert (True, 2) == ((engine.behind() or 0) < 0, engine.position())
        engine.verify()
        if "kf_projection" in statement:
            assert 2 == engine.rebuild()
            assert (0, 0) == (engine.behind(), engine.check().different)


def test_other_errors_end_an_opening(url: str, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cannot have the log now may have it later: nothing is left behind for that."""

    def locked(_conn: object) -> int:
        raise LockTimeoutError(waited=1.0, blocker="somebody")

    with Engine(url, clock=clock):
        pass
    monkeypatch.setattr(live, "behind", lambda _conn: 1)
    monkeypatch.setattr(live, "catch_up", locked)
    with pytest.raises(LockTimeoutError):
        Engine(url, clock=clock)
