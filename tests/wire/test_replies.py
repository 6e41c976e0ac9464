"""Replies of the calls, accounts and servicers."""

import attrs
import pytest

from kfstate import wire

DAY = {"stat_time": 1760000000, "statistic": {"session_cnt": 3, "ai_transfer_rate": 0.5, "reply_rate": 1}}

REPLIES: list[tuple[str, dict[str, object]]] = [
    ("sync_msg", {"next_cursor": "c", "has_more": 0, "msg_list": [{"msgid": "a"}]}),
    ("send_msg", {"msgid": "m"}),
    ("send_msg_on_event", {"msgid": "m"}),
    ("recall_msg", {}),
    ("service_state/get", {"service_state": 3, "servicer_userid": "zhaoliu"}),
    ("service_state/trans", {"msg_code": "code"}),
    ("servicer/add", {"result_list": [{"userid": "zhaoliu", "errcode": 0, "errmsg": "success"}]}),
    ("servicer/del", {"result_list": [{"department_id": 4, "errcode": 0, "errmsg": "ignored"}]}),
    ("servicer/list", {"servicer_list": [{"userid": "zhaoliu", "status": 1, "stop_type": 1}, {"department_id": 4}]}),
    ("account/add", {"open_kfid": "wk"}),
    ("account/del", {}),
    ("account/update", {}),
    ("account/list", {"account_list": [{"open_kfid": "wk", "name": "n", "avatar": "a", "manage_privilege": True}]}),
    ("add_contact_way", {"url": "https://example.org/kf"}),
    (
        "customer/batchget",
        {
            "customer_list": [
                {
                    "external_userid": "wm",
                    "nickname": "n",
                    "avatar": "a",
                    "gender": 0,
                    "unionid": "u",
                    "enter_session_context": {"scene": "s", "scene_param": "p", "wechat_channels": {"scene": 5}},
                }
            ],
            "invalid_external_userid": ["wx"],
        },
    ),
    (
        "customer/get_upgrade_service_config",
        {
            "member_range": {"userid_list": ["zhaoliu"], "department_id_list": [4]},
            "groupchat_range": {"chat_id_list": ["wr"]},
        },
    ),
    ("customer/upgrade_service", {}),
    ("customer/cancel_upgrade_service", {}),
    ("get_corp_statistic", {"statistic_list": [DAY]}),
    ("get_servicer_statistic", {"statistic_list": [DAY]}),
    ("get_corp_qualification", {}),
    ("knowledge/add_group", {"group_id": "g"}),
    ("knowledge/add_intent", {"intent_id": "i"}),
]

REPLY_MODELS: list[type[wire.KfReply]] = list(dict.fromkeys(wire.REPLIES.values()))


def test_every_call_is_here() -> None:
    """The table above misses no call."""
    assert set(wire.REPLIES) == {path for path, _ in REPLIES}


@pytest.mark.parametrize(("path", "fields"), REPLIES, ids=[path for path, _ in REPLIES])
def test_a_reply_is_typed_and_goes_out_as_it_came(path: str, fields: dict[str, object]) -> None:
    """Every documented field has an attribute; unknown ones survive."""
    came = {"errcode": 0, "errmsg": "ok", **fields}
    reply = wire.decode_model(came, wire.REPLIES[path])
    assert reply.ok
    assert {} == reply.extra
    assert came == wire.to_wire(reply)
    assert came | {"future": 1} == wire.to_wire(wire.decode_model(came | {"future": 1}, wire.REPLIES[path]))


@pytest.mark.parametrize("kind", REPLY_MODELS)
def test_a_refusal_is_a_reply(kind: type[wire.KfReply]) -> None:
    """An errcode is data here: the engine records what WeCom answered."""
    reply = wire.decode_model(b'{"errcode":95018,"errmsg":"send msg session status invalid"}', kind)
    assert not reply.ok
    assert 95018 == reply.errcode


@pytest.mark.parametrize("state", list(wire.KfServiceState))
def test_service_state(state: wire.KfServiceState) -> None:
    """The five states are members; a sixth would be a number."""
    assert state is wire.decode_model({"service_state": state.value}, wire.ServiceStateReply).service_state
    assert 5 == wire.decode_model({"service_state": 5}, wire.ServiceStateReply).service_state


@pytest.mark.parametrize(("status", "receiving"), [(0, True), (1, False), (2, None), (None, None)])
def test_receiving_of_the_list(status: object, receiving: bool | None) -> None:  # noqa: FBT001
    """The list counts 0 and 1, unlike the event; the word is the same."""
    assert receiving is wire.decode_model({"status": status}, wire.KfServicer).receiving


def test_ignored() -> None:
    """errmsg, not errcode, says that nothing changed."""
    assert wire.KfServicerResult(userid="a", errcode=0, errmsg="ignored").ignored
    assert not wire.KfServicerResult(userid="a", errcode=0, errmsg="success").ignored
    assert not wire.KfServicerResult(userid="a", errcode=60111, errmsg="ignored").ignored


@pytest.mark.parametrize(("came", "read"), [(True, True), (False, False), (1, True), (0, False), ("yes", None)])
def test_manage_privilege(came: object, read: bool | None) -> None:  # noqa: FBT001
    """A boolean by the page; 0 and 1 are understood, and go out as they came."""
    account = wire.decode_model({"manage_privilege": came}, wire.KfAccount)
    assert read is account.manage_privilege
    wrote = wire.to_wire(account)["manage_privilege"]
    assert (type(came), came) == (type(wrote), wrote)
    assert {"manage_privilege": True} == wire.to_wire(attrs.evolve(account, manage_privilege=True)) or came == 1


@pytest.mark.parametrize("ids", [[1, 2], [1, "2"], [True], [2**70], [[]], []])
def test_lists_of_plain_values(ids: list[object]) -> None:
    """Items of another type are left out of the tuple, never out of the JSON."""
    came = {"department_id_list": ids}
    members = wire.decode_model(came, wire.MemberRange)
    assert tuple(value for value in ids if type(value) is int and value < 2**63) == members.department_id_list
    assert came == wire.to_wire(members)
