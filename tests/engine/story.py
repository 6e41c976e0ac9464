"""Short stories of one customer, told to an engine entry by entry, each in a transaction of its own."""

from collections.abc import Mapping
from typing import Any

from kfstate.engine import Engine
from kfstate.queries.views import ConversationView, SessionView
from kfstate.testing import Element, FrozenClock, own_entry, page
from kfstate.testing import customer_message as _customer
from kfstate.testing import enter_session as _enter
from kfstate.testing import servicer_message as _servicer
from kfstate.testing import session_status_change as _change
from tests.engine.worlds import NOW

__all__ = [
    "DAY2", "KF", "USER", "Teller", "change", "clicked", "entered", "own", "said", "wrote",
]  # fmt: skip

KF, USER = "wkA", "wm1"
DAY2 = 48 * 3600
"""Seconds until a session expires."""


def said(at: int, *, user: str = USER, **more: Any) -> Element:
    """The customer writes, ``at`` seconds after the beginning."""
    return _customer(KF, user, NOW + at, **more)


def clicked(at: int) -> Element:
    """The customer clicks a menu item."""
    return _customer(KF, USER, NOW + at, menu_id="1")


def wrote(at: int, by: str, *, user: str = USER) -> Element:
    """A servicer writes."""
    return _servicer(KF, user, NOW + at, servicer_userid=by)


def change(at: int, kind: int, *, user: str = USER, **more: Any) -> Element:
    """A ``session_status_change``; ``old``, ``new`` and ``msg_code`` by name."""
    return _change(kind, KF, user, NOW + at, **more)


def entered(at: int, code: str | None = None) -> Element:
    """The customer opens the chat."""
    return _enter(KF, USER, NOW + at, welcome_code=code)


def own(at: float, kind: str, *, user: str = USER, **fields: object) -> Element:
    """An own entry."""
    return own_entry(kind, KF, user, NOW + at, actor="test", **fields)


class Teller:
    """Tells entries to an engine; the clock goes along."""

    def __init__(self, engine: Engine, clock: FrozenClock) -> None:
        """Tell them to this engine."""
        self.engine = engine
        self._clock = clock

    def __call__(self, *entries: Mapping[str, Any]) -> list[int]:
        """Tell entries one by one and return where each stands."""
        return [self._tell(entry) for entry in entries]

    def _tell(self, entry: Mapping[str, Any]) -> int:
        second = entry.get("occurred_at") or entry.get("send_time") or 0
        self._clock.set(max(self._clock.now(), round((second + 1) * 1_000_000)))
        if "kind" in entry:
            return self.engine.record(entry).position
        return self.engine.ingest(page([dict(entry)]), account=KF).position

    def at(self, second: int) -> "Teller":
        """Let the clock show a second after the beginning."""
        self._clock.set((NOW + second) * 1_000_000)
        return self

    @property
    def session(self) -> SessionView:
        """The last session of the customer, as of its last entry."""
        return list(self.engine.sessions(open_kfid=KF, external_userid=USER, as_of_log=True))[-1]

    @property
    def state(self) -> ConversationView:
        """The customer's conversation, as of its last entry."""
        return self.engine.state(KF, USER, as_of_log=True)
