"""Messages over real HTTP: window, state and code are looked at first; a key sends once, whatever is lost."""

import threading
from typing import Any

import pytest

from kfstate.archive.people import messages
from kfstate.errors import ArgumentError, RateLimitError, ReplyLostError, SendRefusedError
from tests.wecom.desk import Desk

__all__: list[str] = []

SQLITE = pytest.mark.databases("sqlite")
EVERY = pytest.mark.databases("sqlite", "pg18", "mariadb")

HOUR = 3_600


def refused(call: Any) -> tuple[int | None, bool, int]:
    """Return the errcode of a refusal, whether the call was not made, and the state after it."""
    with pytest.raises(SendRefusedError) as caught:
        call()
    return caught.value.errcode, caught.value.local, caught.value.service_state


@EVERY
def test_entries(desk: Desk) -> None:
    """What was sent stands in the log with its content: WeCom never gives it back."""
    customer = desk.customer()
    done = desk.send(customer, actor="robot", request_id="r-1")
    intent, sent = list(desk.world.engine.read_all())[-2:]
    assert ["message_intended", "message_sent"] == [intent.kind, sent.kind]
    assert ("robot", "r-1", "text", done.msgid) == (
        sent.actor, intent.payload["request_id"], intent.payload["msgtype"], sent.payload["msgid"],
    )  # fmt: skip
    assert "您好" == intent.payload["data"]["message"]["text"]["content"]
    assert ("text", "您好") == [(one.msgtype, one.text) for one in messages(desk.world.engine.read_all())][-1]
    assert (1, True) == (desk.view(customer).service_state, desk.agrees(customer))


@EVERY
@SQLITE
def test_window(desk: Desk) -> None:
    """Five messages, then none is tried before the customer writes again; and none after 48 hours."""
    customer = desk.customer()
    for left in (4, 3, 2, 1, 0):
        desk.send(customer)
        assert left == desk.view(customer).send_window.left
    assert (95001, True, 1) == refused(lambda: desk.send(customer))
    customer.writes(desk.world.account)
    desk.pull()
    desk.send(customer)
    assert 6 == desk.calls("send_msg")
    desk.world.clock.advance(48 * HOUR - 2)
    desk.send(customer)
    desk.world.clock.advance(2)
    assert (95013, True, 4) == refused(lambda: desk.send(customer))
    assert 7 == desk.calls("send_msg")


@SQLITE
@SQLITE
def test_last_place_of_the_window(desk: Desk) -> None:
    """Of several who want the last place one gets it, and the others are told without a call."""
    customer = desk.customer()
    for _ in range(4):
        desk.send(customer)
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(desk.send(customer).via)
        except SendRefusedError as error:
            found.append((error.errcode, error.local))

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [(95001, True)] * 5 + ["send_msg"] == sorted(found, key=str)
    assert 5 == desk.calls("send_msg")


@SQLITE
@pytest.mark.parametrize(("state", "errcode"), [(2, 95018), (3, 95018), (4, 95013)])
@SQLITE
def test_states(desk: Desk, state: int, errcode: int) -> None:
    """Only 0 and 1 may send."""
    customer = desk.customer(state)
    assert (errcode, True, state) == refused(lambda: desk.send(customer))
    assert 0 == desk.calls("send_msg")


@SQLITE
@SQLITE
def test_account_that_is_not_managed(desk: Desk) -> None:
    """No call is made for an account of which WeCom was heard to keep it for itself."""
    account = desk.world.wecom.account("自管", manage_privilege=False, routing="none")
    customer = desk.world.wecom.customer()
    customer.writes(account)
    desk.world.live.accounts()
    text = {"msgtype": "text", "text": {"content": "您好"}}
    assert (48002, True, 4) == refused(lambda: desk.world.live.send(account.open_kfid, customer.external_userid, text))
    assert 0 == desk.calls("send_msg")


