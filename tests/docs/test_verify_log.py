"""The verifier of the documents, which shares no code with kfstate: a whole log holds, any other does not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.exports import EXAMPLE, VERIFY, reseal, text

__all__: list[str] = []


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


def cut_out(lines: list[dict[str, Any]], first: int, last: int) -> None:
    """Take entries out, and put a line that says where the log begins in their place."""
    gone = [line for line in lines if first <= line.get("kf_entry", {}).get("position", 0) <= last]
    lines.insert(lines.index(gone[0]), {**lines[0], "after": last, "chain": gone[-1]["kf_entry"]["chain"]})
    lines[:] = [line for line in lines if line not in gone]


def add_to(lines: list[dict[str, Any]], at: int, way: str) -> None:
    """Put something into an export that is said elsewhere in it, in its right place; or an impossible time."""
    match way.split():
        case ["earlier"]:
            reseal(lines, 30, recorded_at=1)
        case ["cut", "out"]:
            cut_out(lines, 30, 33)
        case ["another", "beginning"]:
            lines.insert(at, lines[0])
        case ["once", "more", table]:
            lines.insert(at, next(line for line in lines if table in line))
        case ["two", "in", "one"]:
            lines[at].update(next(line for line in lines if "kf_name" in line))
        case ["move", size]:
            move(lines[at]["kf_payload"], int(size))


def move(payload: dict[str, str], size: int) -> None:
    """Move what is between salt and body: so many bytes more are the salt's, or fewer, which still looks as long."""
    whole = bytes.fromhex(payload["salt"]) + payload.pop("body").encode()
    payload |= {"salt": whole[: 16 + size].hex() + "  " * -size, "body_hex": whole[16 + size :].hex()}


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
        case _:
            add_to(lines, at, way)


@pytest.mark.parametrize(
    "way",
    [
        "set recorded_at", "set tie", "set version", "set kind", "set commitment", "set leaf", "set chain", "set cause",
        "set stream", "set form", "set target", "drop kind", "drop tie", "drop leaf", "payload salt", "payload body",
        "no payload", "move 1", "move 40", "move -1", "leave out", "twice", "swap", "swap positions",
        "cut", "cut out", "another beginning", "once more kf_name", "once more kf_stream", "two in one", "earlier",
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
    reseal(lines, 30)
    assert exported[0] == VERIFY(text(lines))
    row = next(line["kf_entry"] for line in lines if line.get("kf_entry", {}).get("position") == 30)
    reseal(lines, 30, version=row["version"] + 1)
    with pytest.raises(ValueError, match=r"^30: "):
        VERIFY(text(lines))


def test_entries_cut_out_of_the_log_are_missed(exported: tuple[str, list[dict[str, Any]]]) -> None:
    """At its beginning, where another line says that it begins later, and what stands after its end is not read."""
    anchor, lines = exported
    shorter = json.loads(json.dumps(lines))
    cut_out(shorter, 1, 9)
    shorter = [next(line for line in shorter[1:] if "kfstate_log" in line), *shorter[1:]]
    with pytest.raises(ValueError, match=r"^1: "):
        VERIFY(text(shorter), anchor)
    for more in ({}, {"kf_machine": {}}, lines[-1], *lines[:2]):
        with pytest.raises(ValueError, match="does not hold"):
            VERIFY(text([*lines, more]), anchor)


def test_an_entry_cannot_say_whose_it_is(exported: tuple[str, list[dict[str, Any]]]) -> None:
    """Only its stream does: that, too, is hashed with every entry of it."""
    lines = json.loads(json.dumps(exported[1]))
    for line in lines:
        if "kf_entry" in line and line["kf_entry"]["stream"] == 1:
            line["kf_entry"]["corp_id"] = ""
    next(line["kf_stream"] for line in lines if "kf_stream" in line)["corp_id"] = "another"
    with pytest.raises(ValueError, match="does not hold"):
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


@pytest.mark.parametrize("way", ["longer salt", "no value", "no salt", "folded alone"])
def test_a_name_is_there_or_erased(exported: tuple[str, list[dict[str, Any]]], way: str) -> None:
    """All of it, with a salt of 16 bytes."""
    lines = json.loads(json.dumps(exported[1]))
    row = next(line["kf_name"] for line in lines if "salt" in line.get("kf_name", {}))
    match way:
        case "longer salt":
            row |= {"salt": row["salt"] + row["value"][:1].encode().hex(), "value": row["value"][1:]}
        case "no value":
            del row["value"]
        case "no salt":
            del row["salt"]
        case "folded alone":
            del row["salt"], row["value"]
    with pytest.raises(ValueError, match=r"^\d+: does not hold"):
        VERIFY(text(lines))


@pytest.mark.parametrize("lines", [["7\n"], ["\n"], ["{}\n"], []])
def test_what_is_no_log(lines: list[str]) -> None:
    """It does not hold, whatever it is."""
    with pytest.raises(ValueError, match=r"^1: "):
        VERIFY(lines)
