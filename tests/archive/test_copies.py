"""A copy that is kept up to date by imports: it forgets what its source forgot, and holds what is held there."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from kfstate.archive.face import import_log
from kfstate.audit.people.holding import Hold
from kfstate.engine import Engine
from kfstate.testing import FrozenClock, customer_message, page
from tests.archive.world import dump, sqlite

__all__: list[str] = []

START = 1_767_225_600
Keep = Callable[[Engine], int]
"""Brings the copy up to date, and returns how many payloads of it went."""


@pytest.fixture
def clock() -> FrozenClock:
    """A clock."""
    return FrozenClock.at(START + 3_600)


@pytest.fixture
def engine(tmp_path: Path, clock: FrozenClock) -> Engine:
    """Two customers who wrote; one of them, and nobody, names the other."""
    made = Engine(sqlite(tmp_path / "source.db"), clock=clock)
    written = [("wm1", "call me"), ("wm2", "wm1 owes me money"), ("wm1", "bye"), ("wm2", "good day")]
    made.ingest(page([customer_message("wk1", who, START, content=said) for who, said in written]))
    return made


@pytest.fixture(params=["parquet", "ndjson"])
def keep(request: pytest.FixtureRequest, tmp_path: Path, copy: str) -> Keep:
    """Both ways to bring it there."""

    def parquet(engine: Engine) -> int:
        engine.archive.export(tmp_path / "archive")
        return import_log(copy, tmp_path / "archive").cleared

    def ndjson(engine: Engine) -> int:
        with (tmp_path / "log.ndjson").open("wb") as file:
            engine.archive.write(file)
        return import_log(copy, tmp_path / "log.ndjson").cleared

    return {"parquet": parquet, "ndjson": ndjson}[request.param]


@pytest.fixture
def copy(tmp_path: Path) -> str:
    """Where the copy is."""
    return sqlite(tmp_path / "copy.db")


def held(engine: Engine) -> list[Hold]:
    """Return the holds, without when they began and were released: a receipt may be recorded a little later."""
    return [attrs.evolve(hold, placed_at=None, released_at=None) for hold in engine.audit.holds()]


def test_it_forgets(engine: Engine, copy: str, keep: Keep, tmp_path: Path, clock: FrozenClock) -> None:
    """Names, payloads and digests go with the next import; what is cleared already is not counted again."""
    assert 0 == keep(engine)
    with Engine(copy, clock=clock) as other:
        assert {"wm1", "wm2"} == {view.external_userid for view in other.conversations()}
    engine.audit.erase("wm1", actor="desk", basis="PIPL 47")
    assert (2, 0) == (keep(engine), keep(engine))
    assert dump(sqlite(tmp_path / "source.db")) == dump(copy)
    with Engine(copy, clock=clock) as other:
        assert [None, "wm2"] == sorted((view.external_userid for view in other.conversations()), key=str)
        assert other.verify().damage is None
    clock.advance(200 * 86_400)
    engine.audit.retain(timedelta(days=180), actor="cron", basis="schedule")
    assert 2 == keep(engine)
    assert dump(sqlite(tmp_path / "source.db")) == dump(copy)


def test_it_holds(engine: Engine, copy: str, keep: Keep, clock: FrozenClock) -> None:
    """Holds come with their receipts; what a hold keeps in the source is sealed in the copy, too."""
    keep(engine)
    hold = engine.audit.hold("wm1", until=None, actor="legal", basis="court").hold
    other_hold = engine.audit.hold(None, until=None, actor="legal", basis="art. 31", request_id="R-2").hold
    assert hold is not None
    assert other_hold is not None
    keep(engine)
    with Engine(copy, clock=clock) as other:
        assert held(engine) == held(other)
    engine.audit.release(other_hold, actor="legal", basis="over")
    engine.audit.erase("wm1", actor="desk", basis="PIPL 47")
    assert 2 == keep(engine)
    with Engine(copy, clock=clock) as other:
        assert held(engine) == held(other)
        ours = engine.audit.sealed(hold, actor="legal", basis="court order")
        assert [(one.kind, one.body, one.proven) for one in ours] == [
            (one.kind, one.body, one.proven) for one in other.audit.sealed(hold, actor="legal", basis="court order")
        ]
        assert len(ours) == 3


def test_a_hold_that_ends_by_itself(engine: Engine, copy: str, keep: Keep, clock: FrozenClock) -> None:
    """Its end comes with the receipt."""
    until = datetime.fromtimestamp(clock.now() / 1_000_000, UTC) + timedelta(days=1)
    engine.audit.hold("wm1", until=until, actor="legal", basis="art. 31")
    keep(engine)
    with Engine(copy, clock=clock) as other:
        assert [True] == [hold.in_force for hold in other.audit.holds()]
        assert held(engine) == held(other)
        clock.advance(2 * 86_400)
        assert [False] == [hold.in_force for hold in other.audit.holds()]
