"""The slow way to cut a JSON object or list into its parts, for input that strict readers refuse.

A lone surrogate (half an emoji), a control character or a number beyond any float spoils one value; where that value
ends is clear all the same. What is cut out is byte for byte what came in.
"""

import json
import re
from collections.abc import Iterator

__all__ = ["scan_list", "scan_object"]

_decoder = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)
_blank = re.compile(r"[ \t\n\r]*")


def scan_object(raw: bytes) -> dict[str, bytes] | None:
    """Return the bytes of each member of the object *raw*; None where *raw* is no whole object."""
    try:
        return dict(_parts(raw, "{", "}"))
    except (ValueError, RecursionError):
        return None


def scan_list(raw: bytes) -> tuple[bytes, ...] | None:
    """Return the bytes of each item of the list *raw*; None where *raw* is no whole list."""
    try:
        return tuple(item for _, item in _parts(raw, "[", "]"))
    except (ValueError, RecursionError):
        return None


def _parts(raw: bytes, opening: str, closing: str) -> Iterator[tuple[str, bytes]]:
    """Yield key ('' in a list) and value of each part; a ValueError where the text does not go on as it must."""
    text = raw.decode("utf-8", "surrogateescape")
    at = _after(text, 0, opening)
    more = not text.startswith(closing, at)
    while more:
        key = ""
        if opening == "{":
            _after(text, at, '"')
            key, at = _decoder.raw_decode(text, at)
            at = _after(text, at, ":")
        _, end = _decoder.raw_decode(text, at)
        yield key, text[at:end].encode("utf-8", "surrogateescape")
        at = _skip(text, end)
        more = not text.startswith(closing, at)
        if more:
            at = _after(text, at, ",")
    if _after(text, at, closing) != len(text):
        raise ValueError(text[at:])


def _skip(text: str, at: int) -> int:
    blank = _blank.match(text, at)
    return at if blank is None else blank.end()


def _after(text: str, at: int, sign: str) -> int:
    """Return where *text* goes on after *sign*, which must stand at *at* or behind blanks."""
    at = _skip(text, at)
    if not text.startswith(sign, at):
        raise ValueError(text[at:])
    return _skip(text, at + 1)
