"""Verify an exported log with nothing but Python: ``python verify_log.py LOG.ndjson [POSITION:CHAIN]``.

Shares no code with kfstate. Prints the anchor of the last entry, or the first position that does not hold.
"""

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TAGS = """
    corp_id stream_kind open_kfid customer servicer position version recorded_at sort_second tie again kind_version
    commitment kind ref code actor occurred_at origin pull ordinal msgtype change_type service_state servicer_from
    servicer_to errcode menu_click via counts target as_kind fail_type reject_switch receiving stop_type code_kind
    manage_privilege from_at cause
""".split()  # noqa: SIM905 (the order is the point: tag 1, 2, 3, …)
DIGESTS = {"customer", "servicer", "commitment", "servicer_from", "servicer_to"}


def sha(start: str, data: bytes) -> str:
    """Hash, in hex; ``start`` is in hex, too."""
    return hashlib.sha256(bytes.fromhex(start) + data).hexdigest()


def canonical(fields: dict[str, Any]) -> bytes:
    """Return the canonical form, form 1."""
    encoded = b""
    for tag, name in enumerate(TAGS, 1):
        value = fields.get(name)
        if value is not None:
            encode = bytes.fromhex if name in DIGESTS else str.encode
            data = value.to_bytes(8, "big", signed=True) if isinstance(value, int) else encode(value)
            encoded += bytes([tag]) + len(data).to_bytes(2, "big") + data
    return encoded


class Log:
    """A log, line by line; ``at`` and ``link`` are those of the last entry that holds."""

    def __init__(self) -> None:
        self.names, self.streams, self.versions = dict[int, str](), dict[int, dict[str, Any]](), dict[int, int]()
        self.begin, self.at, self.link, self.ended = 0, 0, "", False

    def take(self, line: dict[str, Any]) -> bool:
        """Tell whether a line holds."""
        if "kfstate_log" in line:
            self.begin, self.at, self.link = line["after"], line["after"], line["chain"]
            return self.at > 0 or self.link == sha("02" + line["log_id"], line["created_at"].to_bytes(8, "big"))
        if "kf_name" in line:
            row = line["kf_name"]
            self.names[row["id"]] = row["commitment"]
            return "salt" not in row or row["commitment"] == sha(row["salt"], row["value"].encode())
        if "kf_stream" in line:
            row = line["kf_stream"]
            people = {key: self.names[row[key]] if row[key] else None for key in ("customer", "servicer")}
            self.streams[row["id"]] = {**row, "stream_kind": row["kind"], **people}
        if "end" in line:
            self.ended = True
            return (line["end"], line["chain"]) == (self.at, self.link)
        return "kf_entry" not in line or self.entry(line["kf_entry"], line["kf_payload"])

    def entry(self, row: dict[str, Any], payload: dict[str, str]) -> bool:
        """Recompute leaf, link and commitment."""
        people: dict[str, Any] = {key: self.names[row[key]] for key in ("servicer_from", "servicer_to") if key in row}
        leaf = sha(f"00{row['form']:02x}", canonical({**self.streams[row["stream"]], **row, **people}))
        link = sha("01" + self.link + leaf, b"")
        version = self.versions.get(row["stream"], row["version"] - 1 if self.begin else 0) + 1
        body = payload["body"].encode() if "body" in payload else bytes.fromhex(payload.get("body_hex", ""))
        kept = sha(payload["salt"], body) if payload else row["commitment"]  # neither salt nor body: it was erased
        names = ("form", "position", "version", "leaf", "chain", "commitment")
        if [row[name] for name in names] != [1, self.at + 1, version, leaf, link, kept]:
            return False
        self.at, self.link, self.versions[row["stream"]] = row["position"], link, version
        return True


def verify(lines: Iterable[str], anchor: str = "") -> str:
    """Return the anchor of the last entry. Raises ValueError, with the first position that does not hold."""
    log, seen = Log(), not anchor
    for line in lines:
        try:
            holds = log.take(json.loads(line))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            holds = False
        if not holds:
            raise ValueError(f"{log.at + 1}: does not hold: {line[:60]}")
        seen = seen or f"{log.at}:{log.link}" == anchor
    if not log.ended:
        raise ValueError(f"{log.at + 1}: the log was cut off")
    if not seen:
        raise ValueError(f"{anchor.partition(':')[0]}: the chain is not the one that was anchored")
    return f"{log.at}:{log.link}"


if __name__ == "__main__":
    with Path(sys.argv[1]).open(encoding="utf-8") as file:
        print(verify(file, *sys.argv[2:]))
