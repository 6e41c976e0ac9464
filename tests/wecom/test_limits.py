"""Limits of waiting: recorded once, whatever happens; nothing false while nothing is heard."""

import pytest

from kfstate import Engine, Event
from kfstate.clock import SECOND
from kfstate.errors import ArgumentError
from kfstate.testing import customer_message, page
from kfstate.wecom import Live
from kfstate.wecom.limits import LimitReached, Limits, WaitingLimit, reached, still_waits
from tests.wecom.watching import START, Shop, names, since, told

__all__: list[str] = []

DATABASES = pytest.mark.databases("sqlite", "pg18", "mariadb")
pytestmark = DATABASES
QUEUED, UNANSWERED, WINDOW = (
    WaitingLimit.queued(600), WaitingLimit.unanswered(300), WaitingLimit.window_ends_in(3_600)
)  # fmt: skip
ALL = (QUEUED, UNANSWERED, WINDOW)
DAY2 = 48 * 3_600


def test_queue(shop: Shop) -> None:
    """Who is in the pool for longer is told of once, with the time at which that was too long."""
    limits = Limits(shop.site, ALL)
    shop.customer("wm1", to=2)
    shop.after(599)
    assert 0 == limits.check()
    shop.after(1)
    assert 1 == limits.check()
    shop.after(700)
    assert 0 == limits.check()
    assert 0 == Limits(shop.site, ALL).check()
    (one,) = told(shop)
    assert ("queued/600", "queued", 600, "wm1", None) == (
        one.name, one.kind, one.seconds, one.external_userid, one.servicer_userid,
    )  # fmt: skip
    assert (START, START + 600) == (one.since.timestamp(), one.reached_at.timestamp())
    (entry,) = shop.entries("limit_reached")
    assert "kfstate" == entry.actor
    assert shop.engine.state(shop.open_kfid, "wm1").session_id == entry.target
    assert still_waits(shop.engine, one)
    assert 0 == sum(shop.engine.check().tables.values())


def test_queue_again(shop: Shop) -> None:
    """Whoever comes into the pool another time waits anew, and is told of anew."""
    limits = Limits(shop.site, [QUEUED])
    customer = shop.customer("wm1", to=2)
    shop.after(600)
    assert 1 == limits.check()
    shop.account.takes(customer, "zhang")
    shop.account.ends(customer)
    shop.pull()
    assert not still_waits(shop.engine, told(shop)[0])
    customer.writes(shop.account)
    shop.pull()
    shop.change(customer, 2)
    shop.after(599)
    assert 0 == limits.check()
    shop.after(1)
    assert 1 == limits.check()
    assert [0, 600] == since(shop)


def test_session_that_has_expired(shop: Shop) -> None:
    """Whose session is presumed over waits no longer."""
    shop.customer("wm1", to=2)
    shop.after(DAY2)
    assert 0 == Limits(shop.site, [QUEUED]).check()


def test_taken_in_time(shop: Shop) -> None:
    """Who was taken before anybody looked is nobody to be told of."""
    customer = shop.customer("wm1", to=2)
    shop.clock.advance(650)
    shop.account.takes(customer, "zhang")
    shop.pull()
    assert 0 == Limits(shop.site, [QUEUED]).check()


def test_unanswered(shop: Shop) -> None:
    """The time without an answer counts from the first message after the last answer, hand-overs or not."""
    limits = Limits(shop.site, [UNANSWERED])
    customer = shop.customer("wm1", to=2)
    shop.after(100)
    shop.account.takes(customer, "zhang")
    shop.after(299)
    assert 0 == limits.check()
    shop.after(1)
    assert 1 == limits.check()  # taken at 100: nobody could answer before
    shop.account.writes(customer, "zhang")
    shop.after(1_000)
    assert 0 == limits.check()
    customer.writes(shop.account, "在吗")  # at 1400
    shop.after(200)
    customer.writes(shop.account, "有人吗")
    shop.account.hands_over(customer, "li")
    shop.after(99)
    assert 0 == limits.check()
    shop.after(1)
    assert 1 == limits.check()
    assert [100, 1_400] == since(shop)
    assert ["zhang", "li"] == [one.servicer_userid for one in told(shop)]
    shop.account.writes(customer, "li")
    shop.pull()
    assert [False, False] == [still_waits(shop.engine, one) for one in told(shop)]


