"""A proof as a file: JSON in the form that an exported log has, for whoever checks it without kfstate, too.

``docs/reference/chain.md`` describes it. What is NULL is left out, bytes are hex, a payload is text where it is UTF-8.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import attrs

from kfstate.audit.proofs.heads import TreeHead
from kfstate.store.rows import ENTRY_COLUMNS, EntryRow, Stream

__all__ = ["FORM", "Evidence", "Name", "Payload", "Proof", "read"]

FORM = 1
"""Number of this form; what has another one is not read."""

Payload = tuple[bytes, bytes]
"""Salt and body."""

_HEX = frozenset({"commitment", "leaf"})
_COLUMNS = ENTRY_COLUMNS[:-1]
"""Without the chain, which a proof of single entries says nothing of."""
_TEXT = frozenset({"kind", "via", "as_kind", "msgtype", "ref", "code", "code_kind", "actor"})


class Name(NamedTuple):
    """A row of ``kf_name``; ``salt`` and ``value`` are None where it was erased, or is not told."""

    id: int
    commitment: bytes
    salt: bytes | None
    value: str | None


@attrs.frozen
class Evidence:
    """An entry of the conversation, with its payload. ``payload`` is None where it is gone, or not told."""

    row: EntryRow
    """Without its chain."""
    payload: Payload | None


@attrs.frozen
class Proof:
    """All entries that a conversation had at a position, and what proves that they are in the log of that head.

    ``str`` of it is the file. :func:`kfstate.audit.check_proof` checks it, without a database.
    """

    head: TreeHead
    stream: Stream
    names: tuple[Name, ...]
    entries: tuple[Evidence, ...]
    nodes: tuple[bytes, ...]
    """Roots of the subtrees that hold no entry of the conversation, from the left."""

    def __str__(self) -> str:
        """Return the proof as JSON text."""
        data = {
            "kfstate_proof": FORM,
            "head": str(self.head),
            "kf_stream": self.stream._asdict(),
            "kf_name": [_name(name) for name in self.names],
            "entries": [_entry(entry) for entry in self.entries],
            "nodes": [node.hex() for node in self.nodes],
        }
        return json.dumps(data, ensure_ascii=False, indent=1)


def _name(name: Name) -> dict[str, Any]:
    told: dict[str, Any] = {"id": name.id, "commitment": name.commitment.hex()}
    if name.salt is not None and name.value is not None:
        told |= {"salt": name.salt.hex(), "value": name.value}
    return told


def _entry(entry: Evidence) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in _COLUMNS:
        value = getattr(entry.row, name)
        if value is not None:
            row[name] = value.hex() if name in _HEX else value
    if entry.payload is None:
        return {"kf_entry": row, "kf_payload": {}}
    salt, body = entry.payload
    try:
        told = {"salt": salt.hex(), "body": body.decode()}
    except UnicodeDecodeError:
        told = {"salt": salt.hex(), "body_hex": body.hex()}
    return {"kf_entry": row, "kf_payload": told}


def read(text: str) -> Proof:
    """Return the proof that a text is. Raises ValueError where it is none."""
    try:
        data = json.loads(text)
        if data["kfstate_proof"] != FORM:
            raise ValueError(f"form {data['kfstate_proof']} is not known to this release")
        stream = Stream(*(_typed(data["kf_stream"], name) for name in Stream._fields))
        return Proof(
            head=TreeHead.parse(data["head"]),
            stream=stream,
            names=tuple(_name_of(name) for name in data["kf_name"]),
            entries=tuple(Evidence(_row(told["kf_entry"]), _payload(told["kf_payload"])) for told in data["entries"]),
            nodes=tuple(bytes.fromhex(node) for node in data["nodes"]),
        )
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no proof of kfstate: {error!r}") from error


def _typed(data: Mapping[str, Any], name: str) -> Any:
    value = data[name]
    if type(value) is not (str if name in {"corp_id", "kind", "open_kfid"} else int):
        raise TypeError(f"{name} cannot be {value!r}")
    return value


def _name_of(data: Mapping[str, Any]) -> Name:
    told = bool(data.keys() & {"salt", "value"})
    salt, value = (bytes.fromhex(data["salt"]), data["value"]) if told else (None, None)
    if told and type(value) is not str:
        raise TypeError(f"value cannot be {value!r}")
    return Name(int(data["id"]), bytes.fromhex(data["commitment"]), salt, value)


def _row(data: Mapping[str, Any]) -> EntryRow:
    return EntryRow._make([*(_cell(name, data.get(name)) for name in _COLUMNS), b""])


def _cell(name: str, value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str if name in _HEX | _TEXT else int) or isinstance(value, bool):
        raise TypeError(f"{name} cannot be {value!r}")
    return bytes.fromhex(str(value)) if name in _HEX else value


def _payload(data: Mapping[str, str]) -> Payload | None:
    if not data:
        return None
    return bytes.fromhex(data["salt"]), data["body"].encode() if "body" in data else bytes.fromhex(data["body_hex"])
