"""Who waits, how long, and what each servicer carries."""

from typing import Any

from kfstate.testing import servicer_status_change
from tests.engine.story import DAY2, KF, Teller, change, own, said
from tests.engine.worlds import NOW

__all__: list[str] = []

TO_LI: dict[str, Any] = {"service_state": 3, "servicer_userid": "li"}


def waiting(tell: Teller, account: str | None = None) -> list[tuple[str | None, int]]:
    """Return who waits, and for how many seconds."""
    return [(view.external_userid, view.waiting_seconds) for view in tell.engine.queue(account)]


def test_queue(tell: Teller) -> None:
    """Who waits is listed longest first, with the wait until now; who was taken, or has expired, is not."""
    for number in range(4):
        tell(said(number, user=f"wm{number}"), own(20 - number, "state_changed", user=f"wm{number}", service_state=2))
    tell(change(30, 1, user="wm1", new="li"))
    tell.at(100)
    assert [("wm3", 83), ("wm2", 82), ("wm0", 80)] == waiting(tell)
    (view, *_) = tell.engine.queue(KF)
    assert (KF, 1, NOW + 17, NOW + 3, "none") == (
        view.open_kfid, view.session, view.queued_since and view.queued_since.timestamp(),
        view.last_customer_message_at and view.last_customer_message_at.timestamp(), view.doubt,
    )  # fmt: skip
    assert [] == waiting(tell, "wkB")
    tell.at(DAY2 + 2)
    assert [("wm3", DAY2 - 15)] == waiting(tell)


def test_queue_of_many(tell: Teller) -> None:
    """More than a page of waiting customers are all there, in the order of their waits."""
    tell.engine.ingest(
        [own(number % 97, "state_reading", user=f"wm{number}", service_state=2) for number in range(2_300)]
    )
    tell.at(200)
    waits = [wait for _, wait in waiting(tell)]
    assert (2_300, sorted(waits, reverse=True)) == (len(waits), waits)


def load(tell: Teller, account: str | None = None) -> list[tuple[Any, ...]]:
    """Return who is receiving, why not, and with how many sessions."""
    return [
        (view.open_kfid, view.servicer_userid, view.receiving, view.stop_type, view.open_sessions)
        for view in tell.engine.load(account)
    ]


def test_load(tell: Teller) -> None:
    """Every servicer that an account has shown is listed with the sessions that run now."""
    for number in range(3):
        tell(
            said(number * 100, user=f"wm{number}"), own(number * 100 + 5, "state_changed", user=f"wm{number}", **TO_LI)
        )
    tell(servicer_status_change(KF, "wang", NOW + 300, status=2, stop_type=1))
    tell(servicer_status_change("wkB", "li", NOW + 300, status=1))
    assert [(KF, "li", None, None, 3), (KF, "wang", False, 1, 0), ("wkB", "li", True, None, 0)] == load(tell)
    assert [("wkB", "li", True, None, 0)] == load(tell, "wkB")
    tell(change(310, 2, user="wm0", old="li", new="wang"))
    assert [(KF, "li", None, None, 2), (KF, "wang", False, 1, 1)] == load(tell, KF)
    tell.at(DAY2 + 100)
    assert [(KF, "li", None, None, 1), (KF, "wang", False, 1, 0)] == load(tell, KF)
