"""The types of our columns: the same values on every database, and ids that compare byte by byte."""

from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, String
from sqlalchemy import Text as AnyText
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from kfstate.errors import CorruptLogError

__all__ = ["BigKey", "Body", "Digest", "Id", "Key", "Salt", "Text", "as_text", "bytes_at"]

_MYSQL = ("mysql", "mariadb")

BigKey = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit primary key; SQLite makes it the rowid only under the name INTEGER."""
Digest = LargeBinary(32).with_variant(mysql.BINARY(32), *_MYSQL)
Key = LargeBinary(16).with_variant(mysql.BINARY(16), *_MYSQL)
"""The first 16 bytes of a SHA-256: enough to know an entry again, and half the pages that a commit dirties."""
Salt = LargeBinary(16).with_variant(mysql.BINARY(16), *_MYSQL)
Body = LargeBinary().with_variant(mysql.LONGBLOB(), *_MYSQL)
Text = AnyText().with_variant(mysql.LONGTEXT(charset="utf8mb4"), *_MYSQL)
"""Text of any length that is never compared."""


class Id(TypeDecorator[str]):
    """Text that compares byte by byte: 'a' is not 'A', and a trailing blank counts."""

    impl = String
    cache_ok = True

    def __init__(self, length: int = 128) -> None:
        """Take the longest length in characters."""
        super().__init__(length)
        self.size = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type with a collation that pads nothing and ignores nothing; SQLite's own is such a one.

        MySQL and MariaDB have no name of such a collation in common (docs/adr/0014).
        """
        if dialect.name in _MYSQL:
            maria = dialect.name == "mariadb" or getattr(dialect, "is_mariadb", False)
            collation = "utf8mb4_nopad_bin" if maria else "utf8mb4_0900_bin"
            return dialect.type_descriptor(mysql.VARCHAR(self.size, charset="utf8mb4", collation=collation))
        return dialect.type_descriptor(String(self.size, collation="C" if dialect.name == "postgresql" else None))


def as_text(value: str | bytes) -> str:
    """Return an :class:`Id` column as text, as whatever driver handed it out."""
    return value if isinstance(value, str) else bytes(value).decode()


def bytes_at(position: int, column: str, value: Any, length: int | None = None) -> bytes:
    """Return a column of bytes: SQLite keeps text, and bytes of any length, where no other database would.

    Raises :class:`~kfstate.errors.CorruptLogError` at that position (0: of the log as a whole) for what cannot be.
    """
    if not isinstance(value, bytes | bytearray | memoryview):
        raise CorruptLogError(position, f"{column} holds what no column can hold: no bytes")
    if length is not None and len(value) != length:
        raise CorruptLogError(position, f"{column} holds what no column can hold: {len(value)} bytes, not {length}")
    return bytes(value)
