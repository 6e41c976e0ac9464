"""The calls: what is sent, what comes back, what is tried again, and what never is."""

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from kfstate import KfServiceState
from kfstate.clock import SECOND
from kfstate.errors import (
    ArgumentError,
    ClosedError,
    KfstateError,
    RateLimitError,
    ReplyError,
    ReplyLostError,
    UnreachableError,
    WecomError,
)
from kfstate.testing import FrozenClock
from kfstate.wecom.client import Client
from kfstate.wecom.errcodes import ERRCODES
from tests.wecom.scripted import NOW, TOKEN, Patience, Scripted, api, ok, refused

__all__: list[str] = []

TEXT = {"msgtype": "text", "text": {"content": "你好"}}
READS: dict[str, Callable[[Client], Any]] = {
    "account/list": lambda client: client.accounts(),
    "servicer/list": lambda client: client.servicers("wk1"),
    "servicer/add": lambda client: client.add_servicers("wk1", ["zhang"]),
    "servicer/del": lambda client: client.remove_servicers("wk1", ["zhang"]),
    "sync_msg": lambda client: client.sync_msg("wk1", "c", token="t"),
    "service_state/get": lambda client: client.get_state("wk1", "wm1"),
    "customer/batchget": lambda client: client.customers(["wm1"]),
}
CHANGES: dict[str, Callable[[Client], Any]] = {
    "service_state/trans": lambda client: client.trans_state("wk1", "wm1", 3, "zhang"),
    "send_msg": lambda client: client.send_msg("wk1", "wm1", TEXT),
    "send_msg_on_event": lambda client: client.send_msg_on_event("code", TEXT),
}
CALLS = READS | CHANGES
GOOD: dict[str, dict[str, Any]] = {
    "account/list": {"account_list": [{"open_kfid": "wk1", "name": "售后"}]},
    "servicer/list": {"servicer_list": [{"userid": "zhang", "status": 0}]},
    "servicer/add": {"result_list": [{"userid": "zhang", "errcode": 0}]},
    "servicer/del": {"result_list": [{"userid": "zhang", "errcode": 0}]},
    "sync_msg": {"next_cursor": "d", "has_more": 0, "msg_list": []},
    "service_state/get": {"service_state": 3, "servicer_userid": "zhang"},
    "customer/batchget": {"customer_list": [{"external_userid": "wm1"}]},
    "service_state/trans": {"msg_code": "m"},
    "send_msg": {"msgid": "kf1"},
    "send_msg_on_event": {"msgid": "kf1"},
}


@pytest.fixture
def clock() -> FrozenClock:
    """The client's time."""
    return FrozenClock.at(NOW)


@pytest.fixture
def patience(clock: FrozenClock) -> Patience:
    """The client's waiting."""
    return Patience(clock)


@pytest.fixture
def wecom() -> Scripted:
    """The other side."""
    return Scripted()


@pytest.fixture
def client(wecom: Scripted, clock: FrozenClock, patience: Patience) -> Client:
    """A client that calls it."""
    return api(wecom, clock, patience)


@pytest.mark.parametrize("call", CALLS)
def test_every_call(client: Client, wecom: Scripted, call: str) -> None:
    """A call goes to its path with the token, once."""
    wecom.on(call, ok(**GOOD[call]))
    assert CALLS[call](client)
    assert ["gettoken", call] == wecom.calls()
    assert TOKEN == wecom.requests[-1].url.params["access_token"]
    assert ("GET" if call == "servicer/list" else "POST") == wecom.requests[-1].method


def test_what_is_said(client: Client, wecom: Scripted) -> None:
    """The bodies are those of the documents; Chinese goes out as UTF-8, which WeCom asks for."""
    for call in CALLS:
        wecom.on(call, ok(**GOOD[call]))
        CALLS[call](client)
    said = {
        name: json.loads(request.content)
        for name, request in zip(wecom.calls(), wecom.requests, strict=True)
        if request.content
    }
    ids = {"open_kfid": "wk1", "external_userid": "wm1"}
    assert {
        "account/list": {"offset": 0, "limit": 100},
        "servicer/add": {"open_kfid": "wk1", "userid_list": ["zhang"]},
        "servicer/del": {"open_kfid": "wk1", "userid_list": ["zhang"]},
        "sync_msg": {"open_kfid": "wk1", "cursor": "c", "token": "t", "limit": 1000, "voice_format": 0},
        "service_state/get": ids,
        "customer/batchget": {"external_userid_list": ["wm1"], "need_enter_session_context": 0},
        "service_state/trans": {**ids, "service_state": 3, "servicer_userid": "zhang"},
        "send_msg": {"touser": "wm1", "open_kfid": "wk1", "msgid": "kf1", **TEXT},
        "send_msg_on_event": {"code": "code", "msgid": "kf1", **TEXT},
    } == said
    sent = wecom.requests[wecom.calls().index("send_msg")].content
    assert "你好".encode() in sent
    (listed,) = [request for request in wecom.requests if request.url.path.endswith("servicer/list")]
    assert "wk1" == listed.url.params["open_kfid"]


