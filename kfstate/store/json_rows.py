"""Rows of the log's tables as JSON data, in exported logs and in proofs, and back: strictly, for they are evidence.

A row is an object with the names of its columns. NULL is left out, bytes are hex. A payload is text where it is UTF-8.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import attrs
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, SmallInteger, Table

from kfstate.store.canonical import SALT_BYTES
from kfstate.store.columns import as_text

__all__ = ["JsonRow", "once", "read_payload", "write_payload"]

_LONGEST = 1 << 30
_PAYLOAD = ({"salt", "body"}, {"salt", "body_hex"})


@attrs.frozen
class JsonRow:
    """How the rows of a table are written."""

    columns: tuple[str, ...]
    binary: frozenset[str]
    values: Mapping[str, Callable[[Any], bool]]
    """Column → whether it can hold a value."""
    required: frozenset[str]
    table: Table

    @classmethod
    def of(cls, table: Table, *, without: Collection[str] = ()) -> "JsonRow":
        """Return the form of a table; ``without`` columns that are not told, or stand elsewhere."""
        columns = [column for column in table.columns if column.name not in without]
        return cls(
            columns=tuple(column.name for column in columns),
            binary=frozenset(column.name for column in columns if isinstance(column.type, LargeBinary)),
            values={column.name: _holding(column) for column in columns},
            required=frozenset(column.name for column in columns if not column.nullable),
            table=table,
        )

    def write(self, row: Iterable[Any]) -> dict[str, Any]:
        """Return a row as JSON data."""
        told = {name: value for name, value in zip(self.columns, row, strict=True) if value is not None}
        for name in self.binary & told.keys():
            told[name] = told[name].hex()
        return {name: value if type(value) is not bytes else as_text(value) for name, value in told.items()}

    def read(self, told: Any) -> tuple[Any, ...]:
        """Return what :meth:`write` was given. Raises ValueError, TypeError."""
        if not isinstance(told, dict) or not told.keys() <= set(self.columns):
            raise ValueError(f"no row of {self.table.name}: {str(told)[:100]}")
        if lacking := self.required - told.keys():
            raise ValueError(f"{self.table.name} lacks {', '.join(sorted(lacking))}")
        given = {name: bytes.fromhex(value) if name in self.binary else value for name, value in told.items()}
        for name, value in given.items():
            if not self.values[name](value):
                raise ValueError(f"{self.table.name}.{name} cannot be {str(told[name])[:100]}")
        return tuple(map(given.get, self.columns))


def _holding(column: Column[Any]) -> Callable[[Any], bool]:
    """Return what tells whether a column can hold a value that is not NULL, in every database."""
    kind: Any = column.type
    if isinstance(kind, LargeBinary):
        return lambda value: len(value) == kind.length
    if isinstance(kind, Integer):
        limit = 1 << (15 if isinstance(kind, SmallInteger) else 63 if isinstance(kind, BigInteger) else 31)
        return lambda value: type(value) is int and -limit <= value < limit
    size = getattr(kind, "size", _LONGEST)
    return lambda value: type(value) is str and len(value) <= size and "\0" not in value


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, for ``object_pairs_hook``: whoever reads the file another way sees the same in it."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def write_payload(salt: bytes | None, body: bytes | None) -> dict[str, str]:
    """Return a payload as JSON data: empty where it is gone."""
    if salt is None or body is None:
        return {}
    try:
        return {"salt": bytes(salt).hex(), "body": bytes(body).decode()}
    except UnicodeDecodeError:
        return {"salt": bytes(salt).hex(), "body_hex": bytes(body).hex()}


def read_payload(told: Any) -> tuple[bytes, bytes] | tuple[None, None]:
    """Return what :func:`write_payload` was given. Raises ValueError."""
    if told == {}:
        return None, None
    if not isinstance(told, dict) or told.keys() not in _PAYLOAD or {type(value) for value in told.values()} != {str}:
        raise ValueError("kf_payload is no salt with a body")
    salt = bytes.fromhex(told["salt"])
    if len(salt) != SALT_BYTES:
        raise ValueError(f"kf_payload.salt cannot be {told['salt'][:100]}")
    return salt, told["body"].encode() if "body" in told else bytes.fromhex(told["body_hex"])
