"""What people do: each act is a function of the world, and returns the entry that ``sync_msg`` will give for it."""

from collections.abc import Mapping

import attrs

from kfstate.clock import SECOND
from kfstate.service_state import KfServiceState as State
from kfstate.testing import builders
from kfstate.testing.builders import Element
from kfstate.testing.fake import rules
from kfstate.testing.fake.world import Desk, Member, Talk, World
from kfstate.testing.simulation.dice import pick

__all__ = [
    "ImpossibleActError",
    "customer_clicks",
    "customer_enters",
    "customer_recalls",
    "customer_writes",
    "fails_to_arrive",
    "routes",
    "servicer_ends",
    "servicer_hands_over",
    "servicer_recalls",
    "servicer_receives",
    "servicer_rejects",
    "servicer_stops",
    "servicer_takes",
    "servicer_takes_back",
    "servicer_writes",
]


@attrs.define(slots=False, str=False, eq=False)
class ImpossibleActError(ValueError):
    """The WeCom client would not let anybody do this.

    ``act`` is what was tried, ``reason`` why it cannot be.
    """

    act: str
    reason: str

    def __str__(self) -> str:
        """Return both as one sentence."""
        return f"{self.act}: {self.reason}"


def customer_enters(
    world: World, talk: Talk, *, scene: str, scene_param: str, wechat_channels: Mapping[str, object] | None
) -> Element:
    """Let the customer open the chat: this opens no session; whoever is new gets a welcome code."""
    world.touch(talk)
    now = world.now()
    code = None
    recently = [at for at in (talk.welcomed_at, talk.wrote_at) if at is not None and now - at < rules.WINDOW]
    if not talk.desk.native_welcome and not recently:
        code = world.codes.give("welcome", *talk.key, session=talk.session.number, now=now)
    context: dict[str, object] = {"scene": scene, "scene_param": scene_param}
    talk.context = (now, context if wechat_channels is None else context | {"wechat_channels": wechat_channels})
    event = builders.enter_session(
        *talk.key,
        world.second(),
        scene=scene,
        scene_param=scene_param,
        welcome_code=code,
        wechat_channels=wechat_channels,
        msgid=world.event_id(),
    )
    return world.post(talk.desk, event)


def customer_writes(
    world: World, talk: Talk, *, msgtype: str, body: Mapping[str, object], menu_click: bool = False
) -> Element:
    """Let the customer write: after the end this opens the next session, which WeCom may route by itself."""
    if talk.rejected:
        raise ImpossibleActError("the customer writes", "a servicer refuses the customer's messages")
    before = world.touch(talk)
    msgid = world.message_id()
    element = builders.message(
        3, msgtype, body, world.second(), msgid=msgid, open_kfid=talk.key[0], external_userid=talk.key[1]
    )
    talk.messages[msgid] = ""
    talk.wrote_at = world.now()
    after = rules.after_message(before, world.facts, world.now(), menu_click=menu_click)
    world.become(talk, after, "customer", announced=True)
    world.post(talk.desk, element)
    if after.number != before.number:
        _route(world, talk)
    if world.dice.says("silent_changes"):
        _drift(world, talk)
    return element


def customer_clicks(world: World, talk: Talk, *, menu_id: str, content: str) -> Element:
    """Let the customer click on a menu item."""
    return customer_writes(world, talk, msgtype="text", body={"content": content, "menu_id": menu_id}, menu_click=True)


def customer_recalls(world: World, talk: Talk, msgid: str) -> Element:
    """Let the customer take a message back."""
    if talk.messages.get(msgid) != "":
        raise ImpossibleActError("the customer recalls", f"{msgid} is no message of this customer here")
    event = builders.user_recall_msg(*talk.key, world.second(), recall_msgid=msgid, msgid=world.event_id())
    return world.post(talk.desk, event)


def servicer_takes(world: World, talk: Talk, userid: str) -> Element:
    """Let a servicer take the customer from the pool: 2 → 3, with an event and a code."""
    member = _member(talk.desk, userid, "takes")
    session = world.touch(talk)
    if session.state is not State.QUEUE:
        raise ImpossibleActError("takes", f"the session is in {int(session.state)}, not in the pool (2)")
    now = world.now()
    code = world.codes.give("taken", *talk.key, session=session.number, now=now)
    world.become(talk, rules.moved(session, State.MANUAL, member.userid, now), "servicer", announced=True)
    return world.status_change(talk, 1, new=member.userid, code=code)


def servicer_hands_over(world: World, talk: Talk, userid: str) -> Element:
    """Let the servicer hand the session to another: 3 → 3, with an event."""
    member = _member(talk.desk, userid, "hands over")
    session = _manual(world, talk, "hands over")
    if member.userid == session.servicer:
        raise ImpossibleActError("hands over", f"{userid} has the session already")
    moved = rules.moved(session, State.MANUAL, member.userid, world.now())
    world.become(talk, moved, "servicer", announced=True)
    return world.status_change(talk, 2, old=session.servicer, new=member.userid)


def servicer_ends(world: World, talk: Talk) -> Element:
    """Let the servicer end the session: 3 → 4, with an event and a code."""
    session = _manual(world, talk, "ends")
    code = world.ended_code(talk)
    world.become(talk, rules.ended(session), "servicer", announced=True)
    return world.status_change(talk, 3, old=session.servicer, code=code)


