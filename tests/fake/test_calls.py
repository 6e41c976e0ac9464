"""The other calls: tokens, accounts, servicers, customers, and what is refused before a call is looked at."""

import pytest

from tests.fake.api import HOUR, START, Api, Shop

__all__: list[str] = []


def test_token_stays_until_it_expires(shop: Shop) -> None:
    """The same token for two hours, then another; the old one is refused with 42001, a wrong one with 40014."""
    first = shop.api.gettoken()
    assert first["expires_in"] == 7_200
    shop.clock.advance(7_000)
    again = shop.api.gettoken()
    assert (again["access_token"], again["expires_in"]) == (first["access_token"], 200)
    shop.clock.advance(200)
    assert shop.api.raw("account/list").json()["errcode"] == 42001
    assert shop.api.gettoken()["access_token"] != first["access_token"]
    assert shop.api.raw("account/list").json()["errcode"] == 0
    shop.api.token = "made up"  # noqa: S105 (it is none)
    assert shop.api.raw("account/list").json()["errcode"] == 40014


def test_expired_early(shop: Shop) -> None:
    """A script can let the token expire before its time."""
    old = shop.api.gettoken()["access_token"]
    shop.wecom.expire_token()
    assert shop.api.raw("account/list").json()["errcode"] == 42001
    assert shop.api.gettoken()["access_token"] != old


@pytest.mark.parametrize(
    ("change", "errcode"), [({"corpid": "ww"}, 40013), ({"corpsecret": "no"}, 40001), ({"corpsecret": None}, 40001)]
)
def test_wrong_credentials(shop: Shop, change: dict[str, str | None], errcode: int) -> None:
    """A wrong corporation and a wrong secret are told apart."""
    query = {"corpid": shop.wecom.corp_id, "corpsecret": shop.wecom.secret} | change
    reply = shop.api.http.get("gettoken", params={name: value for name, value in query.items() if value}).json()
    assert reply["errcode"] == errcode
    assert "access_token" not in reply


def test_refused_before_the_call(shop: Shop) -> None:
    """No token, another method, what is no JSON, an IP that is not trusted."""
    http, query = shop.api.http, {"access_token": shop.api.gettoken()["access_token"]}
    assert http.post("kf/account/list", json={}).json()["errcode"] == 41001
    assert http.get("kf/sync_msg", params=query).json()["errcode"] == 43002
    assert http.post("kf/servicer/list", params=query, json={}).json()["errcode"] == 43001
    for body in (b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000):
        assert http.post("kf/sync_msg", params=query, content=body).json()["errcode"] == 47001
    shop.wecom.trust_ip(trusted=False)
    assert http.post("kf/account/list", params=query, json={}).json()["errcode"] == 60020
    shop.wecom.trust_ip(trusted=True)
    assert http.post("kf/account/list", params=query, json={}).json()["errcode"] == 0
    assert http.post("kf/unknown", params=query, json={}).status_code == 404
    assert http.get("/", params=query).status_code == 404


def test_account_list(shop: Shop) -> None:
    """Accounts in pages, with whether they are managed by API."""
    shop.wecom.account("售前", manage_privilege=False)
    accounts = shop.api("account/list", offset=0, limit=100)["account_list"]
    assert [(one["name"], one["manage_privilege"]) for one in accounts] == [("售后", True), ("售前", False)]
    assert shop.api("account/list", offset=1, limit=1)["account_list"] == accounts[1:]
    assert shop.api("account/list", limit=101)["errcode"] == 40058


def test_servicer_list(shop: Shop) -> None:
    """Servicers with 0 receiving and 1 stopped, and departments without their members, who serve all the same."""
    shop.account.stops("li", suspended=True)
    shop.account.department(7, "chen")
    listed = shop.api("servicer/list", open_kfid=shop.account.open_kfid)["servicer_list"]
    expected = [
        {"userid": "zhang", "status": 0},
        {"userid": "li", "status": 1, "stop_type": 1},
        {"department_id": 7},
    ]
    assert listed == expected
    shop.writes()
    assert shop.trans(3, "chen")["errcode"] == 0


def test_servicer_duty_is_told(shop: Shop) -> None:
    """The event counts from 1, other than the list."""
    shop.account.stops("li")
    shop.account.receives("li")
    found = [(event["status"], event.get("stop_type")) for event in shop.events("servicer_status_change")]
    assert found == [(2, 0), (1, None)]


