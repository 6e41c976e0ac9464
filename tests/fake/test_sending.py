"""Five messages in 48 hours, and one for each code."""

from collections.abc import Callable

import pytest

from tests.fake.api import HOUR, Shop

__all__: list[str] = []


def test_five_messages(shop: Shop) -> None:
    """After a customer message five may be sent, then 95001; the next customer message renews them."""
    shop.writes()
    for _ in range(2):
        assert [shop.send()["errcode"] for _ in range(6)] == [0, 0, 0, 0, 0, 95001]
        shop.writes()


def test_send_moves_to_the_robot(shop: Shop) -> None:
    """The first message of the API takes the session from 0 to 1."""
    shop.writes()
    shop.send()
    assert shop.state == 1


@pytest.mark.parametrize(("state", "errcode"), [(0, 0), (1, 0), (2, 95018), (3, 95018), (4, 95013)])
def test_states_that_take_messages(shop: Shop, state: int, errcode: int) -> None:
    """Messages can be sent in 0 and 1."""
    shop.bring_to(state)
    assert shop.send()["errcode"] == errcode


def test_session_that_expired_takes_none(shop: Shop) -> None:
    """48 hours after the last customer message the refusal is 95018."""
    shop.bring_to(1)
    shop.clock.advance(48 * HOUR)
    assert shop.send()["errcode"] == 95018


def test_msgid_is_good_once(shop: Shop) -> None:
    """A msgid of the sender's is good for one message of the account; a refused one is not used up."""
    shop.bring_to(2)
    assert shop.send(msgid="ours-1")["errcode"] == 95018
    shop.trans(4)
    shop.writes()
    assert shop.send(msgid="ours-1") == {"errcode": 0, "errmsg": "ok", "msgid": "ours-1"}
    assert shop.send(msgid="ours-1")["errcode"] == 95033
    assert [shop.send(msgid=bad)["errcode"] for bad in ("a b", "é", "x" * 33)] == [40058] * 3
    assert shop.send()["msgid"] not in ("", "ours-1")


def test_sent_messages_cannot_be_read(shop: Shop) -> None:
    """`sync_msg` does not give back what was sent by API."""
    shop.writes()
    shop.send()
    assert [entry["origin"] for entry in shop.api.entries(shop.account.open_kfid)] == [3]


def test_message_that_fails(shop: Shop) -> None:
    """An accepted message that does not arrive is told by `msg_send_fail`."""
    shop.writes()
    msgid = shop.send()["msgid"]
    shop.account.fails_to_arrive(shop.customer, msgid, 10)
    (event,) = shop.events("msg_send_fail")
    assert (event["fail_msgid"], event["fail_type"]) == (msgid, 10)


def test_welcome_code(shop: Shop) -> None:
    """Who enters gets a code for one welcome within 20 seconds; then none for 48 hours."""
    first = shop.customer.enters(shop.account)["event"]["welcome_code"]
    assert shop.answer(first, "msgmenu")["errcode"] == 0
    assert shop.answer(first)["errcode"] == 40029
    assert "welcome_code" not in shop.customer.enters(shop.account)["event"]
    shop.clock.advance(48 * HOUR)
    late = shop.customer.enters(shop.account)["event"]["welcome_code"]
    shop.clock.advance(20)
    assert shop.answer(late)["errcode"] == 40029


def test_no_welcome_for_who_wrote(shop: Shop) -> None:
    """Who has written in the last 48 hours gets no welcome code."""
    shop.writes()
    assert "welcome_code" not in shop.customer.enters(shop.account)["event"]


def test_no_welcome_beside_that_of_the_console(open_shop: Callable[..., Shop]) -> None:
    """An account with a welcome message in the console gives no code."""
    shop = open_shop(native_welcome=True)
    assert "welcome_code" not in shop.customer.enters(shop.account)["event"]


def test_code_of_the_pool(shop: Shop) -> None:
    """The first change to 2 gives a code for one text, as long as the session waits there."""
    shop.writes()
    code = shop.trans(2)["msg_code"]
    assert shop.answer(code, "msgmenu")["errcode"] == 40058
    shop.trans(3, "zhang")
    assert shop.answer(code)["errcode"] == 95018


def test_code_of_the_pool_is_good_for_48_hours(shop: Shop) -> None:
    """A customer who goes on writing keeps the session, but not the code."""
    shop.writes()
    code = shop.trans(2)["msg_code"]
    shop.clock.advance(47 * HOUR)
    shop.writes()
    shop.clock.advance(HOUR)
    assert shop.answer(code)["errcode"] == 40029


def test_code_of_another_session(shop: Shop) -> None:
    """A code is good in its own session only, though the next one be in the same state."""
    shop.writes()
    code = shop.trans(2)["msg_code"]
    shop.trans(4)
    shop.bring_to(2)
    assert shop.answer(code)["errcode"] == 95018


def test_codes_come_once_in_a_session(shop: Shop) -> None:
    """`trans` gives a code with the first change to 3 and with that to 4, not with the second to 3."""
    shop.writes()
    assert "msg_code" in shop.trans(3, "zhang")
    assert "msg_code" not in shop.trans(3, "li")
    assert "msg_code" in shop.trans(4)
    assert "msg_code" not in shop.trans(4)
    shop.writes()
    assert "msg_code" not in shop.trans(1)
    assert "msg_code" in shop.trans(3, "li")


def test_code_of_the_servicer(shop: Shop) -> None:
    """Who is taken from the pool can be told that it is late."""
    shop.bring_to(2)
    code = shop.account.takes(shop.customer, "zhang")["event"]["msg_code"]
    assert [shop.answer(code)["errcode"], shop.answer(code)["errcode"]] == [0, 40029]


def test_code_of_the_end(shop: Shop) -> None:
    """The end gives a code for 20 seconds, text or menu, unless the customer opens the next session before."""
    shop.bring_to(3)
    code = shop.account.ends(shop.customer)["event"]["msg_code"]
    assert shop.answer(code, "msgmenu")["errcode"] == 0
    shop.bring_to(3)
    code = shop.trans(4)["msg_code"]
    shop.writes()
    assert shop.answer(code)["errcode"] == 95018


def test_codes_use_up_no_message(shop: Shop) -> None:
    """What is sent for a code is none of the five, and moves nothing."""
    code = shop.customer.enters(shop.account)["event"]["welcome_code"]
    shop.writes()
    assert shop.answer(code, msgid="w-1")["errcode"] == 0
    assert shop.state == 0
    assert [shop.send()["errcode"] for _ in range(6)] == [0, 0, 0, 0, 0, 95001]
    assert shop.send(msgid="w-1")["errcode"] == 95033
