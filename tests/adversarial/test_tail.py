"""A reader with a cursor of its own beside many writers: it sees what was committed, all of it, once, in order."""

import contextlib
import random
from pathlib import Path

import pytest

from kfstate.engine import Engine
from tests.adversarial.processes import Child, beside
from tests.adversarial.tailing import seen, tail
from tests.adversarial.writers import crowd, pages

__all__: list[str] = []

PROCESSES, THREADS, PAGES, KILLS = 3, 4, 12, 6
ENTRIES = 1 + PROCESSES * THREADS * sum(len(names) for names, _ in pages("", PAGES))
"""With the entry of the machine."""


@pytest.mark.slow
def test_seen_is_committed(url: str, tmp_path: Path) -> None:
    """Killed and started again from its cursor, a tail sees what 12 writers in 3 processes commit, in its order."""
    file, chance = tmp_path / "cursor.db", random.Random(1)
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(beside(crowd, url, f"p{one}-", THREADS, PAGES)) for one in range(PROCESSES)]
        for _ in range(KILLS):
            with beside(tail, url, str(file), ENTRIES) as reader:
                _kill_after(reader, chance.randrange(5, 40))
        with beside(tail, url, str(file), ENTRIES) as reader:
            assert 0 == reader.end()
        assert [0] * PROCESSES == [writer.end() for writer in writers]
        acknowledged = [name for writer in writers for names in writer.said for name in names]
    with Engine(url) as engine:
        committed = [(entry.position, entry.chain) for entry in engine.read_all()]
        assert None is engine.verify().damage
    assert ENTRIES - 1 == len(set(acknowledged)) == len(acknowledged)
    assert list(range(1, ENTRIES + 1)) == [position for position, _ in committed]
    assert committed == seen(file)


def _kill_after(reader: Child, count: int) -> None:
    """Kill a reader after it said some things, or leave it where it came to its end before."""
    with contextlib.suppress(EOFError):
        for _ in range(count):
            reader.hear()
        reader.kill()