def test_api_message_is_no_answer_of_a_servicer(shop: Shop) -> None:
    """What the service itself sends does not count as an answer."""
    customer = shop.customer("wm1", to=3, servicer="zhang")
    customer.writes(shop.account)
    shop.after(10)
    shop.account.writes(customer, "zhang")
    shop.after(10)
    customer.writes(shop.account)
    shop.after(300)
    assert 1 == Limits(shop.site, [UNANSWERED]).check()


def test_window(shop: Shop) -> None:
    """A window that is about to close is told of once; a new message opens another one."""
    limits = Limits(shop.site, [WINDOW])
    customer = shop.customer("wm1", to=1)
    shop.after(DAY2 - 3_601)
    assert 0 == limits.check()
    shop.after(1)
    assert 1 == limits.check()
    customer.writes(shop.account)
    shop.after(60)
    assert 0 == limits.check()
    shop.after(DAY2 - 3_660)
    assert 1 == limits.check()
    assert [0, DAY2 - 3_600] == since(shop)


def test_window_that_closed_meanwhile(shop: Shop) -> None:
    """When nobody looked before it closed, nothing is said: it does not end in an hour, it has ended."""
    shop.customer("wm1", to=1)
    shop.after(DAY2)
    assert 0 == Limits(shop.site, [WINDOW]).check()


def test_window_of_a_session_that_was_taken_back(shop: Shop) -> None:
    """The session may outlive the window: what has closed does not end in an hour any more."""
    customer = shop.customer("wm1", to=3, servicer="zhang")
    shop.after(10)
    shop.account.ends(customer)
    shop.after(DAY2 - 60)
    shop.account.takes_back(customer, "zhang")
    shop.after(60)
    assert (3, "zhang") == shop.state(customer)
    assert 0 == Limits(shop.site, [WINDOW]).check()


