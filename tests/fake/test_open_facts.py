"""Each switch of what the documents leave open, both ways."""

import itertools
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from kfstate.testing import OpenFacts
from kfstate.testing.fake.facts import CHOICES
from tests.fake.api import HOUR, Shop

__all__: list[str] = []

Open = Callable[..., Shop]


def kinds(shop: Shop) -> list[int]:
    """Return the kinds of the changes that were told."""
    return [event["change_type"] for event in shop.events()]


def test_every_switch_is_tested_here() -> None:
    """Whoever adds a switch shows that it matters."""
    written = set(globals())
    assert [field.name for field in attrs.fields(OpenFacts) if f"test_{field.name}" not in written] == []


@pytest.mark.parametrize(("anchor", "state"), [("last_message", 1), ("opening", 4)])
def test_session_anchor(open_shop: Open, anchor: Any, state: int) -> None:
    """The 48 hours are counted from the last customer message or from the opening."""
    shop = open_shop(OpenFacts(session_anchor=anchor))
    shop.bring_to(1)
    shop.clock.advance(47 * HOUR)
    shop.writes()
    shop.clock.advance(2 * HOUR)
    assert shop.state == state


@pytest.mark.parametrize(("after", "states"), [("finished", [4, 4, 0]), ("noticed_late", [1, 4, 0])])
def test_after_48h(open_shop: Open, after: Any, states: list[int]) -> None:
    """After 48 hours `get` says 4, or the state before until another call looks at the time."""
    shop = open_shop(OpenFacts(after_48h=after))
    shop.bring_to(1)
    shop.clock.advance(48 * HOUR)
    found = [shop.state]
    assert shop.trans(2)["errcode"] == 95013
    found.append(shop.state)
    shop.writes()
    assert [*found, shop.state] == states


@pytest.mark.parametrize("told", [False, True])
def test_expiry_event(open_shop: Open, told: bool) -> None:  # noqa: FBT001 (a value of a switch)
    """The end after 48 hours is told, or not; the event carries the time of the end."""
    shop = open_shop(OpenFacts(expiry_event=told))
    shop.bring_to(3)
    ends_at = shop.clock.now() + 48 * HOUR * 1_000_000
    shop.clock.advance(50 * HOUR)
    assert kinds(shop) == [3] * told
    if told:
        assert shop.account.entries()[-1]["send_time"] * 1_000_000 == ends_at


@pytest.mark.parametrize(("told", "expected"), [(False, []), (True, [1, 2, 3])])
def test_trans_event(open_shop: Open, told: bool, expected: list[int]) -> None:  # noqa: FBT001 (a value of a switch)
    """A call that changes the state brings the event that a servicer's doing would have brought, or none."""
    shop = open_shop(OpenFacts(trans_event=told))
    shop.bring_to(2)
    for to, servicer in ((3, "zhang"), (3, "li"), (4, "")):
        shop.trans(to, servicer)
    assert kinds(shop) == expected


@pytest.mark.parametrize(("answer", "errcode", "state"), [("moves", 0, 1), ("stays", 0, 0), ("refused", 95018, 0)])
def test_send_in_untreated(open_shop: Open, answer: Any, errcode: int, state: int) -> None:
    """A message sent in 0 moves the session to 1, leaves it there, or is refused."""
    shop = open_shop(OpenFacts(send_in_untreated=answer))
    shop.writes()
    assert (shop.send()["errcode"], shop.state) == (errcode, state)


@pytest.mark.parametrize(("opens", "state"), [(True, 0), (False, 4)])
def test_menu_click_opens(open_shop: Open, opens: bool, state: int) -> None:  # noqa: FBT001 (a value of a switch)
    """A click on a menu after the end opens a session, or does not."""
    shop = open_shop(OpenFacts(menu_click_opens=opens))
    shop.bring_to(4)
    entry = shop.customer.clicks_menu(shop.account, "101")
    assert (entry["text"]["menu_id"], shop.state) == ("101", state)


@pytest.mark.parametrize(("renews", "errcode"), [(True, 0), (False, 95001)])
def test_menu_click_renews(open_shop: Open, renews: bool, errcode: int) -> None:  # noqa: FBT001 (a value of a switch)
    """A click on a menu gives five new messages, or does not."""
    shop = open_shop(OpenFacts(menu_click_renews=renews))
    shop.writes()
    for _ in range(5):
        shop.send()
    shop.customer.clicks_menu(shop.account)
    assert shop.send()["errcode"] == errcode


def test_window_without_message(open_shop: Open) -> None:
    """Where a menu click opens a session but no window, nothing can be sent: 95002."""
    shop = open_shop(OpenFacts(menu_click_renews=False))
    shop.customer.clicks_menu(shop.account)
    assert (shop.state, shop.send()["errcode"]) == (0, 95002)


@pytest.mark.parametrize(("accepted", "errcode"), [(False, 95018), (True, 0)])
def test_send_in_manual(open_shop: Open, accepted: bool, errcode: int) -> None:  # noqa: FBT001 (a value of a switch)
    """A message can be sent beside a servicer, or cannot."""
    shop = open_shop(OpenFacts(send_in_manual=accepted))
    shop.bring_to(3)
    assert (shop.send()["errcode"], shop.state) == (errcode, 3)


