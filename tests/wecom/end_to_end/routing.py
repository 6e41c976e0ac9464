"""A routing service that decides by chance: it tries what may be done, and now and then what may not."""

from collections import Counter
from collections.abc import Callable

import attrs

from kfstate.errors import (
    ConcurrentChangeError,
    ReplyError,
    ReplyLostError,
    SendRefusedError,
    StateChangeRefusedError,
    UnreachableError,
    VersionConflictError,
    WecomError,
)
from kfstate.machine.kinds import FROM_WECOM
from kfstate.queries.views import ConversationView
from kfstate.testing.simulation.dice import Chance, Weighted, chance, pick
from kfstate.wecom import Live

__all__ = ["STAFF", "Router"]

STAFF = ("zhang", "li", "wang")
NEWEST = 30
"""How many entries of the log are looked at for what has just been told."""
EXPECTED = (
    ConcurrentChangeError,
    ReplyError,
    ReplyLostError,
    SendRefusedError,
    StateChangeRefusedError,
    UnreachableError,
    VersionConflictError,
    WecomError,
)
"""What a call may come to where much goes wrong."""


@attrs.define
class Router:
    """Decides about conversations, and counts what came of it."""

    live: Live
    rand: Chance
    came: Counter[str] = attrs.Factory(Counter)

    def decide(self, view: ConversationView) -> None:
        """Do something about a conversation.

        Half of the decisions follow from what the log says, under a key: other processes decide the same.
        """
        agreed = self.rand() < 0.5
        rand = chance(view.position or 0, "decision") if agreed else self.rand
        act = _PLAN[int(view.service_state)].draw(rand)
        key = f"{view.external_userid}/{view.position}/{act.__name__}" if agreed else None
        try:
            act(self, view, key, rand)
        except EXPECTED as error:
            code = getattr(error, "errcode", "")
            self.came[f"{act.__name__.strip('_')}: {type(error).__name__} {code}".strip()] += 1
        else:
            self.came[act.__name__.strip("_")] += 1

    def look(self, limit: int = 5) -> list[ConversationView]:
        """Return some conversations to decide about: half of the time those of which WeCom has just told."""
        if self.rand() < 0.5:
            return self._just_told(limit)
        state = pick(self.rand, (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4))
        after = (f"wm{int(self.rand() * 256):02x}", "")
        return list(self.live.engine.conversations(state=state, after=after, limit=limit))

    def _just_told(self, limit: int) -> list[ConversationView]:
        engine = self.live.engine
        newest = engine.read_all(after=max(0, engine.position() - NEWEST))
        told = {(one.open_kfid, one.external_userid): None for one in newest if one.kind in FROM_WECOM}
        keys = [(account, customer) for account, customer in told if customer is not None]
        return [engine.state(*key) for key in keys[-limit:]]


Act = Callable[[Router, ConversationView, str | None, Chance], object]


def _ids(view: ConversationView) -> tuple[str, str]:
    return view.open_kfid, str(view.external_userid)


def _changed(router: Router, view: ConversationView, to: int, key: str | None, servicer: str = "") -> None:
    done = router.live.change_state(*_ids(view), to, servicer=servicer or None, key=key, actor="router")
    if done.code and not done.repeated and router.rand() < 0.3:
        router.live.send_on_event(*_ids(view), done.code, _text("收到"), key=key, actor="router")


def _text(content: str) -> dict[str, object]:
    return {"msgtype": "text", "text": {"content": content}}


def _robot(router: Router, view: ConversationView, key: str | None, _: Chance) -> None:
    _changed(router, view, 1, key)


def _queue(router: Router, view: ConversationView, key: str | None, _: Chance) -> None:
    _changed(router, view, 2, key)


def _to_servicer(router: Router, view: ConversationView, key: str | None, rand: Chance) -> None:
    _changed(router, view, 3, key, pick(rand, STAFF))


def _end(router: Router, view: ConversationView, key: str | None, _: Chance) -> None:
    _changed(router, view, 4, key)


def _assign(router: Router, view: ConversationView, key: str | None, rand: Chance) -> None:
    capacity = pick(rand, (None, 60, 1))
    router.live.assign(*_ids(view), capacity=capacity, key=key, actor="router")


def _send(router: Router, view: ConversationView, key: str | None, _: Chance) -> None:
    router.live.send(*_ids(view), _text("您好"), key=key, actor="router")


def _answer(router: Router, view: ConversationView, key: str | None, _: Chance) -> None:
    """Use a code that came with an event."""
    open_kfid, customer = _ids(view)
    for code in router.live.engine.codes(open_kfid=open_kfid, external_userid=customer, limit=1):
        router.live.send_on_event(open_kfid, customer, code.code, _text("欢迎"), key=key, actor="router")


def _nothing(_router: Router, _view: ConversationView, _key: str | None, _rand: Chance) -> None:
    """Leave it to the people."""


_PLAN: dict[int, Weighted[Act]] = {
    0: Weighted((50, _robot), (5, _queue), (25, _send), (5, _assign), (5, _to_servicer), (5, _end), (5, _answer)),
    1: Weighted((10, _send), (65, _queue), (10, _assign), (5, _end), (5, _robot), (5, _to_servicer)),
    2: Weighted((30, _assign), (10, _end), (5, _send), (5, _queue), (5, _robot), (5, _answer), (40, _nothing)),
    3: Weighted((15, _to_servicer), (10, _end), (5, _robot), (5, _send), (5, _answer), (60, _nothing)),
    4: Weighted((5, _robot), (5, _end), (5, _send), (5, _answer), (80, _nothing)),
}
"""What is done in each state; some of it is forbidden there."""
