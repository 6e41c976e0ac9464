"""Builders among others: what they hold while they wait, and what a drop that broke off leaves."""

import threading
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from kfstate.engine import Engine
from kfstate.errors import ConnectionLostError, LockTimeoutError, ProjectionError
from kfstate.projections import builds, running
from kfstate.queries import conversations
from kfstate.store.dialect import query
from kfstate.testing import FrozenClock
from tests.engine.story import KF, USER, Teller, own, said
from tests.feed.words import when

__all__: list[str] = []


def left(engine: Engine) -> list[str]:
    """Return the tables of build 2 that are there."""
    with engine._reading() as conn:
        return [name for name in sa.inspect(conn).get_table_names() if name.endswith("_v2")]


@pytest.mark.databases("servers")
def test_appends_while_a_builder_waits_for_another(url: str, clock: FrozenClock) -> None:
    """Whoever goes on with a build that somebody else is busy with waits for its row, and holds up no append."""
    with Engine(url, clock=clock) as one, Engine(url, clock=clock) as two, Engine(url, lock_timeout=1.0) as writer:
        Teller(one, clock)(said(0))
        one.projections.build()
        with one._writing() as conn:
            query(conn, "UPDATE kf_projection SET status = 'building' WHERE version = 2")
        builder = threading.Thread(target=two.projections.build)
        with one._writing() as conn:
            builds.lock(conn, "shipped", 2)
            builder.start()
            assert not when(lambda: not builder.is_alive(), patience=0.5)
            writer.record(own(9, "own_action", via="recall_msg"))
        builder.join()
        assert ["live", "ready"] == [view.status for view in one.projections.list("shipped")]


def test_drop_that_broke_off(engine: Engine, tell: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its tables could not go, a build stays as one that is being dropped, and can be dropped again."""
    tell(said(0))
    engine.projections.build()

    def fail(*_of: object) -> None:
        raise LockTimeoutError(waited=1.0, blocker="")

    with monkeypatch.context() as patch:
        patch.setattr(builds, "drop_tables", fail)
        with pytest.raises(LockTimeoutError):
            engine.projections.drop("shipped", 2)
    assert [(1, "live"), (2, "dropping")] == [(view.version, view.status) for view in engine.projections.list()]
    with pytest.raises(ProjectionError, match="no other build"):
        engine.projections.diff(version=2)
    assert 3 == engine.projections.build().version
    engine.projections.drop("shipped", 2)
    assert [1, 3] == [view.version for view in engine.projections.list()]
    assert [] == left(engine)


def test_snapshot_from_before_a_drop(url: str, clock: FrozenClock) -> None:
    """Who began to read before build 1 was replaced and dropped reads on from it."""
    with Engine(url, clock=clock) as engine, Engine(url, clock=clock) as other:
        Teller(engine, clock)(said(0))
        with engine._reading() as conn:
            builds.live_names(conn, "SELECT * FROM kf_conversation")
            other.projections.build()
            other.projections.switch()
            other.projections.drop("shipped", 1)
            assert conversations.conversation(partial(query, conn), KF, USER, corp_id="", now=None) is not None
        assert "unprocessed" != engine.state(KF, USER).state


def test_following_survives_the_loss_of_its_connection(
    engine: Engine, tell: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows the log tries again where the database was away, and sees at once that it is to stop."""
    looks: list[int] = []
    lags = running._lags

    def lose(*of: Any) -> bool:
        looks.append(1)
        if len(looks) < 4:
            raise ConnectionLostError("away")
        return lags(*of)

    tell(said(0))
    monkeypatch.setattr(running, "_lags", lose)
    with pytest.raises(ConnectionLostError):
        engine.projections.run("shipped")
    stop, ended = threading.Event(), threading.Event()

    def follow() -> None:
        engine.projections.run("shipped", follow=True, stop=stop, poll=0.01)
        engine.projections.run("shipped", follow=True, stop=again, poll=3_600.0)
        ended.set()

    again = threading.Event()
    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    assert when(lambda: len(looks) > 3)
    assert not ended.is_set()
    stop.set()
    before = len(looks)
    assert when(lambda: len(looks) > before)
    again.set()
    assert ended.wait(5.0)
    follower.join()
