"""The slow way to write JSON, for what fast writers refuse: half an emoji, and brackets nested without end."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

__all__ = ["write"]


@attrs.frozen
class _Open:
    """A container that is being written: itself, its items still to come with the text before each, and its end."""

    value: object
    rest: Iterator[tuple[str, Any]]
    end: str


def write(value: Mapping[Any, Any]) -> bytes:
    """Return *value* as JSON, without recursion and with every character beyond ASCII escaped.

    Raises:
        TypeError: JSON has no form for something in it.
        ValueError: a container stands in itself.
    """
    parts, opened = ["{"], [_open(value)]
    path = {id(value)}
    while opened:
        for before, item in opened[-1].rest:
            parts.append(before)
            if not isinstance(item, Mapping | list | tuple):
                parts.append(json.dumps(item))
                continue
            if id(item) in path:
                raise ValueError("a container stands in itself")
            path.add(id(item))
            parts.append("{" if isinstance(item, Mapping) else "[")
            opened.append(_open(item))
            break
        else:
            done = opened.pop()
            path.remove(id(done.value))
            parts.append(done.end)
    return "".join(parts).encode()


def _open(item: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> _Open:
    return _Open(item, _members(item), "}") if isinstance(item, Mapping) else _Open(item, _items(item), "]")


def _members(value: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    comma = ""
    for key, item in value.items():
        yield comma + json.dumps({key: 0})[1:-2], item
        comma = ","


def _items(value: list[Any] | tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    for at, item in enumerate(value):
        yield "," if at else "", item