@pytest.mark.parametrize(("renews", "errcode"), [(True, 0), (False, 95001)])
def test_manual_message_renews(open_shop: Open, renews: bool, errcode: int) -> None:  # noqa: FBT001 (as above)
    """A message to a servicer gives five new messages, or does not."""
    shop = open_shop(OpenFacts(manual_message_renews=renews, send_in_manual=True))
    shop.bring_to(3)
    for _ in range(5):
        shop.send()
    shop.writes()
    assert shop.send()["errcode"] == errcode


def switched(open_shop: Open, name: str, before: int, to: int) -> None:
    """Show that a switch decides between acceptance and 95016."""
    for value, errcode in ((True, 0), (False, 95016)):
        facts: dict[str, Any] = {name: value}
        shop = open_shop(OpenFacts(**facts))
        shop.bring_to(before)
        assert shop.trans(to, "zhang")["errcode"] == errcode
        assert shop.state == (to if value else before)


def test_ends_untreated(open_shop: Open) -> None:
    """0 → 4 by call is accepted, or not."""
    switched(open_shop, "ends_untreated", 0, 4)


def test_ends_robot(open_shop: Open) -> None:
    """1 → 4 by call is accepted, or not."""
    switched(open_shop, "ends_robot", 1, 4)


def test_ends_queue(open_shop: Open) -> None:
    """2 → 4 by call is accepted, or not."""
    switched(open_shop, "ends_queue", 2, 4)


def test_robot_again(open_shop: Open) -> None:
    """1 → 1 by call is accepted, or not."""
    switched(open_shop, "robot_again", 1, 1)


def test_queue_again(open_shop: Open) -> None:
    """2 → 2 by call is accepted, or not."""
    switched(open_shop, "queue_again", 2, 2)


def test_same_servicer(open_shop: Open) -> None:
    """3 → 3 for the servicer who has the session is accepted, or not."""
    switched(open_shop, "same_servicer", 3, 3)


@pytest.mark.parametrize(("routing", "state"), [("none", 0), ("robot", 1), ("queue", 2), ("servicer", 3)])
def test_own_routing(open_shop: Open, routing: Any, state: int) -> None:
    """WeCom's own rules put a new session somewhere, without a word; each new one, and no other."""
    shop = open_shop(OpenFacts(own_routing=routing))
    shop.writes()
    shop.writes()
    assert (shop.state, shop.events()) == (state, [])
    assert [change.announced for change in shop.wecom.changes if change.by == "routing"] == [False] * bool(state)


def test_own_routing_takes_turns(open_shop: Open) -> None:
    """Servicers get new sessions in turn; where nobody receives it is the pool."""
    shop = open_shop(OpenFacts(own_routing="servicer"))
    got = []
    for _ in range(2):
        shop.writes()
        got.append(shop.get()["servicer_userid"])
        shop.trans(4)
    assert set(got) == {"zhang", "li"}
    shop.account.stops("zhang")
    shop.account.stops("li")
    shop.writes()
    assert shop.state == 2


def test_silent_end_after(open_shop: Open) -> None:
    """A session whose servicer says nothing ends by itself after a time; one who has answered keeps it."""
    for answered, state in ((False, 4), (True, 3)):
        shop = open_shop(OpenFacts(silent_end_after=600))
        shop.bring_to(3)
        if answered:
            shop.account.writes(shop.customer, "zhang")
        shop.clock.advance(599)
        assert shop.state == 3
        shop.clock.advance(1)
        assert (shop.state, kinds(shop)) == (state, [])


@pytest.mark.parametrize("told", [False, True])
def test_silent_end_event(open_shop: Open, told: bool) -> None:  # noqa: FBT001 (a value of a switch)
    """That end is told, or not."""
    shop = open_shop(OpenFacts(silent_end_after=600, silent_end_event=told))
    shop.bring_to(3)
    shop.clock.advance(600)
    assert (shop.state, kinds(shop)) == (4, [3] * told)


def test_pulls_without_token(open_shop: Open) -> None:
    """Pulls without a token are limited per minute and account."""
    shop = open_shop(OpenFacts(pulls_without_token=2))
    other = shop.wecom.account()

    def pull(open_kfid: str = shop.account.open_kfid) -> int:
        errcode: int = shop.api("sync_msg", open_kfid=open_kfid)["errcode"]
        return errcode

    assert [pull() for _ in range(3)] == [0, 0, 45009]
    assert pull(other.open_kfid) == 0
    shop.clock.advance(60)
    assert pull() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("session_anchor", "never"), ("trans_event", "yes"), ("silent_end_after", 0), ("own_routing", None)],
)
def test_switches_have_their_values(name: str, value: Any) -> None:
    """What is none of a switch's values is refused with its name."""
    with pytest.raises(ValueError, match=f"OpenFacts.{name} must be"):
        OpenFacts(**{name: value})


def test_pairwise_meets_every_pair() -> None:
    """Any two switches meet in every combination of their values, in few sets."""
    rows = OpenFacts.pairwise()
    for one, other in itertools.combinations(CHOICES, 2):
        met = {(getattr(row, one), getattr(row, other)) for row in rows}
        assert met == set(itertools.product(CHOICES[one], CHOICES[other])), (one, other)
    assert len(rows) <= 20
    assert set(CHOICES) == {field.name for field in attrs.fields(OpenFacts)}
    assert rows == OpenFacts.pairwise()
