"""Pages, cursors, three days, and tokens of callbacks."""

from collections.abc import Callable

import pytest

from kfstate.testing import Misbehaviour
from tests.fake.api import HOUR, Shop

__all__: list[str] = []

DAY = 24 * HOUR


def texts(entries: list[dict[str, dict[str, str]]]) -> list[str]:
    """Return what was written."""
    return [entry["text"]["content"] for entry in entries]


def test_pages_follow_each_other(shop: Shop) -> None:
    """Pages of the length asked for, each from where the last one ended; `has_more` tells whether there is another."""
    written = [str(number) for number in range(7)]
    for word in written:
        shop.writes(word)
    pages = list(shop.api.pages(shop.account.open_kfid, limit=3))
    assert [len(page["msg_list"]) for page in pages] == [3, 3, 1]
    assert [page["has_more"] for page in pages] == [1, 1, 0]
    assert texts([entry for page in pages for entry in page["msg_list"]]) == written
    assert all(len(page["next_cursor"]) <= 64 for page in pages)


def test_cursor_stays_where_nothing_is_new(shop: Shop) -> None:
    """A pull that finds nothing gives the same cursor back; what comes later is behind it."""
    shop.writes("one")
    (page,) = shop.api.pages(shop.account.open_kfid)
    again = shop.api("sync_msg", open_kfid=shop.account.open_kfid, cursor=page["next_cursor"])
    assert (again["msg_list"], again["has_more"], again["next_cursor"]) == ([], 0, page["next_cursor"])
    shop.writes("two")
    (last,) = shop.api.pages(shop.account.open_kfid, page["next_cursor"])
    assert texts(last["msg_list"]) == ["two"]


def test_without_cursor_everything_comes_again(shop: Shop) -> None:
    """Who lost the cursor reads three days again."""
    shop.writes()
    assert shop.api.entries(shop.account.open_kfid) == shop.api.entries(shop.account.open_kfid)


def test_three_days(shop: Shop) -> None:
    """An entry can be read for three days; an old cursor goes on with what is left."""
    shop.writes("old")
    (page,) = shop.api.pages(shop.account.open_kfid)
    shop.writes("lost")
    shop.clock.advance(DAY)
    shop.writes("kept")
    shop.clock.advance(2 * DAY)
    assert texts(shop.api.entries(shop.account.open_kfid)) == ["old", "lost", "kept"]
    shop.clock.advance(1)
    assert texts(shop.api.entries(shop.account.open_kfid)) == ["kept"]
    assert texts(next(shop.api.pages(shop.account.open_kfid, page["next_cursor"]))["msg_list"]) == ["kept"]
    shop.clock.advance(DAY)
    assert shop.api.entries(shop.account.open_kfid) == []
    assert texts(shop.account.entries()) == ["old", "lost", "kept"]
    shop.writes("new")
    assert texts(next(shop.api.pages(shop.account.open_kfid, page["next_cursor"]))["msg_list"]) == ["new"]


def test_accounts_are_apart(shop: Shop) -> None:
    """Each account has its entries and its cursors; those of another are no cursors."""
    other = shop.wecom.account("售前")
    shop.writes("here")
    shop.customer.writes(other, "there")
    assert texts(shop.api.entries(other.open_kfid)) == ["there"]
    (page,) = shop.api.pages(other.open_kfid)
    refused = shop.api("sync_msg", open_kfid=shop.account.open_kfid, cursor=page["next_cursor"])
    assert refused["errcode"] == 40058


@pytest.mark.parametrize("cursor", ["x", "?", "MS4xLjA", "x" * 65, "é"])
def test_what_is_no_cursor(shop: Shop, cursor: str) -> None:
    """Anything but a cursor is refused."""
    assert shop.api("sync_msg", open_kfid=shop.account.open_kfid, cursor=cursor)["errcode"] == 40058


