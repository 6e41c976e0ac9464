"""The queries of the page about SQL run, and say what the engine says."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kfstate import Engine, KfServiceState
from kfstate.samples import paths
from kfstate.testing import FrozenClock, Profile, simulate
from tests.docs.blocks import ROOT, blocks

__all__: list[str] = []

PAGE = "docs/how-to/sql.md"
NOW = 1_741_140_600
"""Just after the samples end; the simulated world is in full swing then."""
VALUES = {
    "now": NOW,
    "open_kfid": "wkSAMPLE0000000000000000000SHOP1",
    "external_userid": "wmSAMPLE0000000000000HeXiansheng",
    "after": 0,
}
NOTHING = {"Messages that did not arrive"}


def queries() -> dict[str, str]:
    """Return heading → query."""
    lines = (ROOT / PAGE).read_text(encoding="utf-8").splitlines()
    return {
        next(line for line in reversed(lines[: block.line]) if line.startswith("## "))[3:]: block.text
        for block in blocks(PAGE)
        if block.language == "sql"
    }


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Give an engine that has the samples and a simulated world."""
    file = tmp_path_factory.mktemp("sql") / "shop.db"
    with Engine(f"sqlite:///{file}", clock=FrozenClock.at(NOW)) as opened:
        opened.ingest(paths())
        opened.ingest(list(simulate("sql", 150, profile=Profile(start=NOW - 2 * 86_400, per_hour=10.0))))
        yield opened


def ask(engine: Engine, heading: str) -> list[tuple[Any, ...]]:
    """Run the query below a heading, on a connection that cannot write."""
    file = Path(engine.url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return connection.execute(queries()[heading], VALUES).fetchall()


@pytest.mark.parametrize("heading", sorted(queries()))
def test_queries_run(engine: Engine, heading: str) -> None:
    """Every query runs, and finds something."""
    assert ask(engine, heading) or heading in NOTHING


def test_states(engine: Engine) -> None:
    """The counts per state are the engine's."""
    assert {int(state): count for state, count in engine.counts().items() if count} == dict(
        ask(engine, "How many conversations are in each state")
    )


def test_one_conversation(engine: Engine) -> None:
    """One conversation is as the engine shows it."""
    view = engine.state(VALUES["open_kfid"], VALUES["external_userid"])  # type: ignore[arg-type]
    ((state, servicer, _, evidence, doubt),) = ask(engine, "One conversation")
    assert (view.service_state, view.servicer_userid, view.evidence, view.doubt) == (state, servicer, evidence, doubt)


def test_queue(engine: Engine) -> None:
    """Who waits is the engine's queue."""
    waiting = [(view.open_kfid, view.external_userid, view.waiting_seconds) for view in engine.queue()]
    assert waiting
    assert sorted(waiting) == sorted(ask(engine, "Who waits, longest first"))


def test_load(engine: Engine) -> None:
    """What servicers carry is the engine's load."""
    load = [(view.open_kfid, view.servicer_userid, view.open_sessions) for view in engine.load()]
    assert load == [(row[0], row[1], row[3]) for row in ask(engine, "What each servicer carries")]


def test_sessions(engine: Engine) -> None:
    """The sessions of all days are all sessions."""
    found = list(engine.sessions(as_of_log=True))
    rows = ask(engine, "Sessions of a day, with their waits")
    assert (len(found), sum(view.taken_at is not None for view in found)) == (
        sum(row[1] for row in rows),
        sum(row[2] for row in rows),
    )


def test_history(engine: Engine) -> None:
    """The history is the engine's, but for presumed ends, which are no entries."""
    steps = engine.history(VALUES["open_kfid"], VALUES["external_userid"], as_of_log=True)  # type: ignore[arg-type]
    expected = [
        (step.position, step.kind, step.outcome, step.before, step.after) for step in steps if step.position is not None
    ]
    assert expected == [
        (position, kind, outcome, KfServiceState(before).word, KfServiceState(after).word)
        for position, kind, _, outcome, before, after, _ in ask(engine, "The history of a conversation")
    ]


def test_repairs(engine: Engine) -> None:
    """The repairs are the sessions' repairs."""
    total = sum(view.repairs for view in engine.sessions(as_of_log=True))
    assert total == sum(row[2] for row in ask(engine, "Repairs, and what was missed"))
