"""The verifier of the documents, an exported log to try it on, and what makes leaves and links anew."""

import hashlib
import importlib.util
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from kfstate import Engine
from kfstate.archive.ndjson import write_log
from kfstate.store.canonical import INTEGERS, TAGS
from kfstate.store.database import Database
from kfstate.testing import FrozenClock, Profile, simulate
from tests.docs.blocks import ROOT
from tests.store.behind import unguarded

__all__ = ["EXAMPLE", "VERIFY", "export", "reseal", "text"]

EXAMPLE = ROOT / "docs/examples/verify_log.py"
START = 1_760_000_000
ERASED = "UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE id = 2"
AGED_OUT = (
    "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position BETWEEN 5 AND 9",
    "UPDATE kf_identity SET content = NULL WHERE position BETWEEN 5 AND 9",
)


def load() -> ModuleType:
    """Import the example from where it is."""
    spec = importlib.util.spec_from_file_location("verify_log", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VERIFY: Callable[..., str] = load().verify


def export(folder: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return a log of simulated conversations, something of it erased and aged out: its anchor, and its export."""
    url = f"sqlite:///{folder}/log.db"
    target = io.BytesIO()
    with Engine(url, clock=FrozenClock.at(START)) as engine:
        engine.ingest(list(simulate("verifier", 12, profile=Profile(start=START))))
        engine.ingest(
            [{"errcode": 0, "errmsg": "ok", "next_cursor": "", "has_more": 0, "msg_list": [7, {"x": "\ud800"}]}]
        )
        with engine._writing() as conn, unguarded(conn):
            for statement in (ERASED, *AGED_OUT):
                conn.exec_driver_sql(statement)
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


def leaf_of(fields: dict[str, Any]) -> bytes:
    """Return the leaf of what an entry says, whatever it lacks; commitments are bytes."""
    encoded = b"\0\1"
    for name, tag in TAGS.items():
        if (value := fields.get(name)) is not None:
            data = value.to_bytes(8, "big", signed=True) if name in INTEGERS else value
            data = data.encode() if isinstance(data, str) else data
            encoded += bytes([tag]) + len(data).to_bytes(2, "big") + data
    return hashlib.sha256(encoded).digest()


def reseal(lines: list[dict[str, Any]], position: int, **changed: Any) -> None:
    """Change an entry, and make leaves and links anew from there on: only what is said beside them does not hold."""
    names = [line["kf_name"] for line in lines if "kf_name" in line]
    people = {row["id"]: bytes.fromhex(row["commitment"]) for row in names} | {0: None}
    streams = {line["kf_stream"]["id"]: line["kf_stream"] for line in lines if "kf_stream" in line}
    link = ""
    for line in lines:
        row = line.get("kf_entry", {"position": 0})
        if row["position"] >= position:
            row |= changed if row["position"] == position else {}
            stream = streams[row["stream"]]
            fields = {**stream, **row, "stream_kind": stream["kind"], "kind": row["kind"]}
            fields |= {
                key: people[fields.get(key, 0)] for key in ("customer", "servicer", "servicer_from", "servicer_to")
            }
            fields["commitment"] = bytes.fromhex(row["commitment"])
            row["leaf"] = leaf_of(fields).hex()
            row["chain"] = hashlib.sha256(bytes.fromhex("01" + link + row["leaf"])).hexdigest()
            line["kf_entry"] = {name: value for name, value in row.items() if value is not None}
        link = row.get("chain", link)
    lines[-1]["chain"] = link