def test_typed_replies(client: Client, wecom: Scripted) -> None:
    """What comes back is typed, and keeps what nobody knows."""
    for call, members in GOOD.items():
        wecom.on(call, ok(**members, new_field=1))
    state = client.get_state("wk1", "wm1")
    assert (KfServiceState.MANUAL, "zhang", 1) == (
        state.service_state, state.servicer_userid, state.extra["new_field"],
    )  # fmt: skip
    assert ["售后"] == [account.name for account in client.accounts()]
    assert [True] == [servicer.receiving for servicer in client.servicers("wk1")]
    assert "m" == client.trans_state("wk1", "wm1", KfServiceState.QUEUE).msg_code
    assert 2 == wecom.body()["service_state"]
    assert ["wm1"] == [one.external_userid for one in client.customers(["wm1"]).customer_list]


def test_pages_are_exact(client: Client, wecom: Scripted) -> None:
    """A page keeps its very bytes, and when WeCom sent it."""
    body = b'{"errcode":0, "errmsg":"ok",\n"next_cursor":"n","has_more":1,"msg_list":[{"a" : 1, "a":2}]}'
    wecom.on("sync_msg", httpx2.Response(200, content=body, headers={"Date": "Thu, 01 Jan 2026 00:00:07 GMT"}))
    page = client.sync_msg("wk1")
    assert (body, (NOW + 7) * SECOND, True, "n", 1) == (
        page.body, page.date_at, page.has_more, page.next_cursor, page.elements,
    )  # fmt: skip
    assert "msg_list" not in repr(page)
    assert 7 * SECOND == client.skew
    wecom.on("sync_msg", httpx2.Response(200, content=body, headers={"Date": "yesterday"}))
    assert client.sync_msg("wk1").date_at is None


def test_lists_come_in_portions(client: Client, wecom: Scripted) -> None:
    """Accounts are read page by page; ids go out by the hundred."""
    pages = [[{"open_kfid": f"wk{number}"} for number in range(start, stop)] for start, stop in ((0, 100), (100, 130))]
    wecom.on("account/list", *(ok(account_list=accounts) for accounts in pages))
    assert 130 == len(client.accounts())
    assert 100 == wecom.body()["offset"]
    wecom.on("account/list", ok(account_list=pages[0]))
    assert 100 == len(client.accounts())
    wecom.on("customer/batchget", ok(customer_list=[{"external_userid": "wm1"}], invalid_external_userid=["x"]))
    found = client.customers(f"wm{number}" for number in range(250))
    assert (3, 3) == (len(found.customer_list), len(found.invalid_external_userid))
    assert 50 == len(wecom.body()["external_userid_list"])
    wecom.on("servicer/add", ok(result_list=[{"userid": "zhang"}]))
    assert 3 == len(client.add_servicers("wk1", [f"z{number}" for number in range(150)], [7]))
    assert {"open_kfid": "wk1", "department_id_list": [7]} == wecom.body()


@pytest.mark.parametrize("call", CALLS)
def test_busy_is_tried_three_times_again(client: Client, wecom: Scripted, patience: Patience, call: str) -> None:
    """-1: nothing was done. The call is repeated at most 3 times, with growing pauses that are the client's own."""
    wecom.on(call, refused(-1), refused(-1), refused(-1), ok(**GOOD[call]))
    assert CALLS[call](client)
    assert 4 == wecom.count(call)
    assert 3 == len(patience.waits)
    assert 0.2 <= patience.waits[0] <= 0.7
    assert 0.8 <= patience.waits[2] <= 1.3
    wecom.on(call, refused(-1))
    with pytest.raises(WecomError) as caught:
        CALLS[call](client)
    assert (-1, "busy", call) == (caught.value.errcode, caught.value.retry, caught.value.call)
    assert 8 == wecom.count(call)