@pytest.mark.parametrize(
    ("fields", "errcode"),
    [
        ({}, 40058), ({"open_kfid": ""}, 40058), ({"open_kfid": 3}, 40058), ({"open_kfid": "a b"}, 95000),
        ({"open_kfid": "wkUNKNOWN"}, 95004), ({"limit": 0}, 40058), ({"limit": 1001}, 40058), ({"limit": True}, 40058),
        ({"voice_format": 2}, 40058), ({"token": "x" * 129}, 40058), ({"token": "ENCunknown"}, 95007),
    ],
)  # fmt: skip
def test_bad_fields(shop: Shop, fields: dict[str, object], errcode: int) -> None:
    """Fields that are missing or out of bounds are refused."""
    base = {"open_kfid": shop.account.open_kfid} if fields and "open_kfid" not in fields else {}
    assert shop.api("sync_msg", **(base | fields))["errcode"] == errcode


def test_events_carry_their_ids_inside(shop: Shop) -> None:
    """Ids stand at the top of messages, and inside of events."""
    shop.writes()
    shop.customer.enters(shop.account)
    shop.account.stops("zhang")
    message, event, duty = shop.api.entries(shop.account.open_kfid)
    assert message["open_kfid"] == event["event"]["open_kfid"] == duty["event"]["open_kfid"]
    assert "open_kfid" not in event
    assert "external_userid" not in duty["event"]


def test_exchanged_secret(shop: Shop) -> None:
    """After the secret was exchanged an old cursor finds nothing, until it is given up."""
    shop.writes()
    (page,) = shop.api.pages(shop.account.open_kfid, limit=1)
    old = shop.wecom.secret
    assert shop.wecom.exchange_secret() == shop.wecom.secret != old
    assert shop.api("sync_msg", open_kfid=shop.account.open_kfid)["errcode"] == 40014
    shop.api.gettoken()
    shop.writes()
    assert [p["msg_list"] for p in shop.api.pages(shop.account.open_kfid, page["next_cursor"])] == [[]]
    assert len(shop.api.entries(shop.account.open_kfid)) == 2


def test_duplicates(open_shop: Callable[..., Shop]) -> None:
    """Entries come twice, the second time later; they are the same to the byte."""
    shop = open_shop(misbehave=Misbehaviour(duplicates=1, delay_seconds=60))
    shop.writes()
    shop.clock.advance(60)
    one, other = shop.api.entries(shop.account.open_kfid)
    assert one == other
    assert len(shop.account.entries()) == 1


def test_delayed(open_shop: Callable[..., Shop]) -> None:
    """Entries come later than they happened, behind others that happened later."""
    shop = open_shop(misbehave=Misbehaviour(delayed=0.5, delay_seconds=3_600))
    for number in range(20):
        shop.writes(str(number))
        shop.clock.advance(1)
    assert 0 < len(shop.api.entries(shop.account.open_kfid)) < 20
    shop.clock.advance(3_600)
    found = texts(shop.api.entries(shop.account.open_kfid))
    assert found != sorted(found, key=int)
    assert sorted(found, key=int) == [str(number) for number in range(20)]


def test_shuffled(open_shop: Callable[..., Shop]) -> None:
    """The entries of a page come in any order, each once."""
    shop = open_shop(misbehave=Misbehaviour(shuffled=1))
    written = [str(number) for number in range(10)]
    for word in written:
        shop.writes(word)
    found = texts(shop.api.entries(shop.account.open_kfid))
    assert found != written
    assert sorted(found) == written


def test_short_and_empty_pages(open_shop: Callable[..., Shop]) -> None:
    """Pages are shorter than asked for, or empty, with `has_more`: only that tells; nothing is skipped."""
    shop = open_shop(misbehave=Misbehaviour(short_pages=0.5, empty_pages=0.5))
    written = [str(number) for number in range(200)]
    for word in written:
        shop.writes(word)
    pages = list(shop.api.pages(shop.account.open_kfid, limit=20))
    assert texts([entry for page in pages for entry in page["msg_list"]]) == written
    assert [] in [page["msg_list"] for page in pages[:-1]]
    assert len([page for page in pages if page["msg_list"]]) > 10
