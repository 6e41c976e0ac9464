"""The slow way to cut a JSON object or list into its parts, for input that strict readers refuse.

A lone surrogate (half an emoji), a control character, a number beyond any float or brackets nested a million deep spoil
one value; where that value ends is clear all the same. So nothing is looked at inside a value but its brackets and
strings, in one pass and without recursion. What is cut out is byte for byte what came in.
"""

import json
import re
from collections.abc import Iterator

__all__ = ["MAX_DEPTH", "nested", "scan_list", "scan_object"]

MAX_DEPTH = 256
"""How deep brackets nest in what is read; a fixed number: how deep a recursive reader gets depends on its stack."""

_decoder = json.JSONDecoder(strict=False)
_blank = re.compile(rb"[ \t\n\r]*")
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_plain = re.compile(
    _STRING + rb"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null|NaN|-?Infinity", re.DOTALL
)
_signs = re.compile(rb'(?:[^\[\]{}"]++|' + _STRING + rb")*+([\[{]++|[\]}]++)", re.DOTALL)
"""The next brackets of one kind, after whatever else there is."""
_CLOSING = bytes.maketrans(b"[{", b"]}")
_QUOTE = ord('"')


def scan_object(raw: bytes) -> dict[str, bytes] | None:
    """Return the bytes of each member of the object *raw*; None where *raw* is no whole object."""
    try:
        return dict(_parts(raw, b"{", b"}"))
    except ValueError:
        return None


def scan_list(raw: bytes) -> tuple[bytes, ...] | None:
    """Return the bytes of each item of the list *raw*; None where *raw* is no whole list."""
    try:
        return tuple(item for _, item in _parts(raw, b"[", b"]"))
    except ValueError:
        return None


def nested(raw: bytes) -> bool:
    """Return whether the brackets of the JSON value *raw* nest deeper than :data:`MAX_DEPTH`."""
    # brackets come in pairs
    if len(raw) <= 2 * MAX_DEPTH or raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    depth, found = 0, _signs.match(raw)
    while found is not None and depth <= MAX_DEPTH:
        start, end = found.span(1)
        depth += end - start if raw[start] in b"[{" else start - end
        found = _signs.match(raw, end)
    return depth > MAX_DEPTH


def _parts(raw: bytes, opening: bytes, closing: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield key ('' in a list) and value of each part; a ValueError where the text does not go on as it must."""
    at = _after(raw, 0, opening)
    more = not raw.startswith(closing, at)
    while more:
        key = ""
        if opening == b"{":
            key, at = _key(raw, at)
        end = _end(raw, at)
        yield key, raw[at:end]
        at = _skip(raw, end)
        more = not raw.startswith(closing, at)
        if more:
            at = _after(raw, at, b",")
    if _after(raw, at, closing) != len(raw):
        raise ValueError(at)


def _key(raw: bytes, at: int) -> tuple[str, int]:
    """Return the key of the member at *at*, and where its value stands."""
    end = _end(raw, at)
    if raw[at] != _QUOTE:
        raise ValueError(at)
    return _decoder.decode(raw[at:end].decode("utf-8", "surrogateescape")), _after(raw, end, b":")


def _end(raw: bytes, at: int) -> int:
    """Return where the value at *at* ends."""
    if raw.startswith((b"[", b"{"), at):
        return _closed(raw, at)
    plain = _plain.match(raw, at)
    if plain is None:
        raise ValueError(at)
    return plain.end()


def _closed(raw: bytes, at: int) -> int:
    """Return where the bracket at *at* is closed, and all inside it."""
    due = bytearray()
    while found := _signs.match(raw, at):
        signs = found[1]
        at = found.end()
        if signs[0] in b"[{":
            due += signs.translate(_CLOSING)
            continue
        closing = signs[: len(due)]
        if due[: -len(closing) - 1 : -1] != closing:
            break
        del due[-len(closing) :]
        if not due:
            return at - len(signs) + len(closing)
    raise ValueError(at)


def _skip(raw: bytes, at: int) -> int:
    blank = _blank.match(raw, at)
    return at if blank is None else blank.end()


def _after(raw: bytes, at: int, sign: bytes) -> int:
    """Return where *raw* goes on after *sign*, which must stand at *at* or behind blanks."""
    at = _skip(raw, at)
    if not raw.startswith(sign, at):
        raise ValueError(at)
    return _skip(raw, at + 1)
