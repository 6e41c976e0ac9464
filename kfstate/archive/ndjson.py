"""The whole log as NDJSON, one row a line, and back: for verifiers, other tools, and moving to another database.

The first line says which log it is, the last one where it ends. In between stand the rows of the log's tables under the
names of their columns, each name, stream, pull and machine before the first entry that speaks of it; NULL is left out.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import IO, Any

import attrs
import msgspec
from sqlalchemy import Connection, Integer, LargeBinary, Table

from kfstate.archive.pieces import AT, Marks, Piece, unload
from kfstate.errors import ArchiveError
from kfstate.store.canonical import first_link
from kfstate.store.columns import as_text
from kfstate.store.head import read_head
from kfstate.store.rows import Head
from kfstate.store.tables import kf_entry, kf_identity, kf_machine, kf_name, kf_pull, kf_stream

__all__ = ["NDJSON_VERSION", "end_line", "header_line", "lines", "read_header", "read_pieces", "write_log"]

NDJSON_VERSION = 1
"""Number of this form; what has another one is not read."""

_WINDOW = 262_144
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_BESIDE: tuple[tuple[str, Table], ...] = (
    ("machines", kf_machine),
    ("names", kf_name),
    ("streams", kf_stream),
    ("pulls", kf_pull),
)


@attrs.frozen
class _Form:
    """How the rows of a table are written."""

    columns: tuple[str, ...]
    binary: frozenset[str]
    table: Table

    @classmethod
    def of(cls, table: Table, *, without: str = "") -> "_Form":
        """Return the form of a table; ``without`` a column that stands elsewhere on the line."""
        columns = tuple(column.name for column in table.columns if column.name != without)
        binary = frozenset(
            column.name for column in table.columns if isinstance(column.type, LargeBinary) and column.name != "body"
        )
        return cls(columns, binary, table)

    def write(self, row: Iterable[Any]) -> dict[str, Any]:
        """Return a row as JSON data."""
        told = {name: value for name, value in zip(self.columns, row, strict=True) if value is not None}
        for name in self.binary & told.keys():
            told[name] = told[name].hex()
        return {name: value if type(value) is not bytes else as_text(value) for name, value in told.items()}

    def read(self, told: Any) -> tuple[Any, ...]:
        """Return what :meth:`write` was given. Raises ValueError."""
        if not isinstance(told, dict) or not told.keys() <= set(self.columns):
            raise ValueError(f"no row of {self.table.name}: {str(told)[:100]}")
        given = {name: bytes.fromhex(value) if name in self.binary else value for name, value in told.items()}
        columns = self.table.columns
        for name in self.columns:
            value = given.get(name)
            if value is None and not columns[name].nullable:
                raise ValueError(f"{self.table.name} lacks {name}")
            if (
                value is not None
                and name not in self.binary
                and type(value) is not (int if isinstance(columns[name].type, Integer) else str)
            ):
                raise ValueError(f"{self.table.name}.{name} cannot be {str(value)[:100]}")
        return tuple(given.get(name) for name in self.columns)


_FORMS = {name: _Form.of(table) for name, table in _BESIDE}
_ENTRY = _Form.of(kf_entry)
_IDENTITY = _Form.of(kf_identity, without="position")
_KNOWN = {form.table.name: name for name, form in _FORMS.items()}


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
            told["kf_payload"] = _payload(*payloads[row[0]])
        if row[0] in identities:
            told["kf_identity"] = _IDENTITY.write(identities[row[0]])
        yield bytes(_encode(told)) + b"\n"


def _payload(salt: bytes | None, body: bytes | None) -> dict[str, str]:
    if salt is None or body is None:
        return {}
    try:
        return {"salt": bytes(salt).hex(), "body": bytes(body).decode()}
    except UnicodeDecodeError:
        return {"salt": bytes(salt).hex(), "body_hex": bytes(body).hex()}


def read_header(source: Iterable[bytes], path: str) -> Head:
    """Return what the first line says: the log, with position and chain before the first entry.

    Raises :class:`~kfstate.errors.ArchiveError`.
    """
    try:
        told = _decode(next(iter(source)))
        if told["kfstate_log"] != NDJSON_VERSION:
            raise ArchiveError(path, f"form {told['kfstate_log']} is not known to this release")
        log_id, chain = bytes.fromhex(told["log_id"]), bytes.fromhex(told["chain"])
        return Head(log_id, told["created_at"], told["after"], chain, 0)
    except (StopIteration, KeyError, TypeError, ValueError) as error:
        raise ArchiveError(path, "it is no log of kfstate") from error


def read_pieces(source: IO[bytes], path: str, *, size: int = 10_000) -> Iterator[Piece]:
    """Return what follows the first line, in pieces of so many entries.

    Raises :class:`~kfstate.errors.ArchiveError` at the first line that cannot be read, and where the end is missing.
    """
    held = _Held()
    for number, line in enumerate(source, 2):
        try:
            told = _decode(line)
            if "end" in told:
                ended = told["end"], bytes.fromhex(told["chain"])
                break
            held.take(told)
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveError(path, f"line {number} cannot be read: {error}") from error
        if len(held.entries) == size:
            yield held.piece()
            held = _Held(held.last)
    else:
        raise ArchiveError(path, "its last line is missing: it was cut off")
    last = held.last if not held.entries else (held.entries[-1][0], held.entries[-1][AT["chain"]])
    if held.entries:
        yield held.piece()
    if last is not None and last != ended:
        raise ArchiveError(path, f"it ends at {last[0]}, and should at {ended[0]}")


@attrs.define
class _Held:
    """What was read of a piece so far."""

    last: tuple[int, bytes] | None = None
    """Position and chain of the entry before."""
    entries: list[tuple[Any, ...]] = attrs.Factory(list)
    payloads: list[tuple[Any, ...]] = attrs.Factory(list)
    identities: list[tuple[Any, ...]] = attrs.Factory(list)
    beside: dict[str, list[tuple[Any, ...]]] = attrs.Factory(lambda: {name: [] for name in _FORMS})

    def take(self, told: dict[str, Any]) -> None:
        """Take a line. Raises ValueError, KeyError."""
        if "kf_entry" not in told:
            ((table, row),) = told.items()
            name = _KNOWN[table]
            self.beside[name].append(_FORMS[name].read(row))
            return
        if not told.keys() <= {"kf_entry", "kf_payload", "kf_identity"}:
            raise ValueError(f"unknown: {', '.join(told)}")
        entry = _ENTRY.read(told["kf_entry"])
        self.entries.append(entry)
        if "kf_payload" in told:
            self.payloads.append((entry[0], *_read_payload(**told["kf_payload"])))
        if "kf_identity" in told:
            day, key, content = _IDENTITY.read(told["kf_identity"])
            self.identities.append((day, key, entry[0], content))

    def piece(self) -> Piece:
        """Return what was taken."""
        self.last = self.entries[-1][0], self.entries[-1][AT["chain"]]
        return Piece(self.entries, self.payloads, self.identities, marks=Marks(), **self.beside)


def _read_payload(salt: str = "", body: str | None = None, body_hex: str = "") -> tuple[bytes | None, bytes | None]:
    if not salt:
        return None, None
    return bytes.fromhex(salt), bytes.fromhex(body_hex) if body is None else body.encode()


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
