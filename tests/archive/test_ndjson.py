"""The whole log as NDJSON, and back."""

import io
import json
import re
from collections.abc import Iterable
from typing import Any

import pytest

from kfstate.archive import ndjson
from kfstate.archive.restoring import restore
from kfstate.archive.results import Restored
from kfstate.engine import Engine
from kfstate.errors import ArchiveError, CorruptLogError
from kfstate.store.database import Database
from kfstate.testing import FrozenClock
from tests.archive.world import dump, live, make
from tests.engine.worlds import NOW
from tests.servers import EMPTY_ENGINE, Databases

__all__: list[str] = []


def written(log: Database, *, until: int | None = None, size: int = 40) -> bytes:
    """Return a log as NDJSON."""
    target = io.BytesIO()
    ndjson.write_log(log.reading, target, until=until, size=size)
    return target.getvalue()


def taken(url: str, text: bytes, *, size: int = 70) -> Restored:
    """Put NDJSON into a database."""
    source = io.BytesIO(text)
    header = ndjson.read_header(source, "file")
    return restore(url, header, ndjson.read_pieces(source, "file", header, size=size))


def joined(lines: Iterable[dict[str, Any]]) -> bytes:
    """Return lines as they stand in a file."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def position(line: dict[str, Any]) -> int:
    """Return the position of the entry on a line; 0 where there is none."""
    return int(line.get("kf_entry", {}).get("position", 0))


@pytest.fixture(scope="module")
def good(source: str) -> list[dict[str, Any]]:
    """The lines of a short log."""
    log = Database(source)
    text = written(log, until=40)
    log.close()
    return [json.loads(line) for line in text.splitlines()]


def test_there_and_back(log: Database, source: str, empty: str) -> None:
    """Every row of every table of the log comes back as it was, what was erased included; then it goes on."""
    done = taken(empty, written(log))
    assert dump(source) == dump(empty)
    with Engine(source) as theirs, Engine(empty) as ours:
        assert theirs.verify().anchor == ours.verify().anchor == f"{done.position}:{done.chain}"
        assert None is ours.verify().damage
        assert list(theirs.conversations()) == list(ours.conversations())
    live(empty, size=5, seed=8)
    with Engine(empty) as ours:
        assert ours.position() > done.position
        assert None is ours.verify().damage


def test_every_database(database: Databases) -> None:
    """The same from and to every database."""
    source, target = database.new(EMPTY_ENGINE), database.new()
    make(source, size=40)
    log = Database(source)
    text = written(log)
    log.close()
    spoilt = [json.loads(line) for line in text.splitlines()]
    twice = [line for line in spoilt if position(line) and line["kf_entry"]["stream"] == 2][:2]
    twice[1]["kf_entry"]["version"] = twice[0]["kf_entry"]["version"]
    with pytest.raises(CorruptLogError, match="the database refuses what stands in 1 to "):
        taken(target, joined(spoilt))
    taken(target, text)
    assert dump(source) == dump(target)


def test_it_goes_on_where_it_ended(log: Database, source: str, empty: str) -> None:
    """A part of the log first, then all of it, in pieces of another size; a third time brings nothing."""
    assert 61 == taken(empty, written(log, until=61)).entries
    rest = taken(empty, written(log), size=50)
    assert dump(source) == dump(empty)
    again = taken(empty, written(log))
    assert (0, rest.position, rest.chain) == (again.entries, again.position, again.chain)


def test_damage_is_named(log: Database, empty: str) -> None:
    """An entry that was changed, left out or moved is refused at its position; what is before it stays."""
    lines = written(log).splitlines(keepends=True)
    places = {json.loads(line)["kf_entry"]["position"]: at for at, line in enumerate(lines) if b'"kf_entry"' in line}
    changed = [*lines]
    changed[places[90]] = changed[places[90]].replace(b'"version":', b'"version":1')
    with pytest.raises(CorruptLogError) as refused:
        taken(empty, b"".join(changed), size=30)
    assert 90 == refused.value.position
    with pytest.raises(ArchiveError, match="entry 62 follows entry 60"):
        taken(empty, b"".join(line for at, line in enumerate(lines) if at != places[91] and at != places[61]), size=30)
    for broken, reason in (
        (b"".join(lines[:-1]), "cut off"),
        (b"".join(lines[: places[90]]) + lines[-1], "it ends at 89"),
        (b"".join(lines).replace(b'"kf_entry"', b'"kf_other"', 1), "line"),
        (b"".join(lines).replace(b'"kind":"', b'"sort":"', 1), "no row of"),
        (b"{}\n", "no log"),
        (b"", "no log"),
    ):
        with pytest.raises(ArchiveError, match=reason):
            taken(empty, broken, size=30)


def head(**changed: Any) -> dict[str, Any]:
    """Return what changes the first line."""
    return {"kfstate_log": changed}


def row(**changed: Any) -> dict[str, Any]:
    """Return what changes the row of an entry."""
    return {"kf_entry": changed}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (row(position=1 << 70), "kf_entry.position cannot be 1180"),
        (row(position=7), "entry 7 follows entry 19"),
        (row(tie=1 << 63), "kf_entry.tie cannot be 9223372036854775808"),
        (row(change_type=1 << 31), "kf_entry.change_type cannot be 2147483648"),
        (row(origin=1 << 15), "kf_entry.origin cannot be 32768"),
        (row(again=True), "kf_entry.again cannot be True"),
        (row(kind="x" * 999), "kf_entry.kind cannot be xxx"),
        (row(actor="a\0b"), "kf_entry.actor cannot be"),
        (row(leaf="00"), "kf_entry.leaf cannot be 00"),
        (row(leaf=5), "line"),
        (row(kind=None), "kf_entry.kind cannot be None"),
        (row(no_such=1), "no row of kf_entry"),
        ({"kf_entry": 5}, "no row of kf_entry: 5"),
        ({"kf_payload": {"salt": "00", "body": 5}}, "kf_payload is no salt with a body"),
        ({"kf_payload": {"salt": "00"}}, "kf_payload is no salt with a body"),
        ({"kf_payload": {"body": "x"}}, "kf_payload is no salt with a body"),
        ({"kf_payload": [1]}, "kf_payload is no salt with a body"),
        ({"kf_payload": {"salt": "00" * 17, "body": ""}}, f"kf_payload.salt cannot be {'00' * 17}"),
        ({"kf_payload": {"salt": "00" * 15 + "  ", "body": ""}}, f"kf_payload.salt cannot be {'00' * 15}  "),
        ({"kf_identity": {"day": 1, "entry_key": "zz"}}, "line"),
        ({"kf_identity": {"day": 1, "entry_key": "00"}}, "kf_identity.entry_key cannot be 00"),
        ({"kf_identity": {"day": 1 << 40, "entry_key": "00" * 16}}, "kf_identity.day cannot be"),
        ({"more": 1}, "unknown: more"),
        (head(created_at="yesterday"), "created_at yesterday"),
        (head(created_at=1.5), "created_at 1.5"),
        (head(created_at=1 << 70), "created_at 1180"),
        (head(log_id="aa"), "log_id aa"),
        (head(log_id=5), "no log of kfstate"),
        (head(after=5), "does not begin where its log does, but after 5"),
        (head(after="x"), "but after x"),
        (head(chain="00"), "does not begin where its log does"),
        (head(kfstate_log=2), "form 2"),
    ],
)
def test_what_no_log_has(empty: str, good: list[dict[str, Any]], changed: dict[str, Any], reason: str) -> None:
    """The line, and the value in it, are named, and nothing of the piece is stored."""
    lines = [*good]
    ((table, values),) = changed.items()
    at = 0 if table == "kfstate_log" else next(at for at, line in enumerate(good) if position(line) == 20)
    if at == 0:
        lines[0] = lines[0] | values
    elif isinstance(values, dict) and table == "kf_entry":
        lines[at] = lines[at] | {table: lines[at][table] | values}
    else:
        lines[at] = lines[at] | changed
    with pytest.raises(ArchiveError, match=re.escape(reason)) as caught:
        taken(empty, joined(lines))
    assert at == 0 or caught.value.reason.startswith(f"line {at + 1} ")
    assert not at or {"kf_entry": []} == dump(empty, ["kf_entry"])


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("end after end", "the log has ended before"),
        ("twice", "the log has ended before"),
        ("name again", "names: 1 follows"),
        ("first line again", "unknown: kfstate_log"),
        ("deep", "nested too deep"),
        ("end elsewhere", "should at 3"),
        ("only begun", "cut off"),
        ("begun and ended", "it ends at 0, and should at 5"),
        ("deep beginning", "nested too deep"),
    ],
)
def test_lines_that_no_log_has(empty: str, good: list[dict[str, Any]], way: str, reason: str) -> None:
    """Said twice, after the end, too deep, or too early."""
    text, deep = joined(good), b'{"a":' * 100_000
    name = next(line for line in good if "kf_name" in line)
    made = {
        "end after end": text + joined(good[-1:]),
        "twice": text + text,
        "name again": joined([*good[:-1], name, good[-1]]),
        "first line again": joined([*good[:9], good[0], *good[9:]]),
        "deep": joined(good[:9]) + deep,
        "end elsewhere": joined([*good[:-1], good[-1] | {"end": 3}]),
        "only begun": joined(good[:1]),
        "begun and ended": joined([good[0], {"end": 5, "chain": good[0]["chain"]}]),
        "deep beginning": deep,
    }
    with pytest.raises(ArchiveError, match=reason):
        taken(empty, made[way])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"kf_identity": None}, "the identity is missing"),
        ({"kf_identity": {"day": 7, "entry_key": "00" * 16}}, "its identity is of day 7"),
        ({"kf_payload": {}}, "the payload is gone, and the digest of its content is not"),
        ({"kf_payload": None}, "the payload's row is missing"),
        (row(version=99), "not what its leaf was made of"),
        (row(version=1), "the database refuses what stands in 1 to 40: "),
    ],
)
def test_what_does_not_verify(empty: str, good: list[dict[str, Any]], changed: dict[str, Any], reason: str) -> None:
    """What a line may say, and this one does not hold: its position, and nothing of the piece is stored."""
    kinds = {"customer_message", "servicer_message"}
    at = next(at for at, line in enumerate(good) if position(line) > 19 and line["kf_entry"]["kind"] in kinds)
    ((table, values),) = changed.items()
    lines = [*good]
    lines[at] = lines[at] | {table: lines[at].get(table, {}) | values if values else values}
    with pytest.raises(CorruptLogError, match=re.escape(reason)):
        taken(empty, joined(lines))
    assert {"kf_entry": []} == dump(empty, ["kf_entry"])


@pytest.mark.parametrize("gone", [["value"], ["salt", "value"], ["folded"]])
def test_half_a_name(empty: str, good: list[dict[str, Any]], gone: list[str]) -> None:
    """One that was erased has lost salt, value and folded."""
    lines = json.loads(json.dumps(good))
    name = next(line["kf_name"] for line in lines if "salt" in line.get("kf_name", {}))
    for column in gone:
        del name[column]
    with pytest.raises(CorruptLogError, match=f"name {name['id']} is erased in part only"):
        taken(empty, joined(lines))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The lines of a log of own entries: with a key, with a time only, with another's key in its data; read twice."""
    url = f"sqlite:///{tmp_path_factory.mktemp('ours') / 'log.db'}"
    made = {"kind": "own_action", "actor": "li", "via": "note", "open_kfid": "wkA"}
    with Engine(url, clock=FrozenClock.at(NOW)) as engine:
        engine.ingest([made | {"key": "K1"}, made | {"occurred_at": NOW}, made | {"data": {"key": "K2"}}])
    log = Database(url)
    lines = [json.loads(line) for line in written(log).splitlines()]
    log.close()
    return lines


