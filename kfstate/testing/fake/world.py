"""All that the server knows: accounts, servicers, customers, conversations, and what has happened to them."""

import threading
from collections import deque
from collections.abc import Callable, Mapping

import attrs

from kfstate.clock import SECOND, Clock
from kfstate.service_state import KfServiceState as State
from kfstate.testing.builders import Element, session_status_change
from kfstate.testing.fake import rules
from kfstate.testing.fake.codes import Codes, Tokens, fresh
from kfstate.testing.fake.facts import OpenFacts
from kfstate.testing.fake.mailbox import Mailbox
from kfstate.testing.fake.misbehaviour import Dice, Misbehaviour
from kfstate.testing.fake.rules import Session

__all__ = ["Call", "Change", "Desk", "Guest", "Member", "Talk", "World"]

JOURNAL = 200_000
"""How many changes and calls are remembered."""


@attrs.define(eq=False)
class Member:
    """A servicer of an account."""

    userid: str
    receiving: bool = True
    stop_type: int = 0


@attrs.define(eq=False, kw_only=True)
class Desk:
    """An account, as the server keeps it.

    Attributes:
        managed: Whether it is managed by API (通过API管理).
        routing: Where WeCom's own rules put new sessions: ``none``, ``robot``, ``queue``, ``servicer``.
        native_welcome: Whether the console has a welcome message, so that no welcome code is given.
        servicers: By casefolded id: WeCom ignores their case.
        departments: Those whose members serve, with their members, which no call tells.
        msgids: The ids that senders have chosen.
        pulls: When it was last pulled without a token.
    """

    open_kfid: str
    name: str
    avatar: str
    managed: bool
    routing: str
    native_welcome: bool
    servicers: dict[str, Member] = attrs.field(factory=dict)
    departments: dict[int, dict[str, Member]] = attrs.field(factory=dict)
    mailbox: Mailbox = attrs.field(factory=Mailbox)
    msgids: set[str] = attrs.field(factory=set)
    pulls: list[int] = attrs.field(factory=list)
    turn: int = 0

    def members(self) -> dict[str, Member]:
        """Return everybody who serves, by casefolded id."""
        found = dict(self.servicers)
        for members in self.departments.values():
            found = members | found
        return found

    def member(self, userid: str) -> Member | None:
        """Return a servicer, whatever the case of the id."""
        return self.members().get(userid.casefold())

    def next_receiving(self) -> Member | None:
        """Return the servicer whose turn it is among those receiving."""
        receiving = [member for member in self.members().values() if member.receiving]
        self.turn += 1
        return receiving[self.turn % len(receiving)] if receiving else None


@attrs.define(eq=False)
class Guest:
    """A customer."""

    external_userid: str
    nickname: str


@attrs.define(eq=False)
class Talk:
    """A conversation: a customer and an account.

    Attributes:
        messages: msgid → who wrote it (a servicer, or empty for the customer), for recalls.
        welcomed_at: When the customer last got a welcome message.
        wrote_at: When the customer last wrote, whatever came of it.
        context: How the customer last entered, and when.
        rejected: Whether a servicer refuses the customer's messages.
    """

    desk: Desk
    external_userid: str
    session: Session = attrs.field(factory=Session)
    messages: dict[str, str] = attrs.field(factory=dict)
    welcomed_at: int | None = None
    wrote_at: int | None = None
    context: tuple[int, Mapping[str, object]] | None = None
    rejected: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """The ids of the conversation."""
        return self.desk.open_kfid, self.external_userid


@attrs.frozen
class Change:
    """A session that changed, and whether anything told of it.

    ``by`` is ``customer``, ``servicer``, ``api``, ``routing`` (WeCom's own rules), ``expiry`` or ``timeout``.
    """

    at: int
    open_kfid: str
    external_userid: str
    before: State
    after: State
    servicer: str
    by: str
    announced: bool


@attrs.frozen
class Call:
    """A call as the server saw it; ``errcode`` is None where it was not carried out, ``fault`` what went wrong."""

    at: int
    name: str
    request: Mapping[str, object]
    errcode: int | None
    fault: str


