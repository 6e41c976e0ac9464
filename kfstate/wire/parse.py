"""From bytes to JSON objects; every failure is one :class:`~kfstate.errors.WireError`."""

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import msgspec

from kfstate.errors import WireError
from kfstate.wire.readers import JsonObject, is_object
from kfstate.wire.scan import MAX_DEPTH, nested
from kfstate.wire.write import write

__all__ = ["UNREADABLE", "Json", "excerpt", "parse_object", "to_bytes"]

Json: TypeAlias = bytes | str | Mapping[str, object]
"""A JSON object as it may come in: its bytes, its text, or read already."""

UNREADABLE = (msgspec.MsgspecError, TypeError, ValueError, RecursionError)
"""What a JSON library raises on input that it cannot read or write."""

BOM = b"\xef\xbb\xbf"
EXCERPT = 200

_decode = msgspec.json.Decoder().decode


def excerpt(value: Any) -> str:
    """Return *value* for an error, at most 200 characters of it."""
    # four bytes a character at most: a page of a megabyte is not decoded for the sake of its first words
    try:
        text = value[: 4 * EXCERPT].decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    except RecursionError:
        text = f"<{type(value).__name__}>"
    return text[:EXCERPT]


def to_bytes(data: Json, path: str) -> bytes:
    """Return the UTF-8 of *data* without a byte order mark; a lone surrogate becomes bytes that no reader accepts.

    Raises:
        WireError: *data* holds what JSON has no form for.
    """
    if isinstance(data, Mapping):
        try:
            return msgspec.json.encode(dict(data))
        except UNREADABLE:
            return _slowly(data, path)
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return raw.removeprefix(BOM)


def _slowly(data: Mapping[str, object], path: str) -> bytes:
    """Return *data* however deep it nests, with every character beyond ASCII escaped, as a lone surrogate needs it."""
    try:
        return write(data)
    except UNREADABLE as error:
        raise WireError(path, excerpt(data), f"not JSON ({error})") from error


def parse_object(data: object, path: str) -> JsonObject:
    """Return the JSON object that *data* is; ``path`` says where it stands.

    Raises:
        WireError: *data* is no JSON, or no JSON object.
    """
    try:
        value = _decoded(data) if type(data) is bytes and data[:1] == b"{" else _read(data, path)
    except UNREADABLE as error:
        raise WireError(path, excerpt(data), f"not JSON ({error})") from error
    if not is_object(value):
        raise WireError(path, excerpt(data), "not a JSON object")
    return value


def _decoded(data: bytes) -> object:
    if nested(data):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return _decode(data)


def _read(data: object, path: str) -> object:
    """Read anything but plain bytes; values that are read already are copied, and enum members become plain."""
    if isinstance(data, bytes | str):
        return _decoded(to_bytes(data, path))
    return msgspec.to_builtins(dict(cast("Mapping[str, object]", data))) if isinstance(data, Mapping) else data
