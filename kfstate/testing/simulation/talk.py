"""One conversation: what is true about it, and the single things that can be said, done and recorded in it."""

from kfstate.clock import SECOND
from kfstate.testing.builders import (
    Element,
    customer_message,
    event,
    message,
    msg_send_fail,
    servicer_message,
    session_status_change,
)
from kfstate.testing.own import own_entry
from kfstate.testing.simulation.dice import Chance, pick
from kfstate.testing.simulation.stage import Stage
from kfstate.testing.simulation.words import BODIES, CUSTOMER, ROBOT, SERVICER

__all__ = ["Talk"]


class Talk:
    """One conversation on a stage. ``state`` and ``servicer`` are the truth, seen by anybody or not.

    Attributes:
        at: The time of the conversation, in microseconds. Only :meth:`wait` and :meth:`pause` move it.
        heard: msgid of the customer's last message.
        said: msgid of the servicer's last message.
        sent: msgid of the last message sent by API.
        sends: Messages sent by API since the customer's last.
        over: The present session's story is told.
    """

    __slots__ = (
        "_second",
        "_wire_second",
        "account",
        "at",
        "customer",
        "heard",
        "open_kfid",
        "over",
        "previous",
        "rand",
        "rejected",
        "said",
        "sends",
        "sent",
        "servicer",
        "stage",
        "state",
    )

    def __init__(self, stage: Stage, account: int, customer: str) -> None:
        """Begin a conversation that has said nothing yet."""
        self.stage = stage
        self.rand: Chance = stage.rand
        self.account = account
        self.open_kfid = stage.accounts[account]
        self.customer = customer
        self.state = 4
        self.servicer = self.previous = self.heard = self.said = self.sent = ""
        self.at: int = 0
        self.sends: int = 0
        self.over = self.rejected = False
        self._second = self._wire_second = -1

    def wait(self, seconds: float, *, pull: float = 1.0) -> None:
        """Let about ``seconds`` pass, or stay in the same second: ``pull`` times as likely as usual."""
        left = SECOND - self.at % SECOND
        if self.rand() < self.stage.tie_chance * pull:
            self.at += int(self.rand() * left * 0.4)
        else:
            self.at += left + int(self.rand() * 2 * seconds * SECOND)

    def pause(self, seconds: float) -> None:
        """Let ``seconds`` pass, and never stay in the same second."""
        self.at += SECOND - self.at % SECOND + int(seconds * SECOND)

    def put(self, element: Element) -> None:
        """Say something that a page will bring."""
        at = self.at
        second = at // SECOND
        stage = self.stage
        if self._second >= 0:
            stage.count_neighbours(tied=second == self._second, wire=False)
        if self._wire_second >= 0:
            stage.count_neighbours(tied=second == self._wire_second, wire=True)
        self._second = self._wire_second = second
        stage.put(at, self.account, element)

    def record(self, kind: str, **fields: object) -> None:
        """Let the service write down an own entry."""
        at = self.at
        second = at // SECOND
        stage = self.stage
        if self._second >= 0:
            stage.count_neighbours(tied=second == self._second, wire=False)
        self._second = second
        entry = own_entry(
            kind, self.open_kfid, self.customer, at / SECOND, actor="router", **fields, key=stage.own_id()
        )
        stage.put_own(at, self.account, entry)

    def customer_writes(self, content: str | None = None, *, menu_id: str | None = None) -> None:
        """Let the customer write: opens a session when none is open."""
        rand = self.rand
        self.heard = msgid = self.stage.message_id()
        second = self.at // SECOND
        if content is None and rand() < 0.12:
            msgtype, body = BODIES.draw(rand)
            ids = {"open_kfid": self.open_kfid, "external_userid": self.customer}
            element = message(3, msgtype, dict(body), second, msgid=msgid, **ids)
        else:
            text = content or pick(rand, CUSTOMER)
            element = customer_message(
                self.open_kfid, self.customer, second, content=text, menu_id=menu_id, msgid=msgid
            )
        self.put(element)
        self.sends = 0
        if self.state == 4:
            self.become(0)

    def servicer_writes(self, servicer: str = "", content: str | None = None) -> None:
        """Let a servicer write; the truth does not move."""
        self.said = msgid = self.stage.message_id()
        who = servicer or self.servicer or self.previous or self.colleague()
        text = content or pick(self.rand, SERVICER)
        second = self.at // SECOND
        self.put(
            servicer_message(self.open_kfid, self.customer, second, servicer_userid=who, content=text, msgid=msgid)
        )

    def change(self, change_type: int, *, old: str | None = None, new: str | None = None) -> None:
        """Bring ``session_status_change``; the truth does not move."""
        stage = self.stage
        code = f"CODE_{stage.own_id()}" if change_type in {1, 3} else None
        second = self.at // SECOND
        self.put(
            session_status_change(
                change_type,
                self.open_kfid,
                self.customer,
                second,
                old=old,
                new=new,
                msg_code=code,
                msgid=stage.event_id(),
            )
        )

    def happens(self, event_type: str, **fields: object) -> None:
        """Bring any other event of this conversation."""
        ids = {"open_kfid": self.open_kfid, "external_userid": self.customer}
        self.put(event(event_type, self.at // SECOND, msgid=self.stage.event_id(), **ids, **fields))

    def sends_message(self, via: str = "send_msg") -> None:
        """Let the service send a message that is accepted; now and then it fails to arrive later."""
        self.sent = self.stage.own_id()
        self.record("message_sent", via=via, msgid=self.sent, data={"content": pick(self.rand, ROBOT)})
        if via == "send_msg":
            self.sends += 1
            if self.state == 0:
                self.become(1)
        if self.rand() < 0.01:
            self.wait(2)
            kind = pick(self.rand, (0, 4, 5, 6, 10, 13))
            second = self.at // SECOND
            self.put(
                msg_send_fail(
                    self.open_kfid,
                    self.customer,
                    second,
                    fail_msgid=self.sent,
                    fail_type=kind,
                    msgid=self.stage.event_id(),
                )
            )

    def routed(self, state: int, servicer: str = "", *, reason: str | None = None) -> None:
        """Let the service change the state by an accepted call."""
        self.record("state_changed", service_state=state, servicer_userid=servicer or None, reason=reason)
        self.become(state, servicer)

    def refused(self, kind: str, errcode: int, **fields: object) -> None:
        """Let WeCom refuse a call of the service."""
        self.record(kind, **fields, errcode=errcode, request_id=self.stage.own_id())

    def become(self, state: int, servicer: str = "") -> None:
        """Move the truth, without a word."""
        if self.servicer:
            self.previous = self.servicer
        self.state = state
        self.servicer = servicer

    def colleague(self) -> str:
        """Return a servicer on duty, another than the present one where there is one."""
        staff = self.stage.staff[self.account]
        chosen = pick(self.rand, staff)
        if chosen == self.servicer and len(staff) > 1:
            chosen = staff[(staff.index(chosen) + 1) % len(staff)]
        return chosen
