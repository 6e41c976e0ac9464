"""What an exported log says beside its hashes: the verifier of the documents refuses what they do not cover."""

import json
from typing import Any

import pytest

from tests.docs.exports import VERIFY, reseal, text

__all__: list[str] = []

ERASED_NAME = {"id": 777_777, "corp_id": "", "kind": "servicer"}


@pytest.mark.parametrize("name", ["corp_id", "ref", "code", "actor"])
def test_what_is_always_there(exported: tuple[str, list[dict[str, Any]]], name: str) -> None:
    """Fields 1 to 3 and 6 to 17: no entry lacks one, whatever its leaf was made of."""
    lines = json.loads(json.dumps(exported[1]))
    for line in lines:
        line.get("kf_stream", {}).pop(name, None)
    reseal(lines, 30, **{name: None})
    with pytest.raises(ValueError, match="does not hold"):
        VERIFY(text(lines))


@pytest.mark.parametrize("size", [31, 33])
@pytest.mark.parametrize("whose", ["an entry", "a servicer"])
def test_a_commitment_has_32_bytes(exported: tuple[str, list[dict[str, Any]]], size: int, whose: str) -> None:
    """Whatever a leaf was made of."""
    lines = json.loads(json.dumps(exported[1]))
    at = next(at for at, line in enumerate(lines) if line.get("kf_entry", {}).get("position") == 30)
    changed: dict[str, Any] = {"commitment": "00" * size}
    if whose == "an entry":
        lines[at]["kf_payload"] = {}
    else:
        lines.insert(at, {"kf_name": ERASED_NAME | changed})
        changed = {"servicer_from": ERASED_NAME["id"]}
    reseal(lines, 30, **changed)
    with pytest.raises(ValueError, match=r"^30: "):
        VERIFY(text(lines))


def once_more(lines: list[dict[str, Any]], table: str) -> None:
    """Give a row a second number."""
    at = next(at for at, line in enumerate(lines) if table in line)
    lines.insert(at + 1, {table: lines[at][table] | {"id": 777_777}})


def hide(lines: list[dict[str, Any]]) -> None:
    """Put the field of one servicer behind the commitment to another one."""
    people = {line["kf_name"]["id"]: line["kf_name"] for line in lines if "kf_name" in line}
    at = next(
        at for at, line in enumerate(lines) if {"servicer_from", "servicer_to"} <= line.get("kf_entry", {}).keys()
    )
    row = lines[at]["kf_entry"]
    name = people[row["servicer_from"]], people[row.pop("servicer_to")]["commitment"]
    lines.insert(at, {"kf_name": {**ERASED_NAME, "commitment": f"{name[0]['commitment']}1a0020{name[1]}"}})
    row["servicer_from"] = ERASED_NAME["id"]


def unnumbered(lines: list[dict[str, Any]], id_: Any) -> None:
    """Add a name with a number that is none."""
    lines.insert(1, {"kf_name": {**ERASED_NAME, "id": id_, "commitment": "00" * 32}})


def misspell(lines: list[dict[str, Any]], way: str) -> None:
    """Write an entry in a way that leads to the same leaf, or can."""
    wanted = {"letters": "change_type", "nobody": "origin"}.get(way, "position")
    line = next(line for line in lines if wanted in line.get("kf_entry", {}) and "body" in line["kf_payload"])
    row, payload = line["kf_entry"], line["kf_payload"]
    match way:
        case "letters":
            row["change_type"] = row["change_type"].to_bytes(8, "big").decode()
        case "bool":
            row["again"] = bool(row["again"])
        case "null":
            row["errcode"] = None
        case "nobody":
            row["servicer_from"] = 0
        case "unknown":
            row["words"] = "wmB: yes"
        case "whose":
            row["servicer"] = 1
        case "two bodies":
            payload["body_hex"] = payload["body"].encode().hex()
        case "no object":
            line["kf_payload"] = ""
        case "salt alone":
            del payload["body"]


@pytest.mark.parametrize(
    "way",
    [
        "kf_name", "kf_stream", "hide", "letters", "bool", "null", "nobody", "unknown", "whose", "two bodies",
        "salt alone", "no object", "number -1", "number x",
    ],
)  # fmt: skip
def test_what_leads_to_the_same_leaf(exported: tuple[str, list[dict[str, Any]]], way: str) -> None:
    """Two numbers of one name or stream, fields of another length or type, members that no hash covers."""
    lines = json.loads(json.dumps(exported[1]))
    if way in {"kf_name", "kf_stream"}:
        once_more(lines, way)
    elif way.startswith("number"):
        unnumbered(lines, -1 if way == "number -1" else "x")
    elif way == "hide":
        hide(lines)
    else:
        misspell(lines, way)
    with pytest.raises(ValueError, match="does not hold"):
        VERIFY(text(lines))


def test_a_member_stands_there_once(exported: tuple[str, list[dict[str, Any]]]) -> None:
    """Else one reader would take the first and another the last."""
    lines = text(exported[1])
    at = next(at for at, line in enumerate(lines) if '"kf_entry"' in line)
    lines[at] = lines[at].replace('"kind": ', '"kind": "x", "kind": ', 1)
    with pytest.raises(ValueError, match=r"^1: does not hold"):
        VERIFY(lines)
