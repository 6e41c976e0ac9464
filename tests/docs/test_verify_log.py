"""The verifier of the documents, which shares no code with kfstate: a whole log holds, any other does not."""

import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kfstate import Engine
from kfstate.archive.ndjson import write_log
from kfstate.store.database import Database
from kfstate.testing import FrozenClock, Profile, simulate
from tests.docs.blocks import ROOT
from tests.store.behind import unguarded

__all__: list[str] = []

EXAMPLE = ROOT / "docs/examples/verify_log.py"
START = 1_760_000_000
ERASED = "UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE id = 2"
AGED_OUT = "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position BETWEEN 5 AND 9"


def load() -> ModuleType:
    """Import the example from where it is."""
    spec = importlib.util.spec_from_file_location("verify_log", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULE = load()
VERIFY: Callable[..., str] = MODULE.verify


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """A log of simulated conversations, something of it erased and aged out: its anchor, and its export."""
    url = f"sqlite:///{tmp_path_factory.mktemp('exported')}/log.db"
    target = io.BytesIO()
    with Engine(url, clock=FrozenClock.at(START)) as engine:
        engine.ingest(list(simulate("verifier", 12, profile=Profile(start=START))))
        engine.ingest(
            [{"errcode": 0, "errmsg": "ok", "next_cursor": "", "has_more": 0, "msg_list": [7, {"x": "\ud800"}]}]
        )
        with engine._writing() as conn, unguarded(conn):
            conn.exec_driver_sql(ERASED)
            conn.exec_driver_sql(AGED_OUT)
        found = engine.verify()
        assert None is found.damage
        assert found.erased_names
    log = Database(url)
    write_log(log.reading, target)
    log.close()
    return found.anchor, [json.loads(line) for line in target.getvalue().splitlines()]


def text(lines: list[dict[str, Any]]) -> list[str]:
    """Return lines as they stand in a file."""
    return [json.dumps(line) + "\n" for line in lines]


def test_it_is_short_and_uses_nothing() -> None:
    """Under 100 lines, and nothing but the standard library."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 100
    imported = {line.split()[1].partition(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= set(sys.stdlib_module_names)


def test_a_whole_log_holds(exported: tuple[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    """It finds the anchor that kfstate finds, and any earlier one in it; run as a program, too."""
    anchor, lines = exported
    assert anchor == VERIFY(text(lines))
    row = next(line for line in lines if line.get("kf_entry", {}).get("position") == 7)["kf_entry"]
    assert anchor == VERIFY(text(lines), f"7:{row['chain']}")
    with pytest.raises(ValueError, match=r"^7: the chain is not"):
        VERIFY(text(lines), f"7:{'00' * 32}")

    path = tmp_path / "log.ndjson"
    path.write_text("".join(text(lines)), encoding="utf-8")
    command = [sys.executable, "-I", str(EXAMPLE), str(path), anchor]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert anchor == done.stdout.strip()


def test_a_part_of_a_log_holds(exported: tuple[str, list[dict[str, Any]]]) -> None:
    """An export that begins later begins with the link before its first entry."""
    anchor, lines = exported
    before = next(line["kf_entry"] for line in lines if line.get("kf_entry", {}).get("position") == 20)
    first = {**lines[0], "after": 20, "chain": before["chain"]}
    rest = [line for line in lines[1:] if "kf_entry" not in line or line["kf_entry"]["position"] > 20]
    assert anchor == VERIFY(text([first, *rest]))


def spoil(lines: list[dict[str, Any]], way: str) -> None:
    """Change an export; at entry 30, where it is one of an entry."""
    at = next(number for number, line in enumerate(lines) if line.get("kf_entry", {}).get("position") == 30)
    row, payload = lines[at]["kf_entry"], lines[at]["kf_payload"]
    match way.split():
        case ["set", name]:
            row[name] = row.get(name, 0) + 1 if isinstance(row.get(name, 0), int) else "0" * len(row[name])
        case ["drop", name]:
            del row[name]
        case ["payload", name]:
            payload[name] = "00" + payload[name][2:] if payload[name][:2] != "00" else "11" + payload[name][2:]
        case ["no", "payload"]:
            del lines[at]["kf_payload"]
        case ["leave", "out"]:
            del lines[at]
        case ["twice"]:
            lines.insert(at, lines[at])
        case ["swap"]:
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        case ["swap", "positions"]:
            (row["position"], lines[at + 1]["kf_entry"]["position"]) = (31, 30)
        case ["cut"]:
            del lines[at:]


@pytest.mark.parametrize(
    "way",
    [
        "set recorded_at", "set tie", "set version", "set kind", "set commitment", "set leaf", "set chain", "set cause",
        "set stream", "set form", "set target", "drop kind", "drop tie", "drop leaf", "payload salt", "payload body",
        "no payload", "leave out", "twice", "swap", "swap positions", "cut",
    ],
)  # fmt: skip
def test_damage_is_found_at_its_position(exported: tuple[str, list[dict[str, Any]]], way: str) -> None:
    """Tampered, truncated or re-ordered: the first position that does not hold is named."""
    lines = json.loads(json.dumps(exported[1]))
    spoil(lines, way)
    expected = 31 if way == "twice" else 30
    with pytest.raises(ValueError, match=f"^{expected}: "):
        VERIFY(text(lines))


def test_a_forged_version_is_found(exported: tuple[str, list[dict[str, Any]]]) -> None:
    """Where leaves and links were made anew to the end, so that the chain holds."""
    lines = json.loads(json.dumps(exported[1]))
    log, link = MODULE.Log(), ""
    for line in lines:
        row = line.get("kf_entry")
        if row is None or row["position"] < 30:
            log.take(line)
            link = link if row is None else log.link
        else:
            row["version"] += row["position"] == 30
            people = {key: log.names[row[key]] for key in ("servicer_from", "servicer_to") if key in row}
            row["leaf"] = MODULE.sha("0001", MODULE.canonical({**log.streams[row["stream"]], **row, **people}))
            row["chain"] = link = MODULE.sha("01" + link + row["leaf"], b"")
    lines[-1]["chain"] = link
    with pytest.raises(ValueError, match=r"^30: "):
        VERIFY(text(lines))


@pytest.mark.parametrize("what", ["kf_name", "kf_stream", "kfstate_log", "end"])
def test_what_stands_beside_the_entries_counts(exported: tuple[str, list[dict[str, Any]]], what: str) -> None:
    """Names, streams, the first line and the last one."""
    lines = json.loads(json.dumps(exported[1]))
    line = next(line for line in lines if what in line and "salt" in line.get("kf_name", {"salt": ""}))
    match what:
        case "kf_name":
            line[what]["value"] += "x"
        case "kf_stream":
            line[what]["open_kfid"] += "x"
        case "kfstate_log":
            line["created_at"] += 1
        case "end":
            line["end"] += 1
    with pytest.raises(ValueError, match=r"^\d+: does not hold"):
        VERIFY(text(lines))


@pytest.mark.parametrize("lines", [["7\n"], ["\n"], ["{}\n"], []])
def test_what_is_no_log(lines: list[str]) -> None:
    """It does not hold, whatever it is."""
    with pytest.raises(ValueError, match=r"^1: "):
        VERIFY(lines)