def test_servicers_are_added_and_removed(shop: Shop) -> None:
    """`success` where something changed, `ignored` where nothing did; the case of an id does not count."""
    kf = shop.account.open_kfid
    added = shop.api("servicer/add", open_kfid=kf, userid_list=["chen", "ZHANG"], department_id_list=[2])
    assert [(r.get("userid", r.get("department_id")), r["errmsg"]) for r in added["result_list"]] == [
        ("chen", "success"), ("ZHANG", "ignored"), (2, "success")]  # fmt: skip
    gone = shop.api("servicer/del", open_kfid=kf, userid_list=["Chen", "nobody"], department_id_list=[2, 3])
    assert [r["errmsg"] for r in gone["result_list"]] == ["success", "ignored", "success", "ignored"]
    assert [s["userid"] for s in shop.api("servicer/list", open_kfid=kf)["servicer_list"]] == ["zhang", "li"]
    assert shop.api("servicer/add", open_kfid=kf)["errcode"] == 40058
    assert shop.api("servicer/add", open_kfid=kf, userid_list=["a"] * 101)["errcode"] == 40058


def test_customers(shop: Shop) -> None:
    """Who is known, and how they came; who is not known stands apart."""
    wechat = {"nickname": "示例视频号", "scene": 1}
    shop.customer.enters(shop.account, scene="官网", scene_param="a%3D1", wechat_channels=wechat)
    wanted = [shop.customer.external_userid, "zhang"]
    reply = shop.api("customer/batchget", external_userid_list=wanted, need_enter_session_context=1)
    assert reply["invalid_external_userid"] == ["zhang"]
    (found,) = reply["customer_list"]
    assert found["enter_session_context"] == {"scene": "官网", "scene_param": "a%3D1", "wechat_channels": wechat}
    plain = shop.api("customer/batchget", external_userid_list=wanted)
    assert "enter_session_context" not in plain["customer_list"][0]
    shop.clock.advance(48 * HOUR)
    late = shop.api("customer/batchget", external_userid_list=wanted, need_enter_session_context=1)
    assert "enter_session_context" not in late["customer_list"][0]
    assert shop.api("customer/batchget", external_userid_list=[])["errcode"] == 40058


@pytest.mark.parametrize(
    ("call", "fields", "errcode"),
    [
        ("service_state/get", {"external_userid": "zhang"}, 40096),
        ("service_state/get", {"external_userid": ""}, 40058),
        ("service_state/trans", {"service_state": 5}, 40058),
        ("service_state/trans", {"service_state": "3"}, 40058),
        ("service_state/trans", {"service_state": 3}, 40058),
        ("send_msg", {"touser": "zhang"}, 40096),
        ("send_msg", {"msgtype": "note", "note": {}}, 40058),
        ("send_msg", {"msgtype": "text", "text": "hello"}, 40058),
        ("send_msg", {"msgtype": "text", "text": {"content": ""}}, 40058),
        ("send_msg", {"msgtype": "text", "text": {"content": "é" * 1_025}}, 40058),
        ("send_msg_on_event", {"code": "made up", "msgtype": "text", "text": {"content": "x"}}, 40029),
        ("send_msg_on_event", {"msgtype": "text", "text": {"content": "x"}}, 40058),
    ],
)
def test_bad_requests(shop: Shop, call: str, fields: dict[str, object], errcode: int) -> None:
    """Fields that are missing, wrong or out of bounds are refused, each with its code."""
    shop.writes()
    base = shop.ids if call.startswith("service_state") else {"touser": shop.customer.external_userid} | shop.ids
    assert shop.api(call, **(base | fields))["errcode"] == errcode


def test_calls_are_written_down_without_secrets(shop: Shop) -> None:
    """The journal holds each call with its errcode, and neither the secret nor tokens."""
    shop.writes()
    shop.trans(0)
    token, trans = shop.wecom.calls
    assert (token.name, trans.name, trans.errcode, trans.fault) == ("gettoken", "service_state/trans", 95016, "")
    assert (trans.at, trans.request["service_state"]) == (START * 1_000_000, 0)
    assert shop.wecom.secret not in str(shop.wecom.calls)
    assert shop.api.token not in str(shop.wecom.calls)


def test_two_clients_share_the_token(shop: Shop) -> None:
    """The token is one for the application, whoever asks."""
    other = Api(shop.wecom)
    assert shop.api.gettoken()["access_token"] == other.gettoken()["access_token"]
    other.close()
