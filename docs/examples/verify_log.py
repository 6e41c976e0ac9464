"""Verify an exported log with nothing but Python: ``python verify_log.py LOG.ndjson [POSITION:CHAIN]``."""

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

TAGS = """corp_id stream_kind open_kfid customer servicer position version recorded_at sort_second tie again
    kind_version commitment kind ref code actor occurred_at origin pull ordinal msgtype change_type service_state
    servicer_from servicer_to errcode menu_click via counts target as_kind fail_type reject_switch receiving stop_type
    code_kind manage_privilege from_at cause""".split()  # noqa: SIM905 (the order is the point: tag 1, 2, 3, …)
ALWAYS, TEXTS = {1, 2, 3, *range(6, 18)}, {1, 2, 3, 14, 15, 16, 17, 22, 29, 32, 37}
ENTRY, NAME = {*TAGS[5:], "stream", "form", "leaf", "chain"}, {"id", "corp_id", "kind", "commitment"}
SIZES = {"log_id": 16, "salt": 16, "commitment": 32, "leaf": 32, "chain": 32}


def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON: each member once, an object, a text or an integer; salts and hashes as bytes."""
    found = {name: bytes.fromhex(value) if name in SIZES else value for name, value in pairs}
    sized = all(len(found[name]) == SIZES[name] for name in SIZES.keys() & found.keys())
    if len(found) < len(pairs) or not sized or not {*map(type, found.values())} <= {bytes, dict, int, str}:
        raise ValueError(pairs)
    return found


class Log:
    """A log, line by line; ``at`` and ``link`` are those of the last entry that holds."""

    def __init__(self) -> None:
        self.names, self.streams, self.versions = dict[Any, Any]({0: None}), dict[Any, Any](), dict[int, int]()
        self.at, self.link, self.recorded, self.ended = 0, b"", 0, False

    def take(self, line: dict[str, Any]) -> bool:
        """Tell whether a line holds; one that is not known does."""
        kinds = line.keys() & {"kfstate_log", "kf_name", "kf_stream", "kf_entry", "end"}
        if self.ended or ("kfstate_log" in kinds) != (not self.link):  # that is the first line, and no other
            return False
        match [(kind, line[kind]) for kind in kinds]:
            case [("kfstate_log", form)]:
                self.link = sha256(b"\2" + line["log_id"] + line["created_at"].to_bytes(8, "big")).digest()
                return (form, line["after"], line["chain"]) == (1, 0, self.link)
            case [("kf_name", row)]:
                kept = row.keys() == NAME or sha256(row["salt"] + row["value"].encode()).digest() == row["commitment"]
                return kept and self.new(self.names, row["id"], row["commitment"])
            case [("kf_stream", row)]:
                people = (self.names[row[key]] for key in ("customer", "servicer"))
                return self.new(self.streams, row["id"], (row["corp_id"], row["kind"], row["open_kfid"], *people))
            case [("kf_entry", row)]:
                return self.entry(row, line["kf_payload"])
        self.ended = kinds == {"end"}
        return not kinds or (self.ended and (line["end"], line["chain"]) == (self.at, self.link))

    def new(self, rows: dict[Any, Any], id_: int, told: Any) -> bool:
        """Take a name or a stream that is not there yet: no hash covers its number, so it has one only."""
        before = len(rows)
        rows |= {id_: told, told: id_}
        return id_ > 0 and len(rows) == before + 2

    def entry(self, row: dict[str, Any], payload: dict[str, Any]) -> bool:
        """Recompute leaf, link and commitment."""
        told: Any = row | dict(zip(TAGS, self.streams[row["stream"]], strict=False))
        told |= {key: bytes(self.names[row[key]]) for key in ("servicer_from", "servicer_to") if key in row}
        form = b"\0\1"
        for tag, name in enumerate(TAGS, 1):
            if (it := told.get(name)) is not None or tag in ALWAYS:
                data = it.encode() if tag in TEXTS else it if type(it) is bytes else it.to_bytes(8, "big", signed=True)
                form += bytes([tag]) + len(data).to_bytes(2, "big") + data
        due: dict[str, Any] = {"form": 1, "position": self.at + 1, "version": self.versions.get(row["stream"], 0) + 1}
        due |= {"leaf": sha256(form).digest(), "chain": sha256(b"\1" + self.link + sha256(form).digest()).digest()}
        if payload != {}:  # else it was erased, or aged out
            (body,) = payload.keys() - {"salt"}
            said = payload["body"].encode() if body == "body" else bytes.fromhex(payload["body_hex"])
            due["commitment"] = sha256(payload["salt"] + said).digest()
        if holds := row.keys() <= ENTRY and row | due == row and row["recorded_at"] >= self.recorded:
            self.at, self.link, self.recorded = row["position"], row["chain"], row["recorded_at"]
            self.versions[row["stream"]] = row["version"]
        return holds


def verify(lines: IO[str] | list[str], anchor: str = "") -> str:
    """Return the anchor of the last entry. Raises ValueError, with the first position that does not hold."""
    log, seen = Log(), not anchor
    for line in lines:
        try:
            if not log.take(json.loads(line, object_pairs_hook=read)):
                raise ValueError(line)  # noqa: TRY301 (said below, once)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"{log.at + 1}: does not hold: {line[:60]}") from error
        seen = seen or f"{log.at}:{log.link.hex()}" == anchor
    if not (log.ended and seen):
        other = f"{anchor.partition(':')[0]}: the chain is not the one that was anchored"
        raise ValueError(other if log.ended else f"{log.at + 1}: the log was cut off")
    return f"{log.at}:{log.link.hex()}"


if __name__ == "__main__":
    with Path(sys.argv[1]).open(encoding="utf-8") as file:
        print(verify(file, *sys.argv[2:]))
