"""Replaying the stored log: the same states as the projections hold, without writing anything."""

import json

import attrs
import pytest

from kfstate import Engine
from kfstate.machine.fold import fold
from kfstate.machine.state import SessionState, pack
from kfstate.projections.replaying import states
from kfstate.store.read import stream_entries
from kfstate.testing.clock import FrozenClock
from kfstate.testing.simulation import START, pages

__all__: list[str] = []

FIELDS = ", ".join(field.name for field in attrs.fields(SessionState))


def filled(*, shuffled: bool) -> Engine:
    """Return an engine with a simulated log."""
    engine = Engine("sqlite://", clock=FrozenClock.at(START + 400 * 86_400))
    lines = (json.dumps(page).encode() for page in pages(11, 80, shuffled=shuffled, page_size=50, window=500))
    engine.ingest(lines)
    return engine


@pytest.mark.parametrize("batch", [7, 10_000])
@pytest.mark.parametrize("shuffled", [False, True], ids=["ordered", "shuffled"])
def test_states_are_those_of_the_projection(*, shuffled: bool, batch: int) -> None:
    """A replay gives every conversation, each in the state that kf_conversation has, whatever the size of a batch."""
    with filled(shuffled=shuffled) as engine, engine._reading() as conn:
        found = conn.exec_driver_sql(f"SELECT stream, {FIELDS} FROM kf_conversation").fetchall()
        projected = {row[0]: tuple(row[1:]) for row in found}
        assert projected == {stream: pack(state) for stream, state in states(conn, batch=batch)}


def test_states_until_a_position() -> None:
    """A replay until a position gives every conversation that the log knows then, as the full fold gives it."""
    with filled(shuffled=True) as engine, engine._reading() as conn:
        middle = conn.exec_driver_sql("SELECT MAX(position) / 2 FROM kf_entry").scalar_one()
        known = conn.exec_driver_sql(
            "SELECT DISTINCT e.stream FROM kf_entry e JOIN kf_stream s ON s.id = e.stream "
            f"WHERE s.kind = 'conversation' AND e.position <= {middle}"
        ).scalars()
        folded = {stream: fold(stream_entries(conn, stream, until=middle))[-1].state for stream in known}
        assert folded == dict(states(conn, until=middle, batch=100))
