"""The rules of sessions as the documents state them, seen through the calls."""

from collections.abc import Callable

import pytest

from kfstate.testing import ImpossibleActError
from tests.fake.api import HOUR, Shop

__all__: list[str] = []


def test_nothing_has_begun(shop: Shop) -> None:
    """A conversation in which nobody has written is in 4, and stays there when the customer enters."""
    assert shop.state == 4
    shop.customer.enters(shop.account)
    assert shop.state == 4


def test_customer_message_opens(shop: Shop) -> None:
    """A customer message brings 4 to 0; further ones change nothing, whatever the state."""
    shop.writes()
    assert shop.state == 0
    for state in (1, 2, 3):
        shop.trans(state, "zhang")
        shop.writes()
        assert shop.state == state


@pytest.mark.parametrize(
    ("before", "to", "errcode"),
    [
        *((before, 0, 95016) for before in (0, 1, 2, 3)),
        *((0, to, 0) for to in (1, 2, 3, 4)),
        *((1, to, 0) for to in (1, 2, 3, 4)),
        (2, 1, 95016), (2, 2, 95016), (2, 3, 0), (2, 4, 0),
        (3, 1, 95016), (3, 2, 95016), (3, 3, 0), (3, 4, 0),
        *((4, to, 95013) for to in (0, 1, 2, 3, 4)),
    ],
)  # fmt: skip
def test_transitions(shop: Shop, before: int, to: int, errcode: int) -> None:
    """`trans` changes what the table of the documents lets it, and says 95016 or 95013 else."""
    shop.bring_to(before)
    assert shop.trans(to, "li" if to == 3 else "")["errcode"] == errcode
    assert shop.state == (before if errcode else to)


def test_get_names_the_servicer_in_3_only(shop: Shop) -> None:
    """`get` says who has the session, in the spelling of the list, and nobody outside of 3."""
    shop.bring_to(3, "ZHANG")
    assert shop.get()["servicer_userid"] == "zhang"
    shop.trans(4)
    assert "servicer_userid" not in shop.get()


def test_servicer_has_to_serve_and_receive(shop: Shop) -> None:
    """Who is no servicer is refused with 95014, who has stopped with 95019; running sessions stay."""
    shop.bring_to(2)
    assert shop.trans(3, "nobody")["errcode"] == 95014
    shop.account.stops("zhang", suspended=True)
    assert shop.trans(3, "zhang")["errcode"] == 95019
    assert shop.trans(3, "li")["errcode"] == 0
    shop.account.stops("li")
    assert shop.state == 3
    shop.account.receives("zhang")
    assert shop.trans(3, "zhang")["errcode"] == 0


def test_servicer_takes_hands_over_and_ends(shop: Shop) -> None:
    """What servicers do in the client brings events of kinds 1, 2 and 3, with their servicers and codes."""
    shop.bring_to(2)
    shop.account.takes(shop.customer, "zhang")
    shop.account.hands_over(shop.customer, "li")
    shop.account.ends(shop.customer)
    events = shop.events()
    found = [(e["change_type"], e.get("old_servicer_userid"), e.get("new_servicer_userid")) for e in events]
    assert found == [(1, None, "zhang"), (2, "zhang", "li"), (3, "li", None)]
    assert [bool(event.get("msg_code")) for event in events] == [True, False, True]
    assert shop.state == 4


def test_calls_bring_no_event(shop: Shop) -> None:
    """What `trans` changes is told by no event."""
    shop.bring_to(4)
    assert shop.events() == []


def test_servicer_writes_after_the_end(shop: Shop) -> None:
    """A servicer who writes in an ended session takes it back: 4 → 3, with the event of kind 4."""
    shop.bring_to(4)
    shop.account.writes(shop.customer, "li")
    (event,) = shop.events()
    assert (event["change_type"], event["old_servicer_userid"], event["new_servicer_userid"]) == (4, "zhang", "li")
    assert shop.get()["servicer_userid"] == "li"


def test_servicer_takes_back_what_was_handed_over(shop: Shop) -> None:
    """The event of kind 4 also stands for 3 → 3: somebody takes back a session that was handed over."""
    shop.bring_to(3)
    shop.account.hands_over(shop.customer, "li")
    shop.account.takes_back(shop.customer, "zhang")
    assert [event["change_type"] for event in shop.events()] == [2, 4]
    assert shop.get()["servicer_userid"] == "zhang"


