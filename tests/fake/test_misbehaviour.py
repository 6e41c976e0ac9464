"""Everything that goes wrong on purpose: on order, and by chance."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from kfstate.testing import Misbehaviour
from kfstate.testing.fake.misbehaviour import CHANCES
from tests.fake.api import Api, Shop

__all__: list[str] = []

Open = Callable[..., Shop]
TRANS = "service_state/trans"


def test_dropped(shop: Shop) -> None:
    """The connection is closed without a word; the call was not carried out, the next one is."""
    shop.writes()
    shop.api.gettoken()
    shop.wecom.fail_next(TRANS, "dropped")
    with pytest.raises(httpx2.RemoteProtocolError):
        shop.trans(1)
    assert shop.state == 0
    assert shop.trans(1)["errcode"] == 0


@pytest.mark.parametrize("kind", ["dropped", "hung", "server_error", "broken_json"])
def test_lost_reply(open_shop: Open, kind: Any) -> None:
    """The change is made, and the reply is lost in one of four ways."""
    shop = open_shop(misbehave=Misbehaviour(hang_seconds=0.05))
    shop.writes()
    shop.api.gettoken()
    shop.wecom.fail_next(TRANS, kind, carried_out=True)
    with pytest.raises((httpx2.RemoteProtocolError, ValueError)):
        shop.trans(2)
    assert shop.state == 2
    call = next(call for call in shop.wecom.calls if call.name == TRANS)
    assert (call.errcode, call.fault) == (0, f"{kind}, carried out")


def test_hung(open_shop: Open) -> None:
    """No answer comes while the client waits; the call was not carried out."""
    shop = open_shop(misbehave=Misbehaviour(hang_seconds=30))
    shop.writes()
    shop.api.gettoken()
    hasty = Api(shop.wecom, timeout=0.1)
    hasty.token = shop.api.token
    shop.wecom.fail_next(TRANS, "hung")
    with pytest.raises(httpx2.ReadTimeout):
        hasty(TRANS, **shop.ids, service_state=1)
    hasty.close()
    assert shop.state == 0


def test_server_error(shop: Shop) -> None:
    """502 with a page of HTML."""
    shop.wecom.fail_next("sync_msg", "server_error")
    response = shop.api.raw("sync_msg", open_kfid=shop.account.open_kfid)
    assert (response.status_code, response.headers["content-type"]) == (502, "text/html")


def test_broken_json(shop: Shop) -> None:
    """200 with an answer that is cut off."""
    shop.writes()
    shop.wecom.fail_next("sync_msg", "broken_json", carried_out=True)
    response = shop.api.raw("sync_msg", open_kfid=shop.account.open_kfid)
    assert response.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        response.json()


@pytest.mark.parametrize("errcode", [-1, 45009, 95016])
def test_errcodes(shop: Shop, errcode: int) -> None:
    """Any errcode on order, as often as ordered; the call is not carried out."""
    shop.writes()
    shop.wecom.fail_next(TRANS, errcode=errcode, times=2)
    assert [shop.trans(1)["errcode"] for _ in range(3)] == [errcode, errcode, 0]


def test_token_expires_before_a_call(shop: Shop) -> None:
    """The token that was just fetched is refused with 42001; a new one works."""
    shop.api.gettoken()
    shop.wecom.fail_next("account/list", "expired_token")
    assert shop.api.raw("account/list").json()["errcode"] == 42001
    assert shop.api("account/list")["errcode"] == 0


def test_tokens_can_fail_too(shop: Shop) -> None:
    """`gettoken` goes wrong like any call."""
    shop.wecom.fail_next("gettoken", errcode=-1)
    assert [shop.api.gettoken()["errcode"] for _ in range(2)] == [-1, 0]


def test_unknown_call_cannot_be_ordered(shop: Shop) -> None:
    """A call that there is not cannot be told to fail."""
    with pytest.raises(ValueError, match="knows no call 'trans'"):
        shop.wecom.fail_next("trans")


def test_silent_changes(open_shop: Open) -> None:
    """WeCom's own routing moves sessions without a word, and the server knows it."""
    shop = open_shop(misbehave=Misbehaviour(silent_changes=1))
    shop.writes()
    (opened, routed) = shop.wecom.changes
    assert (opened.announced, routed.announced, routed.by) == (True, False, "routing")
    assert shop.state == routed.after != 0
    assert shop.events() == []
    states = set()
    for _ in range(20):
        shop.writes()
        states.add(shop.state)
    assert states >= {3, 4}


def test_failed_sends(open_shop: Open) -> None:
    """Accepted messages do not arrive, and an event says so."""
    shop = open_shop(misbehave=Misbehaviour(failed_sends=1))
    shop.writes()
    msgid = shop.send()["msgid"]
    assert [event["fail_msgid"] for event in shop.events("msg_send_fail")] == [msgid]


CALL_MISHAPS = {
    "server_errors": "server_error", "dropped": "dropped", "hung": "hung", "broken_json": "broken_json, carried out",
    "busy": "errcode", "limited": "errcode", "expired_tokens": "expired_token, carried out",
}  # fmt: skip


@pytest.mark.parametrize("name", CALL_MISHAPS)
def test_chances_of_calls(open_shop: Open, name: str) -> None:
    """Each share of calls goes wrong in its own way, about as often as said."""
    shop = open_shop(misbehave=Misbehaviour(**{name: 0.3}, hang_seconds=0))  # type: ignore[arg-type]  # shares
    for _ in range(60):
        try:
            shop.api("account/list")
        except (httpx2.RemoteProtocolError, ValueError):
            continue
    wrong = [call.fault for call in shop.wecom.calls if call.fault]
    assert set(wrong) == {CALL_MISHAPS[name]}
    assert 0.1 < len(wrong) / len(shop.wecom.calls) < 0.5


def test_lost_replies_by_chance(open_shop: Open) -> None:
    """Replies to changes are lost, and only to changes; all of them were made."""
    shop = open_shop(misbehave=Misbehaviour(lost_replies=1, hang_seconds=0))
    shop.writes()
    for to, servicer in ((1, ""), (2, ""), (3, "zhang"), (3, "li"), (4, "")):
        with pytest.raises((httpx2.RemoteProtocolError, ValueError)):
            shop.trans(to, servicer)
    assert shop.state == 4
    kinds = {call.fault for call in shop.wecom.calls if call.name == TRANS}
    assert len(kinds) > 1
    assert all(kind.endswith("carried out") for kind in kinds)
    assert {call.fault for call in shop.wecom.calls if call.name != TRANS} == {""}


def test_same_seed_same_mishaps(open_shop: Open) -> None:
    """The same calls in the same order meet the same mishaps; another seed brings others."""

    def faults(seed: int) -> list[str]:
        shop = open_shop(misbehave=Misbehaviour.everything(0.2, seed=seed, hang_seconds=0))
        for _ in range(30):
            try:
                shop.writes()
                shop.trans(1)
            except (httpx2.RemoteProtocolError, ValueError):
                continue
        return [call.fault for call in shop.wecom.calls]

    assert faults(1) == faults(1) != faults(2)


def test_everything_is_everything() -> None:
    """`everything` sets every share there is; without it nothing goes wrong."""
    assert {getattr(Misbehaviour.everything(0.1), name) for name in CHANCES} == {0.1}
    assert {getattr(Misbehaviour(), name) for name in CHANCES} == {0.0}
    assert len(CHANCES) == 17
    with pytest.raises(ValueError, match=r"Misbehaviour\.busy must be between 0 and 1"):
        Misbehaviour(busy=2)
