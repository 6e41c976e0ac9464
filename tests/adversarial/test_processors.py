"""Many processors of one name: one of them works, and when it is killed the next one goes on where it stood."""

import contextlib

from kfstate.engine import Engine
from kfstate.testing import page
from tests.adversarial.beside import runners, stopped_runner
from tests.adversarial.processes import Child, beside, until
from tests.adversarial.stories import HANDLED, LEASE, handling
from tests.adversarial.writers import KF, message
from tests.engine.tables import rows

__all__: list[str] = []

PROCESSES, THREADS, PAGES = 2, 4, 30


def test_eight_processors(url: str) -> None:
    """Eight on one name handle each entry once, in order, also when the process of the leader is killed with -9."""
    with Engine(url, lock_timeout=60) as engine, contextlib.ExitStack() as stack:
        with engine._writing() as conn:
            HANDLED.create(conn)
        children = [stack.enter_context(beside(runners, url, f"p{one}-", THREADS)) for one in range(PROCESSES)]
        for number in range(PAGES):
            engine.ingest(page([message(f"{number}-{place}", place) for place in range(3)]), account=KF)
            if number in {PAGES // 3, 2 * PAGES // 3}:
                leader = _leader(engine, children)
                children[leader].kill()
                children[leader] = stack.enter_context(beside(runners, url, f"again{number}-", THREADS))
        last = engine.position()
        until(lambda: rows(engine, "SELECT COUNT(*) FROM handled")[0][0] >= last, patience=30)
        handled = rows(engine, "SELECT position, by_whom FROM handled ORDER BY position")
        assert list(range(1, last + 1)) == [position for position, _ in handled]
        assert 3 <= len({by for _, by in handled})
        assert last == engine.subscriptions()[0].position


def test_a_runner_that_wakes_up_too_late(url: str) -> None:
    """Who stood still while its lease ran out commits nothing of what it had read: another one has handled that."""
    with Engine(url) as engine, beside(stopped_runner, url, LEASE) as late:
        with engine._writing() as conn:
            HANDLED.create(conn)
        assert "stopped" == late.hear()
        engine.ingest(page([message(f"{place}", place) for place in range(3)]), account=KF)
        engine.subscribe("s", handling("next"), lease=LEASE, poll=0.02).run(until_idle=True)
        expected = [(position, "next") for position in range(1, 5)]
        assert expected == rows(engine, "SELECT position, by_whom FROM handled ORDER BY position")
        late.go_on()
        assert 0 == late.end()
        assert expected == rows(engine, "SELECT position, by_whom FROM handled ORDER BY position")
        assert 4 == engine.subscriptions()[0].position


def _leader(engine: Engine, children: list[Child]) -> int:
    """Wait until the one who leads now has handled something further, and return whose child it is."""
    before = engine.subscriptions()[0].position if engine.subscriptions() else 0
    engine.ingest(page([message(f"leads?-{before}")]), account=KF)
    until(lambda: bool(engine.subscriptions()) and engine.subscriptions()[0].position > before)
    last: list[int] = []
    for child in children:
        with contextlib.suppress(TimeoutError):
            while True:
                child.hear(0)
        last.append(max(child.said, default=0))
    return last.index(max(last))
