"""A proof as a file: JSON in the form that an exported log has, for whoever checks it without kfstate, too.

``docs/reference/chain.md`` describes it. What no hash covers has no place in it, so nothing else is read.
"""

import json
from typing import Any, NamedTuple

import attrs

from kfstate.audit.proofs.heads import TreeHead
from kfstate.store.canonical import DIGEST_BYTES
from kfstate.store.json_rows import JsonRow, once, read_payload, write_payload
from kfstate.store.rows import EntryRow, Stream
from kfstate.store.tables import kf_entry, kf_name, kf_stream

__all__ = ["FORM", "Evidence", "Name", "Payload", "Proof", "read"]

FORM = 1
"""Number of this form; what has another one is not read."""

Payload = tuple[bytes, bytes]
"""Salt and body."""

_STREAM = JsonRow.of(kf_stream)
_NAME = JsonRow.of(kf_name, without={"corp_id", "kind", "folded"})
_ENTRY = JsonRow.of(kf_entry, without={"chain"})


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
            "kf_stream": _STREAM.write(self.stream),
            "kf_name": [_NAME.write((name.id, name.salt, name.value, name.commitment)) for name in self.names],
            "entries": [
                {"kf_entry": _ENTRY.write(row[:-1]), "kf_payload": write_payload(*payload or (None, None))}
                for row, payload in ((entry.row, entry.payload) for entry in self.entries)
            ],
            "nodes": [node.hex() for node in self.nodes],
        }
        return json.dumps(data, ensure_ascii=False, indent=1)


def read(text: str) -> Proof:
    """Return the proof that a text is. Raises ValueError where it is none."""
    try:
        form, head, stream, names, entries, nodes = _members(
            json.loads(text, object_pairs_hook=once),
            "kfstate_proof",
            "head",
            "kf_stream",
            "kf_name",
            "entries",
            "nodes",
        )
        if type(form) is not int or form != FORM:
            raise ValueError(f"form {str(form)[:100]} is not known to this release")
        return Proof(
            head=TreeHead.parse(head),
            stream=Stream(*_STREAM.read(stream)),
            names=tuple(map(_name, _list(names))),
            entries=tuple(map(_evidence, _list(entries))),
            nodes=tuple(map(_node, _list(nodes))),
        )
    except (AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"no proof of kfstate: {error!r}") from error


def _members(told: Any, *names: str) -> tuple[Any, ...]:
    if not isinstance(told, dict) or told.keys() != set(names):
        raise ValueError(f"no proof of kfstate: not {', '.join(names)}: {str(told)[:100]}")
    return tuple(told[name] for name in names)


def _list(told: Any) -> list[Any]:
    if not isinstance(told, list):
        raise TypeError(f"no list: {str(told)[:100]}")
    return told


def _name(told: Any) -> Name:
    id_, salt, value, commitment = _NAME.read(told)
    if (salt is None) is not (value is None):
        raise ValueError(f"name {id_} has salt or value alone")
    return Name(id_, commitment, salt, value)


def _evidence(told: Any) -> Evidence:
    entry, payload = _members(told, "kf_entry", "kf_payload")
    salt, body = read_payload(payload)
    return Evidence(EntryRow._make((*_ENTRY.read(entry), b"")), None if salt is None or body is None else (salt, body))


def _node(told: Any) -> bytes:
    node = bytes.fromhex(told)
    if len(node) != DIGEST_BYTES:
        raise ValueError(f"no node: {told[:100]}")
    return node
