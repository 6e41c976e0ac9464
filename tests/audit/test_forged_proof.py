"""A proof says one thing only, and nothing beside it: what no hash leads to the head is refused."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from kfstate import Engine
from kfstate.audit import TreeHead, check_proof
from kfstate.audit.proofs import bundle as form
from kfstate.audit.proofs.proof import prove
from kfstate.store import read
from kfstate.store.canonical import canonical, leaf, stream_prefix
from kfstate.store.dialect import query
from kfstate.store.merkle import root_of
from kfstate.testing import FrozenClock, page
from tests.audit.test_proof import filled, proved
from tests.engine.story import own
from tests.engine.worlds import NOW

__all__: list[str] = []

NOBODY = {"salt": "00" * 16, "value": "wmVictim", "commitment": hashlib.sha256(bytes(16) + b"wmVictim").hexdigest()}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A log with conversations, and with streams of every other kind."""
    with Engine(f"sqlite:///{tmp_path_factory.mktemp('forged')}/log.db", clock=FrozenClock.at(NOW)) as engine:
        filled(engine)
        engine.record(own(95, "servicer_reading", user="", servicer_userid="wang", receiving=0))
        engine.ingest(page([{"msgid": "m"}]))
        yield engine


@pytest.fixture(scope="module")
def bundle(engine: Engine) -> tuple[TreeHead, str]:
    """A published head, and a proof as a file."""
    head, proof = proved(engine)
    return head, str(proof)


def of_names(data: dict[str, Any], row: dict[str, Any], way: str) -> None:
    """Change the names of a proof; the row names two servicers."""
    names = data["kf_name"]
    people = {name["id"]: name for name in names}
    customer, servicer = people[data["kf_stream"]["customer"]], people[row["servicer_from"]]
    match way:
        case "servicer hidden":
            both = servicer["commitment"] + "1a0020" + people[row.pop("servicer_to")]["commitment"]
            names.append({"id": 99, "commitment": both})
            row["servicer_from"] = 99
        case "two numbers":
            names.append(servicer | {"id": 99})
            row["servicer_from"] = 99
        case "number twice":
            names.insert(0, customer | NOBODY)
        case "unused":
            names.append(NOBODY | {"id": 99})
        case "number 0" | "number -1":
            before, servicer["id"] = servicer["id"], int(way.split()[1])
            for one in (entry["kf_entry"] for entry in data["entries"]):
                one |= {key: servicer["id"] for key in ("servicer_from", "servicer_to") if one.get(key) == before}
        case "erased by half":
            del customer["salt"]


def of_entries(data: dict[str, Any], row: dict[str, Any], way: str) -> None:
    """Change an entry of a proof, or what stands beside."""
    match way:
        case "longer commitment":
            row["commitment"] += "00"
            next(entry for entry in data["entries"] if entry["kf_entry"] is row)["kf_payload"] = {}
        case "another stream":
            row["stream"] += 1
        case "short node":
            data["nodes"][0] = data["nodes"][0][:-2]
        case "nodes with a word":
            data["nodes"] = dict.fromkeys(data["nodes"], "x")
        case "two bodies":
            data["entries"][0]["kf_payload"]["body_hex"] = "00"
        case "unknown":
            row["words"] = "x"


@pytest.mark.parametrize(
    ("way", "problem"),
    [
        ("servicer hidden", "kf_name.commitment cannot be"),
        ("two numbers", "twice"),
        ("number twice", "twice"),
        ("unused", "nothing speaks of name 99"),
        ("number 0", "no number"),
        ("number -1", "no number"),
        ("erased by half", "alone"),
        ("longer commitment", "kf_entry.commitment cannot be"),
        ("another stream", "of another conversation"),
        ("short node", "no node"),
        ("nodes with a word", "no list"),
        ("two bodies", "kf_payload"),
        ("unknown", "no row of kf_entry"),
    ],
)
def test_what_no_hash_covers_is_refused(bundle: tuple[TreeHead, str], way: str, problem: str) -> None:
    """The file says one thing only, and nothing beside it."""
    head, text = bundle
    assert check_proof(text, head).holds
    data = json.loads(text)
    row = next(entry["kf_entry"] for entry in data["entries"] if "servicer_from" in entry["kf_entry"])
    of_names(data, row, way)
    of_entries(data, row, way)
    assert problem in str(check_proof(json.dumps(data), head).problem)