@pytest.mark.parametrize(
    ("which", "identity", "reason"),
    [
        ("K1", None, "the identity is missing"),
        ("K1", {"day": 7}, "its identity is of day 7"),
        ("K1", {}, None),
        ("time", {"day": 7}, "its identity is of day 7"),
        ("time", None, None),
        ("K2", None, None),
    ],
)
def test_identities_of_own_entries(
    empty: str, ours: list[dict[str, Any]], which: str, identity: dict[str, int] | None, reason: str | None
) -> None:
    """One that says its key has one, of day 0; whether another had one, the log does not tell."""
    lines = json.loads(json.dumps(ours))
    entries = [line for line in lines if line.get("kf_entry", {}).get("kind") == "own_action"]
    line = entries[["K1", "time", "K2"].index(which)]
    assert ("kf_identity" in line) == (which != "K2")
    line["kf_identity"] = None if identity is None else line["kf_identity"] | identity
    if reason is None:
        taken(empty, joined(lines))
    else:
        with pytest.raises(CorruptLogError, match=reason) as caught:
            taken(empty, joined(lines))
        assert position(line) == caught.value.position


def test_another_log_is_refused(log: Database, url: str) -> None:
    """A database with a log of its own keeps it."""
    text = written(log)
    before = dump(url)
    with pytest.raises(ArchiveError, match="another log"):
        taken(url, text)
    with pytest.raises(ArchiveError, match="another log"):
        taken(url, b"".join(text.splitlines(keepends=True)[::10_000]) + b'{"end":0,"chain":""}\n')
    assert before == dump(url)