@EVERY
def test_refused_and_healed(desk: Desk) -> None:
    """95018: one reading repairs the state; the place in the window is given back."""
    customer = desk.customer()
    desk.world.account.routes(customer, 3, "zhang")
    assert (95018, False, 3) == refused(lambda: desk.send(customer))
    assert ["message_intended", "message_refused", "state_reading"] == desk.kinds(customer)
    assert (1, 0) == (desk.calls("service_state/get"), desk.view(customer).send_window.used)
    assert desk.agrees(customer)


@SQLITE
@SQLITE
def test_doubt_is_read_first(desk: Desk) -> None:
    """Of a conversation in doubt WeCom is asked for the state before a message is sent."""
    customer = desk.world.customer("你好")
    desk.world.account.routes(customer, 2)
    desk.pull()
    assert (95018, True, 2) == refused(lambda: desk.send(customer))
    assert (1, 0) == (desk.calls("service_state/get"), desk.calls("send_msg"))


@SQLITE
def test_message_that_is_none(desk: Desk) -> None:
    """A message has a msgtype, and a body under that name."""
    customer = desk.customer()
    for message in ({}, {"msgtype": "text"}, {"msgtype": 5}):
        with pytest.raises(ArgumentError):
            desk.world.live.send(desk.account, customer.external_userid, message)
    with pytest.raises(ArgumentError):
        desk.on_event(customer, "")


# Keys


@EVERY
def test_same_key(desk: Desk) -> None:
    """The same key sends once; it belongs to one conversation, one call and one message."""
    customer, other = desk.customer(), desk.customer()
    first = desk.send(customer, key="k")
    again = desk.send(customer, key="k")
    assert (first.msgid, first.position, True) == (again.msgid, again.position, again.repeated)
    assert 1 == desk.calls("send_msg")
    with pytest.raises(ArgumentError, match="key"):
        desk.send(other, key="k")
    with pytest.raises(ArgumentError, match="key"):
        desk.on_event(customer, "code", key="k")
    other_text = {"msgtype": "text", "text": {"content": "再见"}}
    with pytest.raises(ArgumentError, match="key"):
        desk.world.live.send(desk.account, customer.external_userid, other_text, key="k")
    assert 1 == desk.calls("send_msg")


