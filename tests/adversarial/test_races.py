"""Races on one conversation: who is told of success has its rows there, and who lost is told so."""

import contextlib

from kfstate.engine import Engine
from tests.adversarial.processes import beside
from tests.adversarial.racing import entry, race
from tests.engine.tables import rows

__all__: list[str] = []

PROCESSES, THREADS, COUNT = 3, 3, 5


def test_success_is_there_and_loss_is_told(url: str) -> None:
    """Of all who expect a version exactly one gets it, with its row; the others get expected and current version."""
    with contextlib.ExitStack() as stack:
        racers = [stack.enter_context(beside(race, url, f"p{one}-", THREADS, COUNT)) for one in range(PROCESSES)]
        assert [0] * PROCESSES == [racer.end() for racer in racers]
        said = [what for racer in racers for what in racer.said]
    done = sorted(what[1:] for what in said if what[0] == "done")
    lost = [what[1:] for what in said if what[0] == "lost"]
    sql = "SELECT e.version, e.position FROM kf_entry e JOIN kf_stream s ON s.id = e.stream WHERE s.kind = ? ORDER BY 1"
    with Engine(url) as engine:
        there = rows(engine, sql, "conversation")
        keys = [engine.record(entry(key)) for _, key, _ in done]
        assert (None, 0) == (engine.verify().damage, engine.check().different)
    assert list(range(PROCESSES * THREADS * COUNT)) == [expected for expected, _, _ in done]
    assert there == [(expected + 1, position) for expected, _, position in done]
    assert [(position, True) for _, _, position in done] == [(one.position, one.duplicate) for one in keys]
    assert lost, "nobody met anybody"
    for version, expected, current in lost:
        assert str(version) == expected
        assert version != current