def test_servicer_writes_in_what_was_handed_over(shop: Shop) -> None:
    """A servicer who writes in a session that is another's by now takes it back: 3 → 3."""
    shop.bring_to(3)
    shop.account.hands_over(shop.customer, "li")
    shop.account.writes(shop.customer, "zhang")
    event = shop.events()[-1]
    assert (event["change_type"], event["old_servicer_userid"], event["new_servicer_userid"]) == (4, "li", "zhang")
    assert shop.get()["servicer_userid"] == "zhang"


def test_session_lasts_48_hours(shop: Shop) -> None:
    """48 hours after the last customer message a session is over, without a word; the next message opens another."""
    shop.bring_to(3)
    shop.clock.advance(24 * HOUR)
    shop.writes()
    shop.clock.advance(48 * HOUR - 1)
    assert shop.state == 3
    shop.clock.advance(1)
    assert shop.state == 4
    assert shop.events() == []
    assert shop.trans(1)["errcode"] == 95013
    shop.writes()
    assert shop.state == 0
    assert ("expiry", False) in [(change.by, change.announced) for change in shop.wecom.changes]


def test_reopened_session_lasts_48_hours_more(shop: Shop) -> None:
    """A session that a servicer takes back lasts 48 hours from then."""
    shop.bring_to(3)
    shop.account.ends(shop.customer)
    shop.clock.advance(40 * HOUR)
    shop.account.writes(shop.customer, "zhang")
    shop.clock.advance(47 * HOUR)
    assert shop.state == 3


def test_impossible_acts(shop: Shop) -> None:
    """A script cannot do what the client would not let anybody do, and changes nothing by trying."""
    shop.writes()
    acts: list[Callable[[], object]] = [
        lambda: shop.account.takes(shop.customer, "zhang"),
        lambda: shop.account.hands_over(shop.customer, "li"),
        lambda: shop.account.ends(shop.customer),
        lambda: shop.account.takes_back(shop.customer, "li"),
        lambda: shop.account.writes(shop.customer, "zhang"),
        lambda: shop.account.stops("nobody"),
        lambda: shop.account.recalls(shop.customer, "unknown"),
        lambda: shop.customer.recalls(shop.account, "unknown"),
    ]
    for act in acts:
        with pytest.raises(ImpossibleActError):
            act()
    assert (shop.state, len(shop.account.entries())) == (0, 1)
    shop.trans(3, "zhang")
    with pytest.raises(ImpossibleActError, match="hands over: zhang has the session already"):
        shop.account.hands_over(shop.customer, "zhang")


def test_rejected_customer(shop: Shop) -> None:
    """While a servicer refuses a customer's messages none comes through; both switches are told."""
    shop.bring_to(3)
    shop.account.rejects(shop.customer, "zhang")
    with pytest.raises(ImpossibleActError):
        shop.writes()
    shop.account.rejects(shop.customer, "zhang", rejects=False)
    shop.writes()
    assert [event["reject_switch"] for event in shop.events("reject_customer_msg_switch_change")] == [1, 0]


def test_recalls(shop: Shop) -> None:
    """Customers and servicers take back their own messages, and nobody else's."""
    own = shop.writes()["msgid"]
    shop.trans(3, "zhang")
    theirs = shop.account.writes(shop.customer, "zhang")["msgid"]
    shop.customer.recalls(shop.account, own)
    shop.account.recalls(shop.customer, theirs)
    assert [event["recall_msgid"] for event in shop.events("user_recall_msg")] == [own]
    (event,) = shop.events("servicer_recall_msg")
    assert (event["recall_msgid"], event["servicer_userid"]) == (theirs, "zhang")
    with pytest.raises(ImpossibleActError):
        shop.customer.recalls(shop.account, theirs)


def test_account_that_is_not_managed_by_api(open_shop: Callable[..., Shop]) -> None:
    """WeCom routes its new sessions by itself, without a word; changes and sends are refused, readings are not."""
    shop = open_shop(manage_privilege=False)
    shop.writes()
    assert shop.get()["service_state"] == 3
    assert shop.events() == []
    assert [shop.trans(4)["errcode"], shop.send()["errcode"]] == [48002, 48002]
    shop.account.stops("zhang")
    shop.account.stops("li")
    shop.account.ends(shop.customer)
    shop.writes()
    assert shop.state == 2
