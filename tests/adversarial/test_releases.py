"""Processes that know different things about the same log: a projection, a machine, a build that is under way."""

import contextlib
import hashlib
import threading
from collections import Counter

import pytest

from kfstate.engine import Engine
from kfstate.machine import MACHINE
from kfstate.projections import builds
from kfstate.projections.tables import TABLES
from kfstate.store.dialect import query
from tests.adversarial.beside import OTHER, Sizes, other_crowd, other_rebuild
from tests.adversarial.processes import beside
from tests.adversarial.writers import crowd, pages
from tests.engine.tables import rows

__all__: list[str] = []

pytestmark = pytest.mark.slow

ENTRIES = 2 * sum(len(names) for names, _ in pages("", 8))
"""What a crowd of 2 threads with 8 pages each appends."""


def ingest(engine: Engine, name: str) -> None:
    """Append some pages here."""
    for _, one in pages(name, 8):
        engine.ingest(one, account="wkA")


def test_a_projection_that_others_do_not_know(url: str) -> None:
    """A projection registered here has every entry once, also those of processes that never heard of it."""
    with Engine(url, projections=[Sizes()]) as engine:
        with beside(crowd, url, "there", 2, 8) as other:
            ingest(engine, "here")
            assert 0 == other.end()
        engine.projections.run("sizes")
        expected = Counter(entry.external_userid or "-" for entry in engine.read_all())
        assert dict(expected) == dict(rows(engine, "SELECT who, n FROM sizes"))
        assert ["live"] == [build.status for build in engine.projections.list("sizes")]
        assert (None, 0, 0) == (engine.verify().damage, engine.behind(), engine.check().different)


def test_two_machines_at_once(url: str) -> None:
    """Two releases with two machines write to one log: no rows are mixed, nothing lacks once each has caught up."""
    with Engine(url) as engine:
        with beside(other_crowd, url, "other", 2, 8) as other, beside(crowd, url, "same", 2, 8) as same:
            ingest(engine, "here")
            assert [0, 0] == [other.end(), same.end()]
        assert 1 < len({ref for (ref,) in rows(engine, "SELECT ref FROM kf_entry WHERE kind = 'machine_activated'")})
    with Engine(url) as engine:  # whoever is opened again activates its machine, and catches up
        assert (0, 1) == (steps(engine, 1, OTHER)[0], len(engine.projections.list("shipped")))
        assert [(MACHINE.fingerprint,)] == rows(engine, "SELECT fingerprint FROM kf_projection WHERE status = 'live'")
        position = engine.position()
        assert position >= 2 * ENTRIES + ENTRIES // 2
        assert list(range(1, position + 1)) == [entry.position for entry in engine.read_all()]
        assert (None, 0, 0) == (engine.verify().damage, engine.behind(), engine.check().different)


def test_each_release_keeps_its_own_build(url: str) -> None:
    """Where the other release's build is live, ours is kept at the head beside it: neither writes to the other's."""
    with Engine(url) as engine:
        ingest(engine, "before")
        with beside(other_rebuild, url) as other:
            assert 0 == other.end()
        assert [(1, "kept"), (2, "live")] == [(one.version, one.status) for one in engine.projections.list("shipped")]
        with beside(other_crowd, url, "other", 2, 8) as other, beside(crowd, url, "same", 2, 8) as same:
            ingest(engine, "here")
            assert [0, 0] == [other.end(), same.end()]
        assert None is engine.behind()
        theirs, all_of_theirs = steps(engine, 2, OTHER)
        assert 0 < theirs == all_of_theirs
        assert 0 == steps(engine, 1, OTHER)[0]
        engine.projections.back()
        assert 2 * ENTRIES + 2 * (ENTRIES // 2) == steps(engine, 1, OTHER)[1]
        assert (None, 0, 0) == (engine.verify().damage, engine.behind(), engine.check().different)


def steps(engine: Engine, version: int, prefix: str) -> tuple[int, int]:
    """Return how many entries have a transition in a build with this in front of its name, and how many have any."""
    with engine._reading() as conn, builds.of_build(conn, version):
        ((count,),) = query(conn, f"SELECT COUNT(DISTINCT position) FROM kf_step WHERE transition LIKE '{prefix}%'")
        ((every,),) = query(conn, "SELECT COUNT(DISTINCT position) FROM kf_step")
        return int(count), int(every)


def hashes(engine: Engine) -> dict[str, str]:
    """Return table → hash of every row of the live build."""
    found = {}
    with engine._reading() as conn:
        for table in TABLES:
            keys = ", ".join(column.name for column in table.primary_key)
            data = query(conn, f"SELECT * FROM {table.name} ORDER BY {keys}")
            found[table.name] = hashlib.sha256(repr(data).encode()).hexdigest()
    return found


def test_build_beside_writers_cancelled_and_resumed(url: str) -> None:
    """Built beside processes that write, cancelled, gone on with and switched to, it equals a cold replay."""
    stop = threading.Event()

    def cancel(_view: object) -> None:
        stop.set()
        engine.projections.cancel()

    with Engine(url) as engine, contextlib.ExitStack() as stack:
        ingest(engine, "before")
        writers = [stack.enter_context(beside(crowd, url, f"p{one}-", 2, 8)) for one in range(2)]
        first = engine.projections.build(stop=stop, progress=cancel)
        assert first.status in {"cancelled", "ready"}
        second = engine.projections.build()
        assert "ready" == second.status
        engine.projections.switch()
        assert [0, 0] == [writer.end() for writer in writers]
        assert 0 == engine.behind()
        warm = hashes(engine)
        cold = engine.projections.build()
        assert cold.version > second.version
        difference = engine.projections.diff(version=cold.version)
        assert (0, {}) == (difference.different, difference.tables)
        engine.projections.switch()
        assert warm == hashes(engine)
        assert None is engine.verify().damage
