"""What is valid only for a time: access tokens, callback tokens, and the one-shot codes of ``send_msg_on_event``."""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import attrs

from kfstate.clock import SECOND
from kfstate.service_state import KfServiceState as State

__all__ = ["SCENES", "Code", "Codes", "Scene", "Tokens", "fresh"]


class Scene(NamedTuple):
    """What a code is for: how long it is valid, which messages it takes, and the state it is bound to."""

    seconds: int
    msgtypes: frozenset[str]
    state: State | None


_TEXT = frozenset({"text"})
_TEXT_OR_MENU = frozenset({"text", "msgmenu"})
SCENES: Mapping[str, Scene] = MappingProxyType(
    {
        "welcome": Scene(20, _TEXT_OR_MENU, None),
        "queue": Scene(48 * 3_600, _TEXT, State.QUEUE),
        "taken": Scene(48 * 3_600, _TEXT, State.MANUAL),
        "ended": Scene(20, _TEXT_OR_MENU, State.FINISHED),
    }
)
"""The four events that may be answered (page 95122)."""


@attrs.frozen
class Code:
    """A code that was given, for one message in one conversation."""

    scene: Scene
    open_kfid: str
    external_userid: str
    session: int
    expires_at: int


class Codes:
    """The codes that may still be used."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._codes: dict[str, Code] = {}
        self._given = 0

    def give(self, scene: str, open_kfid: str, external_userid: str, *, session: int, now: int) -> str:
        """Return a new code."""
        self._given += 1
        value = fresh("MC", f"{self._tag}/code/{self._given}", 30)
        kind = SCENES[scene]
        self._codes[value] = Code(kind, open_kfid, external_userid, session, now + kind.seconds * SECOND)
        return value

    def find(self, value: str, now: int) -> Code | None:
        """Return a code that is neither unknown, nor used, nor too old."""
        code = self._codes.get(value)
        return code if code is not None and now < code.expires_at else None

    def use(self, value: str) -> None:
        """Take a code away."""
        del self._codes[value]


class Tokens:
    """Tokens of one kind, each good for a time and for one purpose; ``valid`` tells 'good', 'expired' or 'unknown'."""

    def __init__(self, tag: str, prefix: str, seconds: int, length: int) -> None:
        self._tag, self._prefix, self._seconds, self._length = tag, prefix, seconds, length
        self._until: dict[str, tuple[int, str]] = {}
        self._given = 0
        self._newest = ""

    def give(self, now: int, purpose: str = "") -> str:
        """Return a new token."""
        self._given += 1
        value = fresh(self._prefix, f"{self._tag}/{self._prefix}/{self._given}", self._length)
        self._until[value] = (now + self._seconds * SECOND, purpose)
        self._newest = value
        if self._given % 1_000 == 0:
            long_ago = now - self._seconds * SECOND
            self._until = {token: until for token, until in self._until.items() if until[0] > long_ago}
        return value

    def current(self, now: int) -> tuple[str, int]:
        """Return the token that is good now, the same until it expires, and how many seconds that will take."""
        until = self._until.get(self._newest, (0, ""))[0]
        if until <= now:
            until = self._until[self.give(now)][0]
        return self._newest, max(1, (until - now) // SECOND)

    def expire(self, now: int) -> None:
        """Let every token end now."""
        self._until = {token: (min(until, now), purpose) for token, (until, purpose) in self._until.items()}

    def forget(self) -> None:
        """Let every token be one that never was."""
        self._until.clear()

    def valid(self, value: str, now: int, purpose: str = "") -> str:
        """Tell how good a token is."""
        until, meant_for = self._until.get(value, (None, ""))
        if until is None or meant_for != purpose:
            return "unknown"
        return "good" if now < until else "expired"


def fresh(prefix: str, text: str, length: int) -> str:
    """Return an id of ``length`` characters that begins with ``prefix`` and looks like one of WeCom's."""
    return (prefix + hashlib.sha256(text.encode()).hexdigest() + hashlib.sha256(text[::-1].encode()).hexdigest())[
        :length
    ]
