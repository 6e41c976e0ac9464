"""A day by chance: it goes on for ever, reaches every state, and is the same for the same seed."""

from kfstate.testing import FakeWecom, FrozenClock, Life
from kfstate.testing.fake import Deed
from tests.fake.api import START, Api

__all__: list[str] = []


def day(seed: int) -> tuple[list[Deed], set[int], list[str]]:
    """Live a day beside a service that sends everybody to the pool; return deeds, states met and event types."""
    clock = FrozenClock.at(START)
    with FakeWecom(clock=clock) as wecom:
        api = Api(wecom)
        life = Life(wecom, seed=seed)
        states: set[int] = set()
        deeds: list[Deed] = []
        for deed in life:
            clock.advance(90)
            deeds.append(deed)
            for (open_kfid, external_userid), truth in wecom.states().items():
                states.add(int(truth.service_state))
                if truth.service_state == 0:
                    ids = {"open_kfid": open_kfid, "external_userid": external_userid}
                    assert api("service_state/trans", **ids, service_state=2)["errcode"] == 0
            if len(deeds) == 300:
                break
        entries = api.entries(life.account.open_kfid)
        assert entries == life.account.entries()
        api.close()
    return deeds, states, [entry.get("event", {}).get("event_type", "") for entry in entries]


def test_a_day() -> None:
    """Customers and servicers do everything that they can."""
    deeds, states, events = day(7)
    acts = {deed.act for deed in deeds}
    expected = {"enters", "writes", "clicks_menu", "recalls", "takes", "hands_over", "ends", "stops", "receives"}
    assert acts == expected
    assert states == {0, 2, 3, 4}
    assert {"enter_session", "session_status_change", "servicer_status_change", "user_recall_msg"} <= set(events)


def test_same_seed_same_day() -> None:
    """The same seed gives the same day."""
    assert day(1)[0] == day(1)[0] != day(2)[0]