def servicer_takes_back(world: World, talk: Talk, userid: str) -> Element:
    """Let a servicer take back a session that was ended or handed over: the event of kind 4."""
    member = _member(talk.desk, userid, "takes back")
    session, now = world.touch(talk), world.now()
    if session.state is State.FINISHED:
        after, old = rules.reopened(session, member.userid, now), session.previous
    elif session.state is State.MANUAL and session.servicer != member.userid:
        after, old = rules.moved(session, State.MANUAL, member.userid, now), session.servicer
    else:
        reason = f"the session is in {int(session.state)}, neither ended nor handed over"
        raise ImpossibleActError("takes back", reason)
    world.become(talk, after, "servicer", announced=True)
    return world.status_change(talk, 4, old=old or None, new=member.userid)


def servicer_writes(world: World, talk: Talk, userid: str, *, msgtype: str, body: Mapping[str, object]) -> Element:
    """Let a servicer write; in a session that is over, or another's by now, this takes it back first."""
    member = _member(talk.desk, userid, "writes")
    session = world.touch(talk)
    if session.state not in (State.MANUAL, State.FINISHED):
        raise ImpossibleActError("writes", f"the session is in {int(session.state)}: no servicer has it")
    msgid = world.message_id()
    element = builders.message(
        5,
        msgtype,
        body,
        world.second(),
        msgid=msgid,
        open_kfid=talk.key[0],
        external_userid=talk.key[1],
        servicer_userid=member.userid,
    )
    world.post(talk.desk, element)
    talk.messages[msgid] = member.userid
    if session.state is State.FINISHED or session.servicer != member.userid:
        servicer_takes_back(world, talk, userid)
    world.become(talk, rules.answered(talk.session), "servicer", announced=True)
    return element


def servicer_recalls(world: World, talk: Talk, msgid: str) -> Element:
    """Let a servicer take a message back."""
    author = talk.messages.get(msgid)
    if not author:
        raise ImpossibleActError("recalls", f"{msgid} is no message of a servicer here")
    event = builders.servicer_recall_msg(
        *talk.key, world.second(), recall_msgid=msgid, servicer_userid=author, msgid=world.event_id()
    )
    return world.post(talk.desk, event)


def servicer_rejects(world: World, talk: Talk, userid: str, *, rejects: bool) -> Element:
    """Let a servicer refuse the customer's messages, or take it back."""
    member = _member(talk.desk, userid, "rejects")
    talk.rejected = rejects
    event = builders.reject_customer_msg_switch_change(
        *talk.key,
        world.second(),
        servicer_userid=member.userid,
        reject_switch=int(rejects),
        msgid=world.event_id(),
    )
    return world.post(talk.desk, event)


def servicer_stops(world: World, desk: Desk, userid: str, *, suspended: bool) -> Element:
    """Let a servicer stop receiving; running sessions stay."""
    member = _member(desk, userid, "stops")
    member.receiving, member.stop_type = False, int(suspended)
    return _duty(world, desk, member)


def servicer_receives(world: World, desk: Desk, userid: str) -> Element:
    """Let a servicer receive again."""
    member = _member(desk, userid, "receives")
    member.receiving, member.stop_type = True, 0
    return _duty(world, desk, member)


def fails_to_arrive(world: World, talk: Talk, msgid: str, fail_type: int) -> Element:
    """Let a message that was accepted not arrive."""
    event = builders.msg_send_fail(
        *talk.key, world.second(), fail_msgid=msgid, fail_type=fail_type, msgid=world.event_id()
    )
    return world.post(talk.desk, event)


def routes(world: World, talk: Talk, to: State, userid: str = "") -> None:
    """Let WeCom's own rules move the session, without a word."""
    session = world.touch(talk)
    if session.state is State.FINISHED:
        raise ImpossibleActError("routes", "the session is over")
    servicer = _member(talk.desk, userid, "routes").userid if to is State.MANUAL else ""
    world.become(talk, rules.moved(session, to, servicer, world.now()), "routing", announced=False)


def _route(world: World, talk: Talk) -> None:
    """Put a new session where the account's own rules want it."""
    wanted = talk.desk.routing
    if wanted == "servicer" and (member := talk.desk.next_receiving()) is not None:
        routes(world, talk, State.MANUAL, member.userid)
    elif wanted in ("queue", "servicer"):
        routes(world, talk, State.QUEUE)
    elif wanted == "robot":
        routes(world, talk, State.ROBOT)


_FURTHER = {
    State.UNTREATED: (State.ROBOT, State.QUEUE, State.MANUAL),
    State.ROBOT: (State.QUEUE, State.MANUAL),
    State.QUEUE: (State.MANUAL,),
    State.MANUAL: (State.FINISHED,),
}


def _drift(world: World, talk: Talk) -> None:
    """Move a session by chance, as rules that nobody here knows do."""
    session = talk.session
    if session.state is State.FINISHED:
        return
    to = pick(world.dice.sequence("where to"), _FURTHER[session.state])
    member = talk.desk.next_receiving()
    if to is State.MANUAL and member is None:
        to = State.QUEUE
    routes(world, talk, to, member.userid if to is State.MANUAL and member is not None else "")


def _duty(world: World, desk: Desk, member: Member) -> Element:
    event = builders.servicer_status_change(
        desk.open_kfid,
        member.userid,
        world.now() // SECOND,
        status=1 if member.receiving else 2,
        stop_type=None if member.receiving else member.stop_type,
        msgid=world.event_id(),
    )
    return world.post(desk, event)


def _member(desk: Desk, userid: str, act: str) -> Member:
    member = desk.member(userid)
    if member is None:
        raise ImpossibleActError(act, f"{userid!r} is no servicer of {desk.open_kfid}")
    return member


def _manual(world: World, talk: Talk, act: str) -> rules.Session:
    session = world.touch(talk)
    if session.state is not State.MANUAL:
        raise ImpossibleActError(act, f"the session is in {int(session.state)}, not with a servicer (3)")
    return session
