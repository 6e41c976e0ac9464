"""Limits of waiting when entries come late: before, after, and while they are told."""

import pytest

from kfstate.testing import customer_message, page, servicer_message, session_status_change
from kfstate.wecom.limits import Limits, WaitingLimit, still_waits
from tests.wecom.watching import START, Shop, names, since, told

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite", "pg18", "mariadb")
QUEUED, UNANSWERED = WaitingLimit.queued(600), WaitingLimit.unanswered(300)


# Late entries


def late(shop: Shop, *elements: object) -> None:
    """Bring entries that were delayed on their way."""
    report = shop.engine.ingest(page(list(elements)), account=shop.open_kfid)  # type: ignore[arg-type]
    assert len(elements) == report.appended


def test_late_entry_before_it_was_told(shop: Shop) -> None:
    """An entry that comes late, and says that nobody waits, comes in time as long as nothing was said."""
    shop.customer("wm1", to=2)
    shop.after(600)
    late(shop, session_status_change(1, shop.open_kfid, "wm1", START + 300, new="zhang"))
    assert 0 == Limits(shop.site, [QUEUED]).check()


def test_late_entry_after_it_was_told(shop: Shop) -> None:
    """What was said stays said; whoever asks hears that it does not hold, and nothing is said twice."""
    limits = Limits(shop.site, [QUEUED])
    shop.customer("wm1", to=2)
    shop.after(600)
    assert 1 == limits.check()
    late(shop, session_status_change(1, shop.open_kfid, "wm1", START + 300, new="zhang"))
    assert not still_waits(shop.engine, told(shop)[0])
    shop.after(600)
    assert 0 == limits.check()
    assert [("queued/600", "wm1")] == names(shop)
    assert 0 == sum(shop.engine.check().tables.values())


def test_wait_that_began_earlier_than_was_known(shop: Shop) -> None:
    """A late entry that makes the wait longer makes no second alarm of it."""
    customer = shop.customer("wm1", to=3, servicer="zhang")
    shop.account.writes(customer, "zhang")
    shop.after(100)
    customer.writes(shop.account)
    shop.after(300)
    assert 1 == Limits(shop.site, [UNANSWERED]).check()
    late(shop, customer_message(shop.open_kfid, "wm1", START + 50))
    assert 0 == Limits(shop.site, [UNANSWERED]).check()
    assert still_waits(shop.engine, told(shop)[0])
    assert [100] == since(shop)


def test_wait_that_began_later_than_was_known(shop: Shop) -> None:
    """A late answer makes the alarm untrue; the wait after it gets one of its own, when it is as long."""
    customer = shop.customer("wm1", to=3, servicer="zhang")
    shop.after(200)
    customer.writes(shop.account)
    shop.after(100)
    assert 1 == Limits(shop.site, [UNANSWERED]).check()
    late(shop, servicer_message(shop.open_kfid, "wm1", START + 150, servicer_userid="zhang"))
    assert not still_waits(shop.engine, told(shop)[0])
    shop.after(199)
    assert 0 == Limits(shop.site, [UNANSWERED]).check()
    shop.after(1)
    assert 1 == Limits(shop.site, [UNANSWERED]).check()
    assert [0, 200] == since(shop)


def test_forgotten_between_looking_and_recording(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was taken after the look and before the lock is not told of."""
    customer = shop.customer("wm1", to=2)
    shop.after(600)
    limits = Limits(shop.site, [QUEUED])
    record = Limits._record

    def taken_meanwhile(self: Limits, *args: object) -> int:
        shop.account.takes(customer, "zhang")
        shop.pull()
        return record(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Limits, "_record", taken_meanwhile)
    assert 0 == limits.check()


def test_told_by_another_between_looking_and_recording(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process tells it, and then a late entry makes the wait longer: that is the same wait."""
    customer = shop.customer("wm1", to=3, servicer="zhang")
    shop.after(1)
    shop.account.writes(customer, "zhang")
    shop.after(100)
    customer.writes(shop.account)
    shop.after(300)
    first, second = Limits(shop.site, [UNANSWERED]), Limits(shop.site, [UNANSWERED])
    record = Limits._record

    def told_meanwhile(self: Limits, *args: object) -> int:
        if self is first:
            assert 1 == second.check()
            late(shop, customer_message(shop.open_kfid, "wm1", START + 50))
        return record(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Limits, "_record", told_meanwhile)
    assert 0 == first.check()
    assert [101] == since(shop)