class World:
    """The state of the server. Whoever reads or changes it holds ``lock``."""

    def __init__(self, clock: Clock, facts: OpenFacts, misbehaviour: Misbehaviour) -> None:
        self.clock, self.facts = clock, facts
        self.dice = Dice(misbehaviour)
        self.lock = threading.RLock()
        self.tag = fresh("", f"{misbehaviour.seed}", 8)
        self.corp_id = fresh("ww", f"{self.tag}/corp", 18)
        self.secret = fresh("", f"{self.tag}/secret", 43)
        self.generation = 1
        self.ip_trusted = True
        self.desks: dict[str, Desk] = {}
        self.guests: dict[str, Guest] = {}
        self.talks: dict[tuple[str, str], Talk] = {}
        self.access = Tokens(self.tag, "AT", 7_200, 64)
        self.pull_tokens = Tokens(self.tag, "ENC", 600, 48)
        self.codes = Codes(self.tag)
        self.changes: deque[Change] = deque(maxlen=JOURNAL)
        self.calls: deque[Call] = deque(maxlen=JOURNAL)
        self.arrived: list[Callable[[str], None]] = []
        self._due: dict[tuple[str, str], int] = {}
        self._soonest: int | None = None
        self._serial = 0

    def now(self) -> int:
        """Return the time, in microseconds."""
        return self.clock.now()

    def second(self) -> int:
        """Return the time in the unit of ``send_time``."""
        return self.clock.now() // SECOND

    def new_id(self, prefix: str, length: int) -> str:
        """Return an id that no other call has returned."""
        self._serial += 1
        return fresh(prefix, f"{self.tag}/{self._serial}", length)

    def message_id(self) -> str:
        """Return a new msgid in the form that messages have."""
        return self.new_id("AZ", 26)

    def event_id(self) -> str:
        """Return a new msgid in the form that events have."""
        return self.new_id("4X", 44)

    def talk(self, open_kfid: str, external_userid: str) -> Talk:
        """Return a conversation; the first time it is a new one."""
        key = (open_kfid, external_userid)
        if key not in self.talks:
            self.talks[key] = Talk(self.desks[open_kfid], external_userid)
        return self.talks[key]

    def post(self, desk: Desk, element: Element) -> Element:
        """Put an entry into an account's mailbox, or on its way there."""
        self._put(desk, element, again=False)
        if self.dice.says("duplicates"):
            self._put(desk, element, again=True)
        return element

    def _put(self, desk: Desk, element: Element, *, again: bool) -> None:
        if again or self.dice.says("delayed"):
            late = self.dice.sequence("how late")() * self.dice.misbehaviour.delay_seconds
            desk.mailbox.put(element, due=self.now() + int(late * SECOND), again=again)
        else:
            desk.mailbox.put(element)
            self.tell(desk.open_kfid)

    def tell(self, open_kfid: str) -> None:
        """Say that there is something to read."""
        for listener in self.arrived:
            listener(open_kfid)

    def become(self, talk: Talk, session: Session, by: str, *, announced: bool) -> None:
        """Change a session, and note it."""
        before, talk.session = talk.session, session
        if (before.state, before.servicer, before.number) != (session.state, session.servicer, session.number):
            change = Change(
                self.now(), *talk.key, before.state, session.state, session.servicer, by=by, announced=announced
            )
            self.changes.append(change)
        self._watch(talk)

    def touch(self, talk: Talk) -> Session:
        """Return the session as it is once the server has looked at the time."""
        due = rules.is_over(talk.session, self.facts, self.now())
        if due is not None:
            announced = self.facts.expiry_event if due.why == "expiry" else self.facts.silent_end_event
            session = talk.session
            code = self.ended_code(talk) if announced else None
            self.become(talk, rules.ended(session, expired=due.why == "expiry"), due.why, announced=announced)
            if announced:
                self.status_change(talk, 3, at=due.at // SECOND, old=session.servicer or None, code=code)
        return talk.session

    def settle(self) -> None:
        """Let happen what is due: sessions that end by themselves, entries that arrive late."""
        now = self.now()
        for desk in self.desks.values():
            if desk.mailbox.held and desk.mailbox.release(now):
                self.tell(desk.open_kfid)
        if self._soonest is None or now < self._soonest:
            return
        for key in [key for key, at in self._due.items() if at <= now]:
            self.touch(self.talks[key])
            self._watch(self.talks[key])
        self._soonest = min(self._due.values(), default=None)

    def ended_code(self, talk: Talk) -> str:
        """Return a new code for the closing words of a session."""
        return self.codes.give("ended", *talk.key, session=talk.session.number, now=self.now())

    def status_change(
        self,
        talk: Talk,
        change_type: int,
        *,
        old: str | None = None,
        new: str | None = None,
        code: str | None = None,
        at: int | None = None,
    ) -> Element:
        """Bring a ``session_status_change``."""
        second = self.second() if at is None else at
        event = session_status_change(
            change_type, *talk.key, second, old=old, new=new, msg_code=code, msgid=self.event_id()
        )
        return self.post(talk.desk, event)

    def _watch(self, talk: Talk) -> None:
        """Remember when a session ends without anybody's doing; one that is noticed late is not waited for."""
        due = rules.own_end(talk.session, self.facts)
        self._due.pop(talk.key, None)
        if due is None or (due.why == "expiry" and self.facts.after_48h == "noticed_late"):
            return
        self._due[talk.key] = due.at
        if self._soonest is None or due.at < self._soonest:
            self._soonest = due.at
