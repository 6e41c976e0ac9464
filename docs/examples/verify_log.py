"""Verify an exported log with nothing but Python: ``python verify_log.py LOG.ndjson [POSITION:CHAIN]``.

Shares no code with kfstate. Prints the anchor of the last entry, or the first position that does not hold.
"""

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TAGS = """corp_id stream_kind open_kfid customer servicer position version recorded_at sort_second tie again
    kind_version commitment kind ref code actor occurred_at origin pull ordinal msgtype change_type service_state
    servicer_from servicer_to errcode menu_click via counts target as_kind fail_type reject_switch receiving stop_type
    code_kind manage_privilege from_at cause""".split()  # noqa: SIM905 (the order is the point: tag 1, 2, 3, …)
DIGESTS = ("commitment", "customer", "servicer", "servicer_from", "servicer_to")


def sha(start: str, data: bytes, size: int = 0) -> str:
    """Hash, in hex; ``start`` is in hex, too, and has ``size`` bytes: a longer salt has taken some of its value."""
    if size not in (0, len(bytes.fromhex(start))):
        raise ValueError(start)
    return hashlib.sha256(bytes.fromhex(start) + data).hexdigest()


def canonical(fields: dict[str, Any]) -> bytes:
    """Return the canonical form, form 1."""
    encoded = b""
    for tag, name in enumerate(TAGS, 1):
        if (value := fields.get(name)) is not None:
            text = bytes.fromhex if name in DIGESTS else str.encode
            data = value.to_bytes(8, "big", signed=True) if isinstance(value, int) else text(value)
            encoded += bytes([tag]) + len(data).to_bytes(2, "big") + data
    return encoded


class Log:
    """A log, line by line; ``at`` and ``link`` are those of the last entry that holds."""

    def __init__(self) -> None:
        self.names, self.streams, self.versions = dict[int, Any]({0: None}), dict[int, Any](), dict[int, int]()
        self.at, self.link, self.recorded, self.ended = 0, "", 0, False

    def take(self, line: dict[str, Any]) -> bool:
        """Tell whether a line holds; one that is not known does."""
        kinds = line.keys() & {"kfstate_log", "kf_name", "kf_stream", "kf_entry", "end"}
        if self.ended or ("kfstate_log" in kinds) != (not self.link):  # that is the first line, and no other
            return False
        match [*kinds]:
            case ["kfstate_log"]:
                self.link = sha("02" + line["log_id"], line["created_at"].to_bytes(8, "big"))
                return (line["kfstate_log"], line["after"], line["chain"]) == (1, 0, self.link)
            case ["kf_name"] if (row := line["kf_name"])["id"] not in self.names:
                self.names[row["id"]] = row["commitment"]
                erased = not row.keys() & {"salt", "value", "folded"}
                return erased or row["commitment"] == sha(row["salt"], row["value"].encode(), 16)
            case ["kf_stream"] if (row := line["kf_stream"])["id"] not in self.streams:
                told = [row[key] for key in ("corp_id", "kind", "open_kfid", "customer", "servicer")]
                return bool(self.streams.setdefault(row["id"], told))
            case ["kf_entry"]:
                return self.entry(line["kf_entry"], line["kf_payload"])
        self.ended = kinds == {"end"}
        return not kinds or (self.ended and (line["end"], line["chain"]) == (self.at, self.link))

    def entry(self, row: dict[str, Any], payload: dict[str, str]) -> bool:
        """Recompute leaf, link and commitment."""
        fields = {**row, **dict(zip(TAGS, self.streams[row["stream"]], strict=False))}
        fields |= {key: self.names[fields.get(key, 0)] for key in DIGESTS[1:]}
        leaf = sha(f"00{row['form']:02x}", canonical(fields))
        body = payload["body"].encode() if "body" in payload else bytes.fromhex(payload.get("body_hex", ""))
        kept = sha(payload["salt"], body, 16) if payload else row["commitment"]  # neither salt nor body: erased
        place = [self.at + 1, self.versions.get(row["stream"], 0) + 1, max(self.recorded, row["recorded_at"])]
        names = ("form", "leaf", "chain", "commitment", "position", "version", "recorded_at")
        if holds := [row[name] for name in names] == [1, leaf, sha("01" + self.link + leaf, b""), kept, *place]:
            self.at, self.versions[row["stream"]], self.recorded, self.link = *place, row["chain"]
        return holds


def verify(lines: Iterable[str], anchor: str = "") -> str:
    """Return the anchor of the last entry. Raises ValueError, with the first position that does not hold."""
    log, seen = Log(), not anchor
    for line in lines:
        try:
            if not log.take(json.loads(line)):
                raise ValueError(line)  # noqa: TRY301 (said below, once)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"{log.at + 1}: does not hold: {line[:60]}") from error
        seen = seen or f"{log.at}:{log.link}" == anchor
    if not log.ended:
        raise ValueError(f"{log.at + 1}: the log was cut off")
    if not seen:
        raise ValueError(f"{anchor.partition(':')[0]}: the chain is not the one that was anchored")
    return f"{log.at}:{log.link}"


if __name__ == "__main__":
    with Path(sys.argv[1]).open(encoding="utf-8") as file:
        print(verify(file, *sys.argv[2:]))