def test_tables_that_are_behind(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tables say is not told while they are behind the log, and told when they have caught up."""
    limits = Limits(shop.site, [QUEUED])
    shop.customer("wm1", to=2)
    shop.after(600)
    with monkeypatch.context() as patch:
        patch.setattr("kfstate.wecom.limits.live.behind", lambda _: 1)
        assert 0 == limits.check()
    assert 1 == limits.check()


def test_sync_that_was_down(shop: Shop) -> None:
    """While nothing is pulled nothing is reached; what came meanwhile is heard before anything is said."""
    limits = Limits(shop.site, ALL)
    taken, waiting = shop.customer("wm1", to=2), shop.customer("wm2", to=2)
    shop.after(300)
    shop.account.takes(taken, "zhang")
    shop.account.writes(taken, "zhang")
    shop.after(7_200, pull=False)
    assert 0 == limits.check()
    shop.pull()
    assert 1 == limits.check()
    assert [("queued/600", "wm2")] == names(shop)
    assert (waiting.external_userid, 600) == (told(shop)[0].external_userid, told(shop)[0].seconds)


def test_account_never_pulled_to_its_end(shop: Shop) -> None:
    """An account whose first pull is not complete is not known until any time."""
    shop.engine.claim("wk2")
    shop.engine.ingest(page([customer_message("wk2", "wm1", START)]))
    shop.engine.record(
        {"kind": "state_changed", "open_kfid": "wk2", "external_userid": "wm1", "actor": "a", "service_state": 2}
    )
    shop.clock.advance(900)
    assert 0 == Limits(shop.site, ALL).check()


def test_account_that_is_not_pulled_here(shop: Shop) -> None:
    """Whoever brings the entries without a cursor brings them as they come: then it is known until now."""
    shop.engine.ingest(page([customer_message("wk2", "wm1", START)]))
    shop.engine.record(
        {"kind": "state_changed", "open_kfid": "wk2", "external_userid": "wm1", "actor": "a", "service_state": 2}
    )
    shop.clock.advance(600)
    assert 1 == Limits(shop.site, ALL).check()


def test_accounts_of_a_limit(shop: Shop) -> None:
    """A limit of some accounts is none of the others."""
    shop.customer("wm1", to=2)
    shop.after(600)
    assert 0 == Limits(shop.site, [WaitingLimit.queued(600, accounts=["wkOther"])]).check()
    assert 1 == Limits(shop.site, [WaitingLimit.queued(600, name="mine", accounts=[shop.open_kfid])]).check()


# Delivery


def test_delivered_once(shop: Shop) -> None:
    """A subscription hears of each limit once, and may ask whether it still holds."""
    heard: list[tuple[LimitReached, bool]] = []

    def alarm(event: Event) -> None:
        limit = reached(event)
        if limit is not None:
            heard.append((limit, live.still_waits(limit)))

    live = Live(shop.engine, client=shop.client)
    customers = [shop.customer(f"wm{number}", to=2) for number in range(3)]
    shop.after(600)
    assert 3 == Limits(shop.site, ALL).check()
    shop.account.takes(customers[1], "zhang")
    shop.pull()
    for _ in range(2):
        Limits(shop.site, ALL).check()
        shop.engine.subscribe("alarms", alarm, transactional=False).run(until_idle=True)
    assert [("wm0", True), ("wm1", False), ("wm2", True)] == [(one.external_userid, holds) for one, holds in heard]


def test_two_at_once_say_it_once(shop: Shop, url: str) -> None:
    """Two engines that both looked before either recorded: one entry each."""
    for number in range(3):
        shop.customer(f"wm{number}", to=2)
    shop.after(600)
    with Engine(url, clock=shop.clock) as other:
        from kfstate.wecom.site import Site

        second = Limits(Site.of(other, shop.client), [QUEUED])
        record = Limits._record
        first = Limits(shop.site, [QUEUED])

        class Between(Limits):
            def _record(self, limit: WaitingLimit, streams: object) -> int:
                assert 3 == second.check()
                return record(self, limit, streams)  # type: ignore[arg-type]

        assert 0 == Between(shop.site, [QUEUED]).check()
        assert 0 == first.check()
    assert ["wm0", "wm1", "wm2"] == sorted(str(one.external_userid) for one in told(shop))


# What is no limit


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("kind", "seconds", "name"),
    [("queued", 0, "a"), ("queued", True, "a"), ("window", DAY2, "a"), ("asleep", 1, "a"), ("queued", 1, "排队"),
     ("queued", 1, ""), ("queued", 1, "a" * 65), ("queued", 1.5, "a")],
)  # fmt: skip
def test_no_limit(kind: str, seconds: int, name: str) -> None:
    """What can be no limit is refused at once."""
    with pytest.raises(ArgumentError):
        WaitingLimit(kind, seconds, name)  # type: ignore[arg-type]


@pytest.mark.databases("sqlite")
def test_two_of_one_name(shop: Shop) -> None:
    """Two limits of one name would be one."""
    with pytest.raises(ArgumentError, match="names"):
        Limits(shop.site, [WaitingLimit.queued(1, name="a"), WaitingLimit.unanswered(1, name="a")])


def test_recorded_by_hand(shop: Shop) -> None:
    """An entry of the kind that another program made is left alone."""
    shop.customer("wm1")
    shop.engine.record(
        {"kind": "limit_reached", "open_kfid": shop.open_kfid, "external_userid": "wm1", "actor": "a", "via": "own",
         "from_at": START}
    )  # fmt: skip
    assert None is reached(shop.entries("limit_reached")[0])
    assert None is reached(shop.entries("customer_message")[0])
    assert START * SECOND == shop.clock.now()
