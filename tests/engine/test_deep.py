"""An element that nests without end is one entry like any other, all the way through."""

import json
from pathlib import Path

import pytest

from kfstate import Engine
from kfstate.queries.views import as_json
from kfstate.store.facts import draft_elements
from kfstate.testing import FrozenClock, customer_message, own_action, page
from kfstate.wire.scan import MAX_DEPTH
from tests.cli.runner import kfstate
from tests.engine.worlds import NOW

__all__: list[str] = []

FIRST, SECOND = (customer_message("wkA", f"wm{number}", NOW + number, content="你好") for number in range(2))


def deep(depth: int) -> bytes:
    """Return a message that nests so deep."""
    lists = depth - 1
    return json.dumps(FIRST | {"msgid": "deep"}).encode()[:-1] + b',"a":' + b"[" * lists + b"]" * lists + b"}"


def paged(*elements: bytes) -> bytes:
    """Return a page of elements."""
    return b'{"errcode":0,"msg_list":[' + b",".join(elements) + b"]}"


def around(monster: bytes) -> bytes:
    """Return a page with a neighbour before the monster, and one behind it."""
    return paged(json.dumps(FIRST).encode(), monster, json.dumps(SECOND).encode())


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1_500, 100_000, 2_500_000])
def test_a_monster_is_stored_whole_beside_its_neighbours(url: str, clock: FrozenClock, depth: int) -> None:
    """It is an ``unknown_message`` with its exact bytes, which everything that reads the log hands on."""
    monster = deep(depth)
    with Engine(url, clock=clock) as engine:
        for known in (0, 3):
            report = engine.ingest(around(monster))
            assert (3, 3 - known, known) == (report.entries, report.appended, report.duplicates)
        found = list(engine.read_all(after=1))
        kinds = [entry.kind for entry in found]
        assert ["customer_message", "unknown_message", "customer_message"] == kinds
        assert [monster.decode()] == [entry.payload for entry in found if entry.kind == "unknown_message"]
        assert found[1].payload == json.loads(json.dumps(as_json(found[1])))["payload"]
        assert None is engine.verify().damage
        assert engine.rebuild() == engine.position()
        assert 2 == len(list(engine.conversations()))


def test_the_command_line_reads_and_shows_a_monster(tmp_path: Path) -> None:
    """From a file into the log, and out of it as NDJSON and as a table."""
    monster = deep(100_000)
    database, file = f"sqlite:///{tmp_path}/kf.db", tmp_path / "page.json"
    for content in (around(monster), monster, b"[" + monster + b"]"):
        file.write_bytes(content)
        assert 0 == kfstate("ingest", str(file), "--db", database).code
    lines = kfstate("events", "--db", database).lines
    assert [monster.decode()] == [line["payload"] for line in lines if line["kind"] == "unknown_message"]
    assert 0 == kfstate("events", "--db", database, terminal=True).code
    assert 0 == kfstate("verify", "--db", database).code
    assert 0 == kfstate("history", "wkA", "wm0", "--db", database).code


def test_what_is_read_does_not_depend_on_the_stack() -> None:
    """The deepest element that is read is read from deep inside other calls as well, as the same entry."""
    most = deep(MAX_DEPTH)

    def called(levels: int) -> object:
        return draft_elements([most]) if levels == 0 else called(levels - 1)

    (draft,) = draft_elements([most])
    assert ("customer_message", "") == (draft.kind, draft.problem)
    assert [draft] == called(300)


def test_a_monster_in_a_mapping(engine: Engine) -> None:
    """A page that was read already brings its monster and its neighbours too."""
    monster: list[object] = []
    for _ in range(5000):
        monster = [monster]
    report = engine.ingest(page([FIRST, SECOND | {"a": monster}, SECOND]))
    assert (3, 3, 1) == (report.entries, report.appended, report.unknown)


def test_an_own_entry_is_no_deeper_than_what_is_read(engine: Engine) -> None:
    """Our own side can do better: such an entry is refused, and says so."""
    data: dict[str, object] = {}
    for _ in range(MAX_DEPTH):
        data = {"a": data}
    own = own_action("wkA", "wm0", NOW, via="recall_msg", data=data)
    report = engine.ingest(own)
    assert 1 == report.rejected
    assert report.problems[0].reason.startswith("nested deeper than 256 levels")
