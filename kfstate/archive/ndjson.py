"""The whole log as NDJSON, one row a line, and back: for verifiers, other tools, and moving to another database.

The first line says which log it is, the last one where it ends. In between stand the rows of the log's tables under the
names of their columns, each name, stream, pull and machine before the first entry that speaks of it; NULL is left out.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import IO, Any

import attrs
import msgspec
from sqlalchemy import Connection, Table

from kfstate.archive.pieces import AT, Marks, Piece, unload
from kfstate.errors import ArchiveError
from kfstate.store.canonical import LOG_ID_BYTES, first_link
from kfstate.store.head import read_head
from kfstate.store.json_rows import JsonRow, read_payload, write_payload
from kfstate.store.rows import Head
from kfstate.store.tables import kf_entry, kf_identity, kf_machine, kf_name, kf_pull, kf_stream

__all__ = ["NDJSON_VERSION", "end_line", "header_line", "lines", "read_header", "read_pieces", "write_log"]

NDJSON_VERSION = 1
"""Number of this form; what has another one is not read."""

_WINDOW = 262_144
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(dict[str, Any])
_BESIDE: tuple[tuple[str, Table], ...] = (
    ("machines", kf_machine),
    ("names", kf_name),
    ("streams", kf_stream),
    ("pulls", kf_pull),
)


_FORMS = {name: JsonRow.of(table) for name, table in _BESIDE}
_ENTRY = JsonRow.of(kf_entry)
_IDENTITY = JsonRow.of(kf_identity, without={"position"})
_KNOWN = {form.table.name: name for name, form in _FORMS.items()}


def _decode(line: bytes) -> dict[str, Any]:
    """Return an object. Raises ValueError."""
    try:
        return _decoder.decode(line)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def header_line(log: Head) -> bytes:
    """Return the first line; ``log`` with position and chain before the first entry."""
    told = {"log_id": log.log_id.hex(), "created_at": log.created_at, "after": log.position, "chain": log.chain.hex()}
    return bytes(_encode({"kfstate_log": NDJSON_VERSION, **told})) + b"\n"


def end_line(position: int, chain: bytes) -> bytes:
    """Return the last line: without it, a file was cut off."""
    return bytes(_encode({"end": position, "chain": chain.hex()})) + b"\n"


def lines(piece: Piece) -> Iterator[bytes]:
    """Return the lines of a piece."""
    for name, form in _FORMS.items():
        for row in getattr(piece, name):
            yield bytes(_encode({form.table.name: form.write(row)})) + b"\n"
    payloads = {row[0]: row[1:] for row in piece.payloads}
    identities = {row[2]: (row[0], row[1], row[3]) for row in piece.identities}
    for row in piece.entries:
        told = {"kf_entry": _ENTRY.write(row)}
        if row[0] in payloads:
            told["kf_payload"] = write_payload(*payloads[row[0]])
        if row[0] in identities:
            told["kf_identity"] = _IDENTITY.write(identities[row[0]])
        yield bytes(_encode(told)) + b"\n"


def read_header(source: Iterable[bytes], path: str) -> Head:
    """Return what the first line says: the log, with position and chain before the first entry.

    Raises :class:`~kfstate.errors.ArchiveError`.
    """
    try:
        told = _decode(next(iter(source)))
        if told["kfstate_log"] != NDJSON_VERSION:
            raise ArchiveError(path, f"form {str(told['kfstate_log'])[:100]} is not known to this release")
        log = _log(told)
    except (StopIteration, KeyError, TypeError, ValueError) as error:
        raise ArchiveError(path, f"it is no log of kfstate: {_said(error)}") from error
    if (told["after"], log.chain) != (0, first_link(log.log_id, log.created_at)):
        raise ArchiveError(path, f"it does not begin where its log does, but after {str(told['after'])[:100]}")
    return log


def _log(told: dict[str, Any]) -> Head:
    log_id, created_at, _ = bytes.fromhex(told["log_id"]), told["created_at"], told["after"]
    if len(log_id) != LOG_ID_BYTES or type(created_at) is not int or not 0 <= created_at < 1 << 63:
        raise ValueError(f"log_id {told['log_id'][:100]}, created_at {str(created_at)[:100]}")
    return Head(log_id, created_at, 0, bytes.fromhex(told["chain"]), 0)


def _said(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)[:300]


def read_pieces(source: IO[bytes], path: str, log: Head, *, size: int = 10_000) -> Iterator[Piece]:
    """Return what follows the first line, which says that it is of this log, in pieces of so many entries.

    Raises :class:`~kfstate.errors.ArchiveError` at the first line that cannot be read, and where the end is missing.
    """
    held = _Held(log.position, log.chain)
    for number, line in enumerate(source, 2):
        try:
            held.take(_decode(line))
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveError(path, f"line {number} cannot be read: {_said(error)}") from error
        if len(held.entries) == size:
            yield held.piece()
    if not held.ended:
        raise ArchiveError(path, "its last line is missing: it was cut off")
    if held.entries:
        yield held.piece()


@attrs.define
class _Held:
    """What was read so far, and is not in a piece yet; ``at`` and ``link`` are those of the last entry."""

    at: int
    link: bytes
    ended: bool = False
    ids: dict[str, int] = attrs.Factory(dict)
    """The greatest so far: names, streams and pulls come in the order of their ids, each once."""
    entries: list[tuple[Any, ...]] = attrs.Factory(list)
    payloads: list[tuple[Any, ...]] = attrs.Factory(list)
    identities: list[tuple[Any, ...]] = attrs.Factory(list)
    beside: dict[str, list[tuple[Any, ...]]] = attrs.Factory(lambda: {name: [] for name in _FORMS})

    def take(self, told: dict[str, Any]) -> None:
        """Take a line. Raises ValueError, KeyError, TypeError."""
        if self.ended:
            raise ValueError("the log has ended before")
        if "kf_entry" in told:
            if unknown := told.keys() - {"kf_entry", "kf_payload", "kf_identity"}:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))[:100]}")
            self._entry(**told)
        elif "end" in told:
            self.ended = True
            if told != {"end": self.at, "chain": self.link.hex()}:
                raise ValueError(f"it ends at {self.at}, and should at {str(told['end'])[:100]}")
        else:
            ((table, row),) = told.items() if len(told) == 1 else [(", ".join(told), None)]
            if table not in _KNOWN:
                raise ValueError(f"unknown: {table[:100]}")
            self._beside(_KNOWN[table], row)

    def _entry(self, kf_entry: Any, kf_payload: Any = None, kf_identity: Any = None) -> None:
        entry = _ENTRY.read(kf_entry)
        if entry[0] != self.at + 1:
            raise ValueError(f"entry {entry[0]} follows entry {self.at}")
        self.at, self.link = entry[0], entry[AT["chain"]]
        self.entries.append(entry)
        if kf_payload is not None:
            self.payloads.append((self.at, *read_payload(kf_payload)))
        if kf_identity is not None:
            day, key, content = _IDENTITY.read(kf_identity)
            self.identities.append((day, key, self.at, content))

    def _beside(self, name: str, row: Any) -> None:
        read = _FORMS[name].read(row)
        if name != "machines":
            before, self.ids[name] = self.ids.get(name, 0), read[0]
            if read[0] <= before:
                raise ValueError(f"{name}: {read[0]} follows {before}")
        self.beside[name].append(read)

    def piece(self) -> Piece:
        """Return what was taken, and go on after it."""
        taken = Piece(self.entries, self.payloads, self.identities, marks=Marks(), **self.beside)
        self.entries, self.payloads, self.identities = [], [], []
        self.beside = {name: [] for name in _FORMS}
        return taken


def write_log(
    reading: Callable[[], AbstractContextManager[Connection]],
    target: IO[bytes],
    *,
    until: int | None = None,
    size: int = 10_000,
    progress: Callable[[int], None] | None = None,
) -> tuple[int, bytes]:
    """Write the log, up to ``until``, and return position and chain of its last entry.

    ``reading`` opens the transactions that it is read in; ``progress`` is called with the number of entries of each
    piece of ``size``.
    """
    with reading() as conn:
        head = read_head(conn)
    link = first_link(head.log_id, head.created_at)
    target.write(header_line(head._replace(position=0, chain=link)))
    position, marks, upper = 0, Marks(), head.position if until is None else min(until, head.position)
    while position < upper:
        with reading() as conn:
            for piece in unload(conn, position, min(position + _WINDOW, upper), marks, size=size):
                target.writelines(lines(piece))
                position, link, marks = piece.last, piece.chain, piece.marks
                if progress is not None:
                    progress(len(piece.entries))
    target.write(end_line(position, link))
    return position, link
