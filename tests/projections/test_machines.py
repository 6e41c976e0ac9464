"""Two releases with two machines beside each other: each keeps a build of its own, and rows never mix."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from kfstate.engine import Engine
from kfstate.errors import ProjectionError
from kfstate.machine import MACHINE
from kfstate.projections import folding, live, refolding
from kfstate.testing import FrozenClock
from tests.engine.worlds import ASIDE, OURS, REWRITING, STRANGE, play, seeded
from tests.projections.test_builds import hashes, statuses

__all__: list[str] = []

WORDS = ASIDE + OURS + REWRITING + STRANGE
As = Callable[[], AbstractContextManager[None]]


class _Other:
    """The machine of another release: it folds the same, under another fingerprint."""

    fingerprint = "f" * 64
    spec = MACHINE.spec


@pytest.fixture
def other_release(monkeypatch: pytest.MonkeyPatch) -> As:
    """Let a block be run by the other release."""

    @contextmanager
    def running() -> Iterator[None]:
        with monkeypatch.context() as patch:
            for module in (live, folding, refolding):
                patch.setattr(module, "MACHINE", _Other)
            yield

    return running


def talk(engine: Engine, clock: FrozenClock, seed: int) -> None:
    """Let things happen."""
    play(engine, clock, seeded(random.Random(seed), 20, WORDS))


def positions(engine: Engine) -> dict[int, tuple[str, int]]:
    """Return version → whose it is, and how far it lags."""
    with engine._reading():
        views = engine.projections.list("shipped")
    return {view.version: ("other" if view.fingerprint == _Other.fingerprint else "ours", view.lag) for view in views}


def test_releases_beside_each_other(url: str, clock: FrozenClock, other_release: As) -> None:
    """Each release writes its own build only, catches up what the other appended, and both end with all rows."""
    with Engine(url, clock=clock) as engine:
        talk(engine, clock, 1)
        with other_release():
            newer = Engine(url, clock=clock)
        with newer:
            with other_release():
                assert None is newer.behind()
                before = hashes(engine, 1)
                talk(newer, clock, 2)
                assert before == hashes(engine, 1)
                newer.projections.build()
                talk(newer, clock, 3)
                assert ("other", 0) == positions(newer)[2]
                assert before == hashes(engine, 1)
            kept = hashes(engine, 2)
            talk(engine, clock, 4)
            assert (0, kept) == (engine.behind(), hashes(engine, 2))
            with other_release():
                talk(newer, clock, 5)
                newer.projections.switch()
                assert 0 == newer.behind()
            assert {1: "kept", 2: "live"} == statuses(engine)
            assert None is engine.behind()
            talk(engine, clock, 6)
            assert ("ours", 0) == positions(engine)[1]
            assert positions(engine)[2][1] > 0
            with pytest.raises(ProjectionError, match="other code"):
                engine.projections.run("shipped")
            with other_release():
                talk(newer, clock, 7)
                assert 0 == newer.behind()
            talk(engine, clock, 8)
            with other_release():
                newer.projections.run("shipped")
            assert {0} == {lag for _, lag in positions(engine).values()}
            assert hashes(engine, 1) == hashes(engine, 2)


def test_way_back_to_the_older_release(url: str, clock: FrozenClock, other_release: As) -> None:
    """What the newer release made live, the older one takes back: its own build is caught up and read again."""
    with Engine(url, clock=clock) as engine:
        talk(engine, clock, 1)
        with other_release(), Engine(url, clock=clock) as newer:
            assert newer.projections.rebuild().switched
            talk(newer, clock, 2)
            with pytest.raises(ProjectionError, match="other code"):
                newer.projections.back()
        assert None is engine.behind()
        engine.projections.back()
        assert (0, {1: "live", 2: "ready"}) == (engine.behind(), statuses(engine))
        assert 0 == engine.check().different
