"""What a script holds in its hand: an account with its servicers, and a customer."""

from collections.abc import Mapping
from typing import NamedTuple

import attrs

from kfstate.service_state import KfServiceState
from kfstate.testing.builders import Element
from kfstate.testing.fake import acts
from kfstate.testing.fake.world import Desk, Member, Talk, World

__all__ = ["Account", "Customer", "ServerState"]


class ServerState(NamedTuple):
    """What ``service_state/get`` would say; ``servicer_userid`` is empty outside of 3."""

    service_state: KfServiceState
    servicer_userid: str


@attrs.frozen
class Customer:
    """A customer of the fake server. Every act returns the entry that ``sync_msg`` gives for it."""

    _world: World = attrs.field(repr=False)
    external_userid: str

    def enters(
        self,
        account: "Account",
        *,
        scene: str = "",
        scene_param: str = "",
        wechat_channels: Mapping[str, object] | None = None,
    ) -> Element:
        """Open the chat, and write nothing yet."""
        with account.talking(self) as talk:
            return acts.customer_enters(
                self._world, talk, scene=scene, scene_param=scene_param, wechat_channels=wechat_channels
            )

    def writes(
        self,
        account: "Account",
        content: str = "你好",
        *,
        msgtype: str = "text",
        body: Mapping[str, object] | None = None,
    ) -> Element:
        """Write a text, or a message of another type with its ``body``."""
        with account.talking(self) as talk:
            return acts.customer_writes(self._world, talk, msgtype=msgtype, body=_body(content, body))

    def clicks_menu(self, account: "Account", menu_id: str = "1", content: str = "人工服务") -> Element:
        """Click on an item of a menu."""
        with account.talking(self) as talk:
            return acts.customer_clicks(self._world, talk, menu_id=menu_id, content=content)

    def recalls(self, account: "Account", msgid: str) -> Element:
        """Take a message back."""
        with account.talking(self) as talk:
            return acts.customer_recalls(self._world, talk, msgid)


@attrs.frozen
class Account:
    """An account of the fake server, with those who serve it. Every act returns the entry that ``sync_msg`` gives.

    What the WeCom client would not allow raises :class:`ImpossibleActError`.
    """

    _world: World = attrs.field(repr=False)
    open_kfid: str

    def servicer(self, userid: str, *, receiving: bool = True) -> str:
        """Add a servicer (接待人员), as somebody does in the console, and return the id."""
        with self._world.lock:
            self._desk.servicers[userid.casefold()] = Member(userid, receiving, 0)
        return userid

    def department(self, department_id: int, *members: str) -> int:
        """Add a department: ``servicer/list`` shows only that, and its members serve."""
        with self._world.lock:
            self._desk.departments[department_id] = {userid.casefold(): Member(userid) for userid in members}
        return department_id

    def takes(self, customer: Customer, servicer: str) -> Element:
        """Let a servicer take a customer from the pool (接入): 2 → 3."""
        with self.talking(customer) as talk:
            return acts.servicer_takes(self._world, talk, servicer)

    def hands_over(self, customer: Customer, servicer: str) -> Element:
        """Let the servicer hand a customer over to ``servicer`` (转接): 3 → 3."""
        with self.talking(customer) as talk:
            return acts.servicer_hands_over(self._world, talk, servicer)

    def takes_back(self, customer: Customer, servicer: str) -> Element:
        """Let a servicer take a session back that was ended or handed over (重新接入)."""
        with self.talking(customer) as talk:
            return acts.servicer_takes_back(self._world, talk, servicer)

    def ends(self, customer: Customer) -> Element:
        """Let the servicer end the session (结束): 3 → 4."""
        with self.talking(customer) as talk:
            return acts.servicer_ends(self._world, talk)

    def writes(
        self,
        customer: Customer,
        servicer: str,
        content: str = "您好",
        *,
        msgtype: str = "text",
        body: Mapping[str, object] | None = None,
    ) -> Element:
        """Let a servicer write; in a session that is over, or another's by now, this takes it back."""
        with self.talking(customer) as talk:
            return acts.servicer_writes(self._world, talk, servicer, msgtype=msgtype, body=_body(content, body))

    def recalls(self, customer: Customer, msgid: str) -> Element:
        """Let a servicer take a message back."""
        with self.talking(customer) as talk:
            return acts.servicer_recalls(self._world, talk, msgid)

    def rejects(self, customer: Customer, servicer: str, *, rejects: bool = True) -> Element:
        """Let a servicer refuse a customer's messages (拒收), or take it back."""
        with self.talking(customer) as talk:
            return acts.servicer_rejects(self._world, talk, servicer, rejects=rejects)

    def stops(self, servicer: str, *, suspended: bool = False) -> Element:
        """Let a servicer stop receiving (停止接待), or suspend it (暂时挂起)."""
        with self._world.lock:
            self._world.settle()
            return acts.servicer_stops(self._world, self._desk, servicer, suspended=suspended)

    def receives(self, servicer: str) -> Element:
        """Let a servicer receive again."""
        with self._world.lock:
            self._world.settle()
            return acts.servicer_receives(self._world, self._desk, servicer)

    def routes(self, customer: Customer, to: int, servicer: str = "") -> None:
        """Let WeCom's own reception rules move a session: nothing is told of it."""
        with self.talking(customer) as talk:
            acts.routes(self._world, talk, KfServiceState(to), servicer)

    def fails_to_arrive(self, customer: Customer, msgid: str, fail_type: int = 0) -> Element:
        """Let a message that ``send_msg`` had accepted not arrive."""
        with self.talking(customer) as talk:
            return acts.fails_to_arrive(self._world, talk, msgid, fail_type)

    def state(self, customer: Customer) -> ServerState:
        """Return the server's own truth."""
        with self.talking(customer) as talk:
            return ServerState(talk.session.state, talk.session.servicer)

    def entries(self) -> list[Element]:
        """Return everything that has happened, each once, whether or not it can still be read."""
        with self._world.lock:
            return list(self._desk.mailbox.written)

    def talking(self, customer: Customer) -> "_Talking":
        """Return the conversation, to hold while something is done with it."""
        return _Talking(self._world, self.open_kfid, customer.external_userid)

    @property
    def _desk(self) -> Desk:
        return self._world.desks[self.open_kfid]


class _Talking:
    """A conversation under the lock of the world, with everything done that was due."""

    def __init__(self, world: World, open_kfid: str, external_userid: str) -> None:
        self._world, self._ids = world, (open_kfid, external_userid)

    def __enter__(self) -> Talk:
        self._world.lock.acquire()
        self._world.settle()
        return self._world.talk(*self._ids)

    def __exit__(self, *_: object) -> None:
        self._world.lock.release()


def _body(content: str, body: Mapping[str, object] | None) -> Mapping[str, object]:
    return {"content": content} if body is None else body
