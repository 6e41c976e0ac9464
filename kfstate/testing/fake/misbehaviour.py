"""How the server goes wrong on purpose: by chance, with a seed, or when told to."""

from collections import deque
from typing import Literal, TypeAlias

import attrs

from kfstate.testing.simulation.dice import Chance, chance, pick

__all__ = ["CHANCES", "Dice", "Fault", "FaultKind", "Misbehaviour"]

FaultKind: TypeAlias = Literal["dropped", "hung", "server_error", "broken_json", "errcode", "expired_token"]


@attrs.frozen
class Fault:
    """What becomes of one call.

    Attributes:
        kind: ``dropped``: the connection is closed without a word. ``hung``: there is no answer for a long time, then
            it is closed. ``server_error``: 502 with a page of HTML. ``broken_json``: the answer is cut off in the
            middle. ``errcode``: the call is refused with ``errcode``. ``expired_token``: the access token has just
            expired.
        carried_out: Whether the call is carried out all the same.
        errcode: For ``errcode``.
    """

    kind: FaultKind
    carried_out: bool = False
    errcode: int = 0


def _share(value: "Misbehaviour", attribute: "attrs.Attribute[float]", number: float) -> None:
    if not 0 <= number <= 1:
        raise ValueError(f"{type(value).__name__}.{attribute.name} must be between 0 and 1, not {number!r}")


def _chance() -> float:
    default: float = attrs.field(default=0.0, validator=_share)
    return default


@attrs.frozen(kw_only=True)
class Misbehaviour:
    """How often what goes wrong; every share is between 0 and 1, and nothing goes wrong unless told.

    Attributes:
        seed: Decides everything that is left to chance. The same calls in the same order meet the same mishaps.
        duplicates: Share of entries that come twice, the second time later.
        shuffled: Share of pages whose entries come in any order.
        delayed: Share of entries that can be read only later, up to ``delay_seconds``.
        delay_seconds: How late at most.
        short_pages: Share of pages that hold fewer entries than asked for, with ``has_more`` 1.
        empty_pages: Share of pages that hold none, with ``has_more`` 1.
        server_errors: Share of calls that get 502; they are not carried out.
        dropped: Share of calls whose connection is closed; they are not carried out.
        hung: Share of calls that get no answer; they are not carried out.
        hang_seconds: How long those are kept, in seconds of the machine; longer than the client waits.
        broken_json: Share of reads whose answer is cut off.
        busy: Share of calls that get -1.
        limited: Share of calls that get 45009.
        expired_tokens: Share of calls before which the access token expires early.
        lost_replies: Share of changes and sends that are carried out, but whose reply never comes: the connection is
            closed or stands still, or the reply is 502 or cut off.
        failed_sends: Share of accepted sends that do not arrive, so that ``msg_send_fail`` follows.
        silent_changes: Share of customer messages after which WeCom's own routing moves the session, without a word.
        lost_callbacks: Share of callbacks that are never posted.
        repeated_callbacks: Share of callbacks that are posted twice.
    """

    seed: int | str = 0
    duplicates: float = _chance()
    shuffled: float = _chance()
    delayed: float = _chance()
    delay_seconds: float = 60.0
    short_pages: float = _chance()
    empty_pages: float = _chance()
    server_errors: float = _chance()
    dropped: float = _chance()
    hung: float = _chance()
    hang_seconds: float = 2.0
    broken_json: float = _chance()
    busy: float = _chance()
    limited: float = _chance()
    expired_tokens: float = _chance()
    lost_replies: float = _chance()
    failed_sends: float = _chance()
    silent_changes: float = _chance()
    lost_callbacks: float = _chance()
    repeated_callbacks: float = _chance()

    @classmethod
    def everything(
        cls, share: float = 0.05, *, seed: int | str = 0, hang_seconds: float = 2.0, delay_seconds: float = 60.0
    ) -> "Misbehaviour":
        """Return all of it at once, each in the same share."""
        chances = dict.fromkeys(CHANCES, share)
        return cls(seed=seed, hang_seconds=hang_seconds, delay_seconds=delay_seconds, **chances)


CHANCES = tuple(
    field.name for field in attrs.fields(Misbehaviour) if field.name not in ("seed", "delay_seconds", "hang_seconds")
)
"""The names of all shares."""

CHANGING = frozenset({"service_state/trans", "send_msg", "send_msg_on_event", "servicer/add", "servicer/del"})
"""Calls whose lost replies leave a doubt."""


class Dice:
    """What happens by chance, and what was ordered."""

    def __init__(self, misbehaviour: Misbehaviour) -> None:
        self.misbehaviour = misbehaviour
        self._sequences: dict[str, Chance] = {}
        self._ordered: dict[str, deque[Fault]] = {}

    def sequence(self, purpose: str) -> Chance:
        """Return the chance of one purpose, which no other purpose disturbs."""
        if purpose not in self._sequences:
            self._sequences[purpose] = chance(self.misbehaviour.seed, purpose)
        return self._sequences[purpose]

    def says(self, name: str) -> bool:
        """Tell whether a mishap happens this time."""
        share: float = getattr(self.misbehaviour, name)
        return share > 0 and self.sequence(name)() < share

    def order(self, call: str, fault: Fault, times: int) -> None:
        """Have the next calls of this name meet ``fault``."""
        self._ordered.setdefault(call, deque()).extend([fault] * times)

    def fault(self, call: str) -> Fault | None:
        """Return what becomes of a call, None if nothing; what was ordered comes first."""
        if ordered := self._ordered.get(call):
            return ordered.popleft()
        if call in CHANGING and self.says("lost_replies"):
            kinds: tuple[FaultKind, ...] = ("dropped", "dropped", "server_error", "broken_json", "hung")
            return Fault(pick(self.sequence("how replies are lost"), kinds), carried_out=True)
        for name, fault in _MISHAPS:
            if self.says(name) and (name != "broken_json" or call not in CHANGING):
                return fault
        return None


_MISHAPS = (
    ("dropped", Fault("dropped")),
    ("hung", Fault("hung")),
    ("server_errors", Fault("server_error")),
    ("broken_json", Fault("broken_json", carried_out=True)),
    ("busy", Fault("errcode", errcode=-1)),
    ("limited", Fault("errcode", errcode=45009)),
    ("expired_tokens", Fault("expired_token", carried_out=True)),
)
