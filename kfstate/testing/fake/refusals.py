"""What calls are refused with, and how their requests are read."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from kfstate.testing.fake.world import Desk, World

__all__ = ["ERRMSG", "RefusedError", "choice", "desk_of", "guest_of", "ids", "msgid_of", "number", "text"]

ERRMSG = {
    -1: "system busy",
    40001: "invalid credential",
    40013: "invalid corpid",
    40014: "invalid access_token",
    40029: "invalid code",
    40058: "invalid request parameter",
    40096: "invalid external_userid",
    41001: "access_token missing",
    42001: "access_token expired",
    43001: "require GET method",
    43002: "require POST method",
    45009: "api freq out of limit",
    47001: "data format error",
    48002: "api forbidden",
    60020: "not allow to access from your ip",
    95000: "invalid open_kfid",
    95001: "send msg count limit",
    95002: "send msg time limit",
    95004: "open_kfid not exist",
    95007: "invalid msg token",
    95013: "conversation end",
    95014: "user is not a servicer",
    95016: "not allow to change the service state",
    95018: "send msg session status invalid",
    95019: "servicer stops receiving",
    95033: "repeated msgid",
}
"""What WeCom says with each code; its wording is no contract."""

_OPEN_KFID = re.compile(r"[\x21-\x7e]{1,128}")
_MSGID = re.compile(r"[0-9a-zA-Z_-]{0,32}")


@attrs.define(slots=False, str=False, eq=False)
class RefusedError(Exception):
    """The server refuses a call; ``detail`` says which part of it."""

    errcode: int
    detail: str = ""

    def reply(self) -> dict[str, object]:
        """Return the reply."""
        words = ERRMSG.get(self.errcode, "refused")
        return {"errcode": self.errcode, "errmsg": f"{words}, {self.detail}" if self.detail else words}


def text(request: Mapping[str, Any], name: str, *, default: str | None = None, longest: int = 128) -> str:
    """Return a field that is a string; without ``default`` it has to be there."""
    value = request.get(name, default)
    if not isinstance(value, str) or len(value.encode("utf-8", "surrogatepass")) > longest:
        raise RefusedError(40058, f"field `{name}` is no string of at most {longest} bytes")
    if not value and default is None:
        raise RefusedError(40058, f"field `{name}` unexpected empty string")
    return value


def number(request: Mapping[str, Any], name: str, *, low: int, high: int, default: int | None = None) -> int:
    """Return a field that is a whole number between ``low`` and ``high``."""
    value = request.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise RefusedError(40058, f"field `{name}` is no number from {low} to {high}")
    return value


def choice(request: Mapping[str, Any], name: str, values: tuple[object, ...], default: object) -> object:
    """Return a field that has one of ``values``."""
    value = request.get(name, default)
    if value not in values:
        raise RefusedError(40058, f"field `{name}` is none of {values}")
    return value


def ids(request: Mapping[str, Any], name: str, kind: type, *, most: int = 100) -> list[Any]:
    """Return a field that is a list of at most ``most`` things of a kind."""
    value = request.get(name, [])
    if not isinstance(value, list) or len(value) > most or not all(isinstance(item, kind) for item in value):
        raise RefusedError(40058, f"field `{name}` is no list of at most {most}")
    return value


def desk_of(world: World, request: Mapping[str, Any]) -> Desk:
    """Return the account that a request names."""
    open_kfid = text(request, "open_kfid", longest=1_024)
    if _OPEN_KFID.fullmatch(open_kfid) is None:
        raise RefusedError(95000)
    desk = world.desks.get(open_kfid)
    if desk is None:
        raise RefusedError(95004)
    return desk


def guest_of(world: World, request: Mapping[str, Any], name: str = "external_userid") -> str:
    """Return the customer that a request names."""
    external_userid = text(request, name, longest=1_024)
    if external_userid not in world.guests:
        raise RefusedError(40096)
    return external_userid


def msgid_of(world: World, desk: Desk, request: Mapping[str, Any]) -> str:
    """Return the msgid that the sender chose, or a new one; each is good for one message of the account."""
    msgid = text(request, "msgid", default="", longest=1_024)
    if _MSGID.fullmatch(msgid) is None:
        raise RefusedError(40058, "field `msgid` is no string of at most 32 of 0-9 a-z A-Z _ -")
    if msgid in desk.msgids:
        raise RefusedError(95033)
    return msgid or world.message_id()
