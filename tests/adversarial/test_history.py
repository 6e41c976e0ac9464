"""Histories of concurrent appends and reads, given to a checker that looks for what no serial order could show."""

import contextlib
import time
from collections.abc import Sequence

from kfstate.engine import Engine
from tests.adversarial.histories import KEYS, interrupted, lists, live
from tests.adversarial.list_append import Transaction, anomalies
from tests.adversarial.processes import beside

__all__: list[str] = []

PROCESSES, THREADS, COUNT = 3, 3, 12


def test_a_serial_order_exists(url: str) -> None:
    """Pages over several conversations and reads of several lists have a serial order; a torn read has none."""
    history = _told(url)
    with Engine(url) as engine:
        history += [*interrupted(engine, 1, snapshot=True), _last(engine, 1)]
        assert [] == anomalies(history)
        assert len(history) > PROCESSES * THREADS * COUNT
        assert sum(bool(done.appended) for done in history) > 20
        history += [*interrupted(engine, 2, snapshot=False), _last(engine, 2)]
        assert any(problem.startswith("cycle") for problem in anomalies(history))


def _told(url: str) -> list[Transaction]:
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(beside(live, url, one, THREADS, COUNT)) for one in range(PROCESSES)]
        assert [0] * PROCESSES == [child.end() for child in children]
        return [done for child in children for done in child.said]


def _last(engine: Engine, number: int) -> Transaction:
    """Read every list once more, so that nothing can have been lost unseen."""
    began = time.monotonic()
    with engine._reading() as conn:
        read: dict[str, Sequence[str]] = {**lists(conn, KEYS)}
    return Transaction(id=-100 - number, began=began, ended=time.monotonic(), read=read)
