"""The calls of the API: each is a function of the world and the request, and returns the reply.

Whoever calls them holds the lock. A call that is refused raises :class:`RefusedError`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import attrs

from kfstate.service_state import KfServiceState as State
from kfstate.testing.fake import acts, rules
from kfstate.testing.fake.refusals import RefusedError, choice, desk_of, guest_of, ids, msgid_of, number, text
from kfstate.testing.fake.syncing import sync_msg
from kfstate.testing.fake.world import Desk, Member, Talk, World
from kfstate.testing.simulation.dice import pick

__all__ = ["CALLS", "Endpoint", "Reply", "Request"]

Request: TypeAlias = Mapping[str, Any]
Reply: TypeAlias = dict[str, Any]

SENDABLE = frozenset(
    {
        "text",
        "image",
        "voice",
        "video",
        "file",
        "link",
        "miniprogram",
        "msgmenu",
        "location",
        "business_card",
        "ca_link",
    }
)
"""Types of messages that ``send_msg`` takes (page 94677)."""

FAIL_TYPES = (0, 4, 5, 6, 10, 13)


class Endpoint(NamedTuple):
    """A call: its function, and the methods it takes."""

    call: Callable[[World, Request], Reply]
    methods: tuple[str, ...] = ("POST",)


def account_list(world: World, request: Request) -> Reply:
    """``account/list``."""
    offset = number(request, "offset", low=0, high=2**31, default=0)
    limit = number(request, "limit", low=1, high=100, default=100)
    desks = list(world.desks.values())[offset : offset + limit]
    return {
        "account_list": [
            {"open_kfid": desk.open_kfid, "name": desk.name, "avatar": desk.avatar, "manage_privilege": desk.managed}
            for desk in desks
        ]
    }


def servicer_list(world: World, request: Request) -> Reply:
    """``servicer/list``: departments without their members."""
    desk = desk_of(world, request)
    people: list[Reply] = [
        {"userid": member.userid, "status": 0}
        if member.receiving
        else {"userid": member.userid, "status": 1, "stop_type": member.stop_type}
        for member in desk.servicers.values()
    ]
    return {"servicer_list": people + [{"department_id": department} for department in desk.departments]}


def servicer_add(world: World, request: Request) -> Reply:
    """``servicer/add``: who is there already is ``ignored``."""
    desk = _managed(desk_of(world, request))

    def add_member(userid: str) -> bool:
        known = userid.casefold() in desk.servicers
        desk.servicers.setdefault(userid.casefold(), Member(userid))
        return not known

    def add_department(department: int) -> bool:
        known = department in desk.departments
        desk.departments.setdefault(department, {})
        return not known

    return _servicers_changed(request, add_member, add_department)


def servicer_del(world: World, request: Request) -> Reply:
    """``servicer/del``: who is not there is ``ignored``; running sessions stay."""
    desk = _managed(desk_of(world, request))
    return _servicers_changed(
        request,
        lambda userid: desk.servicers.pop(userid.casefold(), None) is not None,
        lambda department: desk.departments.pop(department, None) is not None,
    )


def service_state_get(world: World, request: Request) -> Reply:
    """``service_state/get``: the servicer in 3 only."""
    talk = world.talk(desk_of(world, request).open_kfid, guest_of(world, request))
    session = talk.session
    if session.state is State.MANUAL:
        return {"service_state": int(session.state), "servicer_userid": session.servicer}
    return {"service_state": int(session.state)}


def service_state_trans(world: World, request: Request) -> Reply:
    """``service_state/trans``: a code with the first change to 2, the first to 3, and every change to 4."""
    desk = _managed(desk_of(world, request))
    talk = world.talk(desk.open_kfid, guest_of(world, request))
    to = State(number(request, "service_state", low=0, high=4))
    wanted = text(request, "servicer_userid", default=None if to is State.MANUAL else "")
    session = world.touch(talk)
    member = desk.member(wanted) if to is State.MANUAL else None
    servicer = member.userid if member is not None else wanted
    if errcode := rules.refusal_of_trans(session, to, servicer, world.facts):
        raise RefusedError(errcode)
    if to is State.MANUAL and member is None:
        raise RefusedError(95014)
    if member is not None and not member.receiving:
        raise RefusedError(95019)
    now = world.now()
    after = rules.moved(session, to, servicer if to is State.MANUAL else "", now)
    scene = {State.QUEUE: "queue", State.MANUAL: "taken", State.FINISHED: "ended"}.get(to)
    code = None
    if scene is not None and to not in session.coded:
        code = world.codes.give(scene, *talk.key, session=session.number, now=now)
        after = attrs.evolve(after, coded=session.coded | {int(to)})
    announced = world.facts.trans_event and to in (State.MANUAL, State.FINISHED)
    world.become(talk, after, "api", announced=announced)
    if announced:
        _announce(world, talk, session, after, code)
    return {} if code is None else {"msg_code": code}


def send_msg(world: World, request: Request) -> Reply:
    """``send_msg``: five in 48 hours after a customer message, in 0 and 1."""
    desk = _managed(desk_of(world, request))
    talk = world.talk(desk.open_kfid, guest_of(world, request, "touser"))
    _message(request, SENDABLE)
    msgid = msgid_of(world, desk, request)
    session = world.touch(talk)
    if errcode := rules.refusal_of_send(session, world.facts, world.now()):
        raise RefusedError(errcode)
    desk.msgids.add(msgid)
    world.become(talk, rules.after_send(session, world.facts), "api", announced=False)
    if world.dice.says("failed_sends"):
        acts.fails_to_arrive(world, talk, msgid, pick(world.dice.sequence("fail_type"), FAIL_TYPES))
    return {"msgid": msgid}


def send_msg_on_event(world: World, request: Request) -> Reply:
    """``send_msg_on_event``: one message for one code, while the session is where it was given."""
    value, now = text(request, "code"), world.now()
    code = world.codes.find(value, now)
    if code is None:
        raise RefusedError(40029)  # what WeCom says of a spent code is not documented: it is its word for codes
    talk = world.talk(code.open_kfid, code.external_userid)
    _message(request, code.scene.msgtypes)
    msgid = msgid_of(world, talk.desk, request)
    session = world.touch(talk)
    if code.scene.state not in (None, session.state) or (code.scene.state and session.number != code.session):
        raise RefusedError(95018)
    world.codes.use(value)
    talk.desk.msgids.add(msgid)
    if code.scene.state is None:
        talk.welcomed_at = now
    return {"msgid": msgid}


def customer_batchget(world: World, request: Request) -> Reply:
    """``customer/batchget``."""
    wanted = ids(request, "external_userid_list", str)
    if not wanted:
        raise RefusedError(40058, "field `external_userid_list` is empty")
    context = choice(request, "need_enter_session_context", (0, 1), 0)
    found, unknown = [], []
    for external_userid in wanted:
        if (guest := world.guests.get(external_userid)) is None:
            unknown.append(external_userid)
            continue
        customer: Reply = {"external_userid": external_userid, "nickname": guest.nickname, "avatar": "", "gender": 0}
        if context and (entered := _last_entered(world, external_userid)) is not None:
            customer["enter_session_context"] = entered
        found.append(customer)
    return {"customer_list": found, "invalid_external_userid": unknown}


CALLS: Mapping[str, Endpoint] = MappingProxyType(
    {
        "account/list": Endpoint(account_list, ("POST", "GET")),
        "servicer/list": Endpoint(servicer_list, ("GET",)),
        "servicer/add": Endpoint(servicer_add),
        "servicer/del": Endpoint(servicer_del),
        "sync_msg": Endpoint(sync_msg),
        "service_state/get": Endpoint(service_state_get),
        "service_state/trans": Endpoint(service_state_trans),
        "send_msg": Endpoint(send_msg),
        "send_msg_on_event": Endpoint(send_msg_on_event),
        "customer/batchget": Endpoint(customer_batchget),
    }
)
"""Every call by its path below ``/cgi-bin/kf/``."""


def _managed(desk: Desk) -> Desk:
    """Refuse what changes an account that is not managed by API (通过API管理)."""
    if not desk.managed:
        raise RefusedError(48002)
    return desk


def _message(request: Request, msgtypes: frozenset[str]) -> None:
    msgtype = text(request, "msgtype")
    if msgtype not in msgtypes:
        raise RefusedError(40058, f"msgtype {msgtype!r} cannot be sent here")
    if not isinstance(body := request.get(msgtype), dict):
        raise RefusedError(40058, f"field `{msgtype}` is no object")
    if msgtype == "text":
        text(body, "content", longest=2_048)


def _announce(world: World, talk: Talk, before: rules.Session, after: rules.Session, code: str | None) -> None:
    """Bring the event that a servicer's doing would have brought."""
    if after.state is State.FINISHED:
        world.status_change(talk, 3, old=before.servicer or None, code=code)
    elif before.state is State.MANUAL:
        world.status_change(talk, 2, old=before.servicer, new=after.servicer)
    else:
        world.status_change(talk, 1, new=after.servicer, code=code)


def _servicers_changed(
    request: Request, change_member: Callable[[str], bool], change_department: Callable[[int], bool]
) -> Reply:
    people, departments = ids(request, "userid_list", str), ids(request, "department_id_list", int)
    if not people and not departments:
        raise RefusedError(40058, "neither `userid_list` nor `department_id_list`")
    results: list[Reply] = []
    for name, change, wanted in (("userid", change_member, people), ("department_id", change_department, departments)):
        for item in wanted:
            done = change(item)
            results.append({name: item, "errcode": 0, "errmsg": "success" if done else "ignored"})
    return {"result_list": results}


def _last_entered(world: World, external_userid: str) -> Mapping[str, object] | None:
    """Return how a customer last entered, within 48 hours."""
    entered = [
        talk.context for (_, customer), talk in world.talks.items() if customer == external_userid and talk.context
    ]
    at, context = max(entered, key=lambda one: one[0], default=(None, None))
    return context if at is not None and world.now() - at < rules.WINDOW else None
