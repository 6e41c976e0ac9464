"""``kill -9`` before every single statement: nothing acknowledged is lost, nothing is there twice, all agrees."""

import itertools
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from kfstate.engine import Engine
from kfstate.testing import page
from tests.adversarial.processes import Child, beside
from tests.adversarial.stories import HANDLED, LEASE, append, handling, tell
from tests.adversarial.writers import KF, message
from tests.engine.tables import dump, rows

__all__: list[str] = []

pytestmark = [pytest.mark.slow, pytest.mark.databases("sqlite", "pg18", "mariadb")]

OF_STORY = (
    "SELECT e.version, e.kind, e.position FROM kf_entry e JOIN kf_stream s ON s.id = e.stream "
    "JOIN kf_name n ON n.id = s.customer WHERE n.value = ? ORDER BY e.version"
)
WHOLE = ["customer_message", "session_status_change", "own_action", "correction"]
BACKLOG = 2
"""Entries that a subscription finds when it is started: a batch."""
ACKNOWLEDGED = {"page": 2, "own": 3, "late": 4}
"""How many entries of the first conversation are there once this was said."""


def killed(url: str, story: str, step: int = 1) -> Iterator[tuple[int, Child]]:
    """Tell a story to a database again and again, killed one statement later each time, until it comes to its end."""
    for number in itertools.count(1, step):
        with beside(tell, url, story, number, number) as child:
            code = child.end()
            yield number, child
            if code == 0:
                assert child.said[-1] < number
                return
            assert -signal.SIGKILL == code


def gapless(engine: Engine) -> bool:
    """Tell whether positions have no hole."""
    ((count, last),) = rows(engine, "SELECT COUNT(*), MAX(position) FROM kf_entry")
    return bool(count == last)


def test_writer(url: str) -> None:
    """Killed in claim, append, projection or commit, a writer leaves what it acknowledged, and can do it all again."""
    with Engine(url) as engine:
        for number, child in killed(url, "append"):
            first = rows(engine, OF_STORY, f"wm{10 * number}")
            assert WHOLE[: len(first)] == [kind for _, kind, _ in first]
            assert len(first) in {0, 2, 3, 4}
            assert len(first) >= max((ACKNOWLEDGED[what] for what in child.said if what in ACKNOWLEDGED), default=0)
            assert 0 == engine.behind()
            append(engine, lambda _: None, number)
            again = rows(engine, OF_STORY, f"wm{10 * number}")
            assert first == again[: len(first)]
            assert list(enumerate(WHOLE, 1)) == [(version, kind) for version, kind, _ in again]
            assert 1 == len(rows(engine, OF_STORY, f"wm{10 * number + 1}"))
            assert gapless(engine)
            found = engine.cursor(KF)
            assert found is not None
            assert str(number) == found.cursor
        assert number > 30
        assert (None, 0) == (engine.verify().damage, engine.check().different)
        assert number * 5 + 1 == engine.position()


def test_subscription(url: str) -> None:
    """Killed at any statement, the next runner goes on: each entry is handled once, in order."""
    with Engine(url) as engine:
        with engine._writing() as conn:
            HANDLED.create(conn)
        for number, _child in killed(url, "follow"):
            done = [position for (position,) in rows(engine, "SELECT position FROM handled")]
            assert list(range(1, len(done) + 1)) == sorted(done)
            assert len(done) == max((found.position for found in engine.subscriptions()), default=0)
            backlog = engine.position() - len(done)
            more = [message(f"{number}-{place}") for place in range(BACKLOG - backlog)]
            engine.ingest(page(more), account=KF)
        assert number > 30
        engine.subscribe("s", handling("last"), lease=LEASE, poll=0.02).run(until_idle=True)
        expected = [(at,) for at in range(1, engine.position() + 1)]
        assert expected == sorted(rows(engine, "SELECT position FROM handled"))
        assert None is engine.verify().damage


def test_build_and_switch(url: str) -> None:
    """Killed while it builds, switches or goes back, what is asked is always answered from a whole build."""
    with Engine(url) as engine:
        for number in range(5):
            append(engine, lambda _: None, number)
        expected = told(engine)
        for at, _child in killed(url, "build", step=9):
            assert at > 0
            assert expected == told(engine)
        assert {"live": 1, "ready": 1} == statuses(engine) | {"ready": 1}  # killed at its very end, it is built twice
        for at, child in killed(url, "switch"):
            assert expected == told(engine)
            assert 0 == engine.behind()
            (live,) = (build.version for build in engine.projections.list("shipped") if build.status == "live")
            assert live == 1 or at > 5
            assert "back" not in child.said or live == 1
            if live > 1:
                engine.projections.back()
        append(engine, lambda _: None, 99)
        for build in engine.projections.list("shipped"):
            assert build.status == "live" or 0 == engine.projections.diff(version=build.version).different
        assert (None, 0) == (engine.verify().damage, engine.check().different)


def statuses(engine: Engine) -> dict[str, int]:
    """Return how many builds of the shipped projections have which status."""
    return dict(Counter(build.status for build in engine.projections.list("shipped")))


def told(engine: Engine) -> object:
    """Return what the projections say."""
    return list(engine.conversations()), list(engine.sessions()), dump(engine, ["kf_log_head"])