def test_tries_are_told_quietly(client: Client, wecom: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """Trying again is no news to who has not configured logging: it is told as information, under our name."""
    caplog.set_level(logging.INFO)
    wecom.on("service_state/get", refused(-1), refused(-1), ok(**GOOD["service_state/get"]))
    client.get_state("wk1", "wm1")
    told = [record for record in caplog.records if not record.name.startswith("http")]
    assert [("kfstate", "INFO", "retry")] * 2 == [(one.name, one.levelname, one.__dict__["action"]) for one in told]
    assert "service_state/get was refused with -1" in told[0].getMessage()


@pytest.mark.parametrize("failure", [httpx2.ConnectError("refused"), httpx2.ConnectTimeout(""), httpx2.PoolTimeout("")])
@pytest.mark.parametrize("call", CALLS)
def test_what_was_not_sent_is_sent_again(client: Client, wecom: Scripted, call: str, failure: Exception) -> None:
    """Whatever the call, where no connection was made nothing was carried out."""
    wecom.on(call, failure, failure, ok(**GOOD[call]))
    assert CALLS[call](client)
    assert 3 == wecom.count(call)
    wecom.on(call, failure)
    with pytest.raises(UnreachableError) as caught:
        CALLS[call](client)
    assert call == caught.value.call
    assert type(failure).__name__ in caught.value.reason


LOST: dict[str, httpx2.Response | Exception] = {
    "read timeout": httpx2.ReadTimeout(""),
    "write timeout": httpx2.WriteTimeout(""),
    "connection reset": httpx2.ReadError("reset"),
    "closed without an answer": httpx2.RemoteProtocolError("Server disconnected"),
    "os": OSError("broken pipe"),
    "500": httpx2.Response(500),
    "502 of a proxy": httpx2.Response(502, text="<html>Bad Gateway</html>"),
    "504": httpx2.Response(504, text="timeout"),
    "408": httpx2.Response(408),
    "302": httpx2.Response(302, headers={"location": "https://login.example/"}),
    "a page": httpx2.Response(200, text="<!DOCTYPE html><html>log in</html>"),
    "nothing": httpx2.Response(200, content=b""),
    "blanks": httpx2.Response(200, content=b" \n"),
    "half": httpx2.Response(200, content=b'{"errcode": 0, "errm'),
    "a list": httpx2.Response(200, json=[]),
    "null": httpx2.Response(200, content=b"null"),
    "bytes": httpx2.Response(200, content=b"\xff\xfe\x00"),
    "deep": httpx2.Response(200, content=b'{"a":' + b"[" * 100_000),
    "no errcode": httpx2.Response(200, json={"errmsg": "ok"}),
    "errcode is a text": httpx2.Response(200, json={"errcode": "0"}),
    "errcode is true": httpx2.Response(200, json={"errcode": True}),
    "errcode is 0.0": httpx2.Response(200, content=b'{"errcode": 0.0}'),
}


@pytest.mark.parametrize("what", LOST)
@pytest.mark.parametrize("call", CHANGES)
def test_a_change_is_never_repeated(client: Client, wecom: Scripted, call: str, what: str) -> None:
    """What may have arrived is never sent again, whatever came back instead of a reply."""
    wecom.on(call, LOST[what], ok(**GOOD[call]))
    with pytest.raises(ReplyLostError) as caught:
        CALLS[call](client)
    assert call == caught.value.call
    assert caught.value.reason
    assert 1 == wecom.count(call)


@pytest.mark.parametrize("what", LOST)
@pytest.mark.parametrize("call", READS)
def test_a_question_is_repeated(client: Client, wecom: Scripted, call: str, what: str) -> None:
    """A call that changes nothing twice is repeated, and in the end says what came back instead of a reply."""
    repeats = 1 if what == "408" else 4
    if repeats > 1:
        wecom.on(call, LOST[what], ok(**GOOD[call]))
        assert CALLS[call](client)
    wecom.requests.clear()
    wecom.on(call, LOST[what])
    with pytest.raises((UnreachableError, ReplyError)) as caught:
        CALLS[call](client)
    assert call == vars(caught.value)["call"]
    assert repeats == wecom.count(call)


@pytest.mark.parametrize("call", CALLS)
def test_http_refusals(client: Client, wecom: Scripted, call: str) -> None:
    """A status of 4xx is a refusal by something in between: nothing was carried out, and trying again is no use."""
    wecom.on(call, httpx2.Response(403, text="<html>forbidden by the proxy</html>"))
    with pytest.raises(ReplyError, match="forbidden by the proxy") as caught:
        CALLS[call](client)
    assert (call, 403) == (caught.value.call, caught.value.status)
    assert 1 == wecom.count(call)


def wrongs() -> list[tuple[str, str, object, str]]:
    """Return call, member, a value of the wrong type, and how the error shows it."""
    lists = {"account/list": "account_list", "servicer/list": "servicer_list", "servicer/add": "result_list",
             "servicer/del": "result_list", "customer/batchget": "customer_list"}  # fmt: skip
    found: list[tuple[str, str, object, str]] = [
        (call, name, {"a": 1}, "{'a': 1}") for call, name in lists.items()
    ]  # fmt: skip
    found += [("service_state/get", "service_state", value, f"{value}") for value in ("3", True, [3])]
    return [*found, ("service_state/get", "service_state", None, "nothing"), ("sync_msg", "msg_list", "x", "x")]


@pytest.mark.parametrize("wrong", wrongs(), ids=str)
def test_wrong_types(client: Client, wecom: Scripted, wrong: tuple[str, str, object, str]) -> None:
    """A reply without what it is for is an error that names the call, the place and the value."""
    call, member, value, shown = wrong
    wecom.on(call, ok(**(GOOD[call] | {member: value})))
    with pytest.raises(ReplyError) as caught:
        CALLS[call](client)
    assert (call, f"$.{member}", shown) == (caught.value.call, caught.value.path, caught.value.value)
    assert call in str(caught.value)
    assert f"$.{member}" in str(caught.value)


def test_wrong_types_that_do_not_matter(client: Client, wecom: Scripted) -> None:
    """A change that WeCom accepted is accepted, whatever else its reply says."""
    wecom.on("service_state/trans", ok(msg_code=7))
    wecom.on("send_msg", ok(msgid=None))
    assert client.trans_state("wk1", "wm1", 2).msg_code is None
    assert client.send_msg("wk1", "wm1", TEXT).msgid is None
    wecom.on("account/list", ok())
    assert () == client.accounts()


@pytest.mark.parametrize("code", [*sorted(set(ERRCODES) - {-1}), 12345])
def test_errcodes(client: Client, wecom: Scripted, code: int) -> None:
    """An errcode is an error that says what it means and what to do, in English and Chinese; an unknown one, too."""
    wecom.on("service_state/trans", refused(code, "some words"))
    with pytest.raises(WecomError) as caught:
        client.trans_state("wk1", "wm1", 1)
    error = caught.value
    assert ("service_state/trans", code, "some words") == (error.call, error.errcode, error.errmsg)
    assert all((error.name, error.meaning, error.remedy, error.meaning_zh, error.remedy_zh))
    assert str(code) in str(error)
    assert error.remedy in str(error)
    assert (error.retry == "limit") is isinstance(error, RateLimitError)
    assert (2 if error.retry == "token" else 1) == wecom.count("service_state/trans")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", [40014, 42001, 40001])
def test_a_refused_token_is_replaced_once(client: Client, wecom: Scripted, call: str, code: int) -> None:
    """A token that WeCom refuses is fetched anew, and the call made once more; then the error is the caller's."""
    wecom.on(call, refused(code), ok(**GOOD[call]))
    assert CALLS[call](client)
    assert ["gettoken", call, "gettoken", call] == wecom.calls()
    assert f"{TOKEN}2" == wecom.requests[-1].url.params["access_token"]
    wecom.on(call, refused(code))
    with pytest.raises(WecomError) as caught:
        CALLS[call](client)
    assert code == caught.value.errcode
    assert [call, "gettoken", call] == wecom.calls()[4:]


def test_limits_are_kept(client: Client, wecom: Scripted, clock: FrozenClock) -> None:
    """After 45009 the call is not made for a minute, then for two, up to an hour; others go on."""
    wecom.on("sync_msg", refused(45009))
    wecom.on("service_state/get", ok(**GOOD["service_state/get"]))
    waits = [60, 120, 240, 480, 960, 1920, 3600, 3600]
    for made, seconds in enumerate(waits, 1):
        with pytest.raises(RateLimitError) as caught:
            client.sync_msg("wk1", token="t")
        assert (clock.now() + seconds * SECOND, False) == (caught.value.retry_at, caught.value.local)
        assert {"sync_msg": caught.value.retry_at} == client.stopped()
        clock.advance(seconds - 1)
        with pytest.raises(RateLimitError) as again:
            client.sync_msg("wk2", token="u")
        assert (caught.value.retry_at, True) == (again.value.retry_at, again.value.local)
        assert made == wecom.count("sync_msg")
        clock.advance(1)
        assert client.get_state("wk1", "wm1")
    wecom.on("sync_msg", ok(**GOOD["sync_msg"]), refused(45009))
    assert client.sync_msg("wk1", token="t")
    assert {} == client.stopped()
    with pytest.raises(RateLimitError) as caught:
        client.sync_msg("wk1", token="t")
    assert clock.now() + 60 * SECOND == caught.value.retry_at


def test_pulls_with_a_token_have_a_limit_of_their_own(client: Client, wecom: Scripted) -> None:
    """WeCom is strict with pulls that have no token of a callback; those with one go on meanwhile."""
    wecom.on("sync_msg", refused(45009), ok(**GOOD["sync_msg"]))
    with pytest.raises(RateLimitError):
        client.sync_msg("wk1")
    assert client.sync_msg("wk1", token="t")
    with pytest.raises(RateLimitError):
        client.sync_msg("wk1")
    assert 2 == wecom.count("sync_msg")


def test_too_many_at_once(client: Client, wecom: Scripted, clock: FrozenClock) -> None:
    """45033 is over when the others are: a second will do."""
    wecom.on("service_state/get", refused(45033), ok(**GOOD["service_state/get"]))
    with pytest.raises(RateLimitError) as caught:
        client.get_state("wk1", "wm1")
    assert clock.now() + SECOND == caught.value.retry_at
    clock.advance(1)
    assert client.get_state("wk1", "wm1")


def test_sent_before(client: Client, wecom: Scripted) -> None:
    """Busy, and on the repetition 95033: the first try was carried out, so the message is sent. Else it is an error."""
    wecom.on("send_msg", refused(-1), refused(95033))
    assert (0, "mine") == (
        (reply := client.send_msg("wk1", "wm1", TEXT, msgid="mine")).errcode,
        reply.msgid,
    )
    assert ["mine", "mine"] == [wecom.body(place)["msgid"] for place in (-2, -1)]
    wecom.on("send_msg", refused(95033))
    with pytest.raises(WecomError):
        client.send_msg("wk1", "wm1", TEXT, msgid="mine")


@pytest.mark.parametrize("message", [{}, {"msgtype": 1}, {"msgtype": "text"}, {"msgtype": "text", "image": {}}])
def test_messages_without_a_body(client: Client, wecom: Scripted, message: dict[str, Any]) -> None:
    """What is no message is not sent."""
    with pytest.raises(ArgumentError):
        client.send_msg("wk1", "wm1", message)
    assert [] == wecom.requests


def test_what_json_has_no_form_for(client: Client, wecom: Scripted) -> None:
    """A text that cannot be written as UTF-8 is refused before anything is sent."""
    with pytest.raises(ArgumentError):
        client.send_msg("wk1", "wm1", {"msgtype": "text", "text": {"content": "\ud800"}})
    assert [] == wecom.requests


def test_closing_ends_the_waiting(wecom: Scripted, clock: FrozenClock) -> None:
    """A client that is closed makes no more calls, and whoever waits for another try is told."""
    patience = Patience(clock)
    client = api(wecom, clock, patience)
    tries: list[int] = []

    def busy(_: httpx2.Request) -> httpx2.Response:
        tries.append(1)
        client.close()
        return refused(-1)

    wecom.on("service_state/get", busy)
    with pytest.raises(ClosedError):
        client.get_state("wk1", "wm1")
    with pytest.raises(ClosedError):
        client.accounts()
    assert [1] == tries


@pytest.mark.parametrize(("corp_id", "secret"), [("", "s"), ("ww1", "")])
def test_without_a_secret(corp_id: str, secret: str) -> None:
    """A client needs to know who it is."""
    with pytest.raises(ArgumentError):
        Client(corp_id, secret)


def test_all_errors_are_kfstates(client: Client, wecom: Scripted) -> None:
    """Whatever comes back, the error is one of ours."""
    for content in (b"{", b'{"errcode":1e999}', b'{"errcode":9' + b"9" * 400 + b"}", b'{"errcode":-7,"errmsg":[1]}'):
        for call in CALLS:
            wecom.on(call, httpx2.Response(200, content=content))
            with pytest.raises(KfstateError):
                CALLS[call](client)


def test_skew(client: Client, wecom: Scripted, clock: FrozenClock) -> None:
    """WeCom's clock is never taken for further ahead than it is; many answers tell it more exactly than one."""

    def told(seconds: int) -> float | None:
        headers = {"Date": f"Thu, 01 Jan 2026 00:00:{seconds:02} GMT"}
        wecom.on("service_state/get", httpx2.Response(200, json={"errcode": 0, "service_state": 1}, headers=headers))
        client.get_state("wk1", "wm1")
        return None if client.skew is None else client.skew / SECOND

    clock.advance(0.7)
    assert -0.7 == told(0)
    clock.advance(0.4)
    assert -0.1 == told(1)
    clock.advance(0.5)
    assert -0.1 == told(1)  # it may be 0.6 behind by this one alone
    assert 8.4 == told(10)
    assert -1.6 == told(0)