def test_a_member_stands_there_once(bundle: tuple[TreeHead, str]) -> None:
    """Else one reader would take the first and another the last."""
    head, text = bundle
    twice = text.replace('"again": 0', '"again": 5, "again": 0', 1)
    assert "twice" in str(check_proof(twice, head).problem)


def test_nobody_is_the_customer_of_another_stream(engine: Engine) -> None:
    """Those of the log, of accounts and of servicers have none, and lead to the head all the same."""
    head = engine.audit.head()
    kinds = set()
    with engine._reading() as conn:
        ids = {id_ for (id_,) in query(conn, "SELECT id FROM kf_stream WHERE customer = 0")}
        for stream in read.streams_by_id(conn, ids).values():
            text = str(prove(conn, stream))
            for more in ([], [NOBODY | {"id": 0}]):
                data = json.loads(text)
                data["kf_name"] += more
                assert check_proof(json.dumps(data), head).problem == "it is no conversation of a customer"
            kinds.add(stream.kind)
    assert {"log", "servicer", "unplaced"} == kinds


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each member of objects, of lists to the first two."""
    for key in data if isinstance(data, dict) else range(min(len(data), 2)) if isinstance(data, list) else ():
        yield (*path, key)
        yield from places(data[key], (*path, key))


@pytest.mark.parametrize("value", ["leave out", None, True, 1.0, 1e999, "", "x", 1 << 64, [], {}])
def test_anything_in_the_place_of_a_member(bundle: tuple[TreeHead, str], value: Any) -> None:
    """It never holds, and raises nothing; but a payload need not be told."""
    head, text = bundle
    whole = json.loads(text)
    for path in places(whole):
        data = json.loads(text)
        at = data
        for key in path[:-1]:
            at = at[key]
        if value == "leave out":
            del at[path[-1]]
        elif at[path[-1]] == value and type(at[path[-1]]) is type(value):
            continue
        else:
            at[path[-1]] = value
        found = check_proof(json.dumps(data), head)
        assert (path[-1] == "kf_payload" and value == {}) or found.problem is not None, (path, found)


@pytest.mark.parametrize(
    ("stream", "back", "problem"),
    [
        ({}, 0, "None"),
        ({}, 1, "recorded before"),
        ({"kind": "servicer"}, 0, "no conversation"),
        ({"servicer": 1}, 0, "no conversation"),
        ({"customer": 0, "servicer": 1}, 0, "no conversation"),
    ],
)
def test_a_log_that_was_written_so(
    bundle: tuple[TreeHead, str], stream: dict[str, Any], back: int, problem: str
) -> None:
    """Its leaves lead to its head; it says what no log says all the same."""
    proof = form.read(bundle[1])
    proof = attrs.evolve(proof, stream=proof.stream._replace(**stream))
    names = {name.id: name.commitment for name in proof.names}
    prefix = stream_prefix(*proof.stream[1:4], names.get(proof.stream.customer), names.get(proof.stream.servicer))
    entries, leaves = [], {}
    for number, entry in enumerate(proof.entries):
        row = entry.row._replace(recorded_at=entry.row.recorded_at - back * number)
        people = map(names.get, (row.servicer_from or 0, row.servicer_to or 0))
        row = row._replace(leaf=leaf(canonical(prefix, row, *people)))
        entries.append(attrs.evolve(entry, row=row))
        leaves[row.position - 1] = row.leaf
    root = root_of(proof.head.position, leaves, proof.nodes).hex()
    forged = attrs.evolve(proof, entries=tuple(entries), head=attrs.evolve(proof.head, root=root))
    assert problem in str(check_proof(str(forged), forged.head).problem)