@pytest.mark.parametrize("carried_out", [True, False])
@EVERY
def test_lost_reply(desk: Desk, carried_out: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    """It is not repeated by itself; the same key sends it with the same msgid, so that the customer gets it once."""
    customer = desk.customer()
    desk.world.wecom.fail_next("send_msg", "dropped", carried_out=carried_out)
    with pytest.raises(ReplyLostError):
        desk.send(customer, key="k")
    assert (1, "none", True) == (desk.calls("send_msg"), desk.view(customer).doubt, desk.agrees(customer))
    done = desk.send(customer, key="k")
    assert carried_out is done.repeated
    assert 1 == desk.view(customer).send_window.used
    assert [(95033 if carried_out else 0), done.msgid] == [
        (call := desk.world.wecom.calls[-1]).errcode, call.request["msgid"],
    ]  # fmt: skip
    assert desk.send(customer, key="k").repeated is True
    assert 2 == desk.calls("send_msg")


@SQLITE
@SQLITE
def test_lost_reply_of_the_last_place(desk: Desk) -> None:
    """What was lost has its place in the window already."""
    customer = desk.customer()
    for _ in range(4):
        desk.send(customer)
    desk.world.wecom.fail_next("send_msg", "dropped")
    with pytest.raises(ReplyLostError):
        desk.send(customer, key="k")
    assert (95001, True, 1) == refused(lambda: desk.send(customer))
    assert desk.send(customer, key="k").repeated is False
    assert 0 == desk.view(customer).send_window.left


@SQLITE
def test_lost_reply_and_the_state_has_moved(desk: Desk) -> None:
    """Where it could not be sent any more, nobody claims that it was not."""
    customer = desk.customer()
    desk.world.wecom.fail_next("send_msg", "dropped", carried_out=True)
    with pytest.raises(ReplyLostError):
        desk.send(customer, key="k")
    desk.change(customer, 2)
    with pytest.raises(ReplyLostError, match="cannot be sent again"):
        desk.send(customer, key="k")
    assert 1 == desk.calls("send_msg")


@SQLITE
@SQLITE
def test_nothing_came_of_it(desk: Desk) -> None:
    """After a limit the same key tries again, and the place in the window was given back meanwhile."""
    customer = desk.customer()
    desk.world.wecom.fail_next("send_msg", "errcode", errcode=45009)
    with pytest.raises(RateLimitError):
        desk.send(customer, key="k")
    assert 0 == desk.view(customer).send_window.used
    desk.world.clock.advance(61)
    assert desk.send(customer, key="k").repeated is False
    assert 1 == desk.view(customer).send_window.used


# Codes


@EVERY
def test_code_is_good_once(desk: Desk) -> None:
    """A code goes with one message, whoever uses it; outside of the window of send_msg."""
    customer = desk.customer()
    code = desk.change(customer, 2).code
    assert "send_msg_on_event" == desk.on_event(customer, code).via
    assert (40029, True, 2) == refused(lambda: desk.on_event(customer, code))
    assert (1, 0) == (desk.calls("send_msg_on_event"), desk.view(customer).send_window.used)
    assert [] == list(desk.world.engine.codes())


@EVERY
def test_code_in_its_state_only(desk: Desk) -> None:
    """A code of the pool is void once somebody serves."""
    customer = desk.customer()
    code = desk.change(customer, 2).code
    taken = desk.change(customer, 3, servicer="zhang").code
    assert (95018, True, 3) == refused(lambda: desk.on_event(customer, code))
    desk.on_event(customer, taken)
    assert 1 == desk.calls("send_msg_on_event")


@SQLITE
@SQLITE
def test_code_that_is_too_old(desk: Desk) -> None:
    """A closing word has 20 seconds."""
    customer = desk.customer(3)
    code = desk.change(customer, 4).code
    desk.world.clock.advance(20)
    assert (40029, True, 4) == refused(lambda: desk.on_event(customer, code))
    assert 0 == desk.calls("send_msg_on_event")


@SQLITE
@SQLITE
def test_welcome(desk: Desk) -> None:
    """A welcome needs no session, and no reading: it has 20 seconds."""
    customer = desk.world.wecom.customer()
    code = customer.enters(desk.world.account)["event"]["welcome_code"]
    desk.pull()
    desk.on_event(customer, code)
    assert (1, 0) == (desk.calls("send_msg_on_event"), desk.calls("service_state/get"))


@SQLITE
@SQLITE
def test_code_that_the_log_does_not_know(desk: Desk) -> None:
    """A code that came by another way may be tried once."""
    customer = desk.customer()
    with pytest.raises(Exception, match="40029"):
        desk.on_event(customer, "nobody-gave-this")
    customer = desk.world.wecom.customer()
    code = customer.enters(desk.world.account)["event"]["welcome_code"]
    desk.on_event(customer, code)
    assert (40029, True, 4) == refused(lambda: desk.on_event(customer, code))


@SQLITE
@SQLITE
def test_code_and_nothing_came_of_it(desk: Desk) -> None:
    """A refusal for a limit does not use the code up; a lost reply may have."""
    customer = desk.customer()
    code = desk.change(customer, 2).code
    desk.world.wecom.fail_next("send_msg_on_event", "errcode", errcode=45009)
    with pytest.raises(RateLimitError):
        desk.on_event(customer, code)
    desk.world.clock.advance(61)
    desk.world.wecom.fail_next("send_msg_on_event", "dropped")
    with pytest.raises(ReplyLostError):
        desk.on_event(customer, code, key="k")
    assert (40029, True, 2) == refused(lambda: desk.on_event(customer, code))
    assert desk.on_event(customer, code, key="k").repeated is False
