"""The people: customers and servicers of some accounts, who go on until every conversation has been everywhere."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import attrs

from kfstate.service_state import KfServiceState as State
from kfstate.testing import FakeWecom
from kfstate.testing.fake import Account, Customer, ImpossibleActError
from kfstate.testing.simulation.dice import Chance, Weighted, chance, pick
from tests.wecom.end_to_end.routing import STAFF

__all__ = ["Key", "People"]

Key: TypeAlias = tuple[str, str]
"""A conversation: open_kfid and external_userid."""
EVERYWHERE = frozenset(range(5))


@attrs.define
class People:
    """Who acts on a fake server; ``touring`` are the conversations that have not been in every state yet."""

    wecom: FakeWecom
    accounts: list[Account]
    everybody: dict[Key, tuple[Account, Customer]]
    touring: list[Key]
    rand: Chance
    rested: set[str] = attrs.Factory(set)

    @classmethod
    def make(cls, wecom: FakeWecom, *, customers: int, accounts: int = 2, seed: int | str = 0) -> "People":
        """Let customers come to some accounts."""
        opened = [wecom.account(f"账号{number}") for number in range(accounts)]
        for account in opened:
            for name in STAFF:
                account.servicer(name)
        everybody: dict[Key, tuple[Account, Customer]] = {}
        for number in range(customers):
            account, customer = opened[number % accounts], wecom.customer()
            everybody[account.open_kfid, customer.external_userid] = account, customer
        return cls(wecom, opened, everybody, list(everybody), chance(seed, "people"))

    def act(self, times: int = 1) -> None:
        """Let so many things happen, to those who have not been everywhere yet."""
        for _ in range(times):
            self.happen(*self.everybody[pick(self.rand, self.touring)])

    def busy(self, seconds: float, *, most: int) -> int:
        """Return how much happens in so many seconds: people leave the service a second to do something, too."""
        return min(most, int(len(self.touring) * seconds + self.rand()))

    def happen(self, account: Account, customer: Customer) -> None:
        """Let something happen in a conversation."""
        state, servicer = account.state(customer)
        act = _PLAN[state].draw(self.rand)
        try:
            act(self, account, customer, servicer or pick(self.rand, STAFF))
        except ImpossibleActError:
            return  # the state has changed meanwhile

    def look(self) -> int:
        """Find out who has been everywhere, and return how many are on their way still."""
        been: dict[Key, set[int]] = {}
        for change in self.wecom.changes:
            been.setdefault((change.open_kfid, change.external_userid), set()).add(int(change.after))
        left = [key for key in self.touring if been.get(key, set()) != EVERYWHERE]
        self.touring = left or self.touring
        return len(left)


Act: TypeAlias = "Callable[[People, Account, Customer, str], object]"


def _writes(people: People, account: Account, customer: Customer, _: str) -> None:
    entry = customer.writes(account, "请问")
    if people.rand() < 0.1:
        customer.recalls(account, entry["msgid"])


def _enters(_people: People, account: Account, customer: Customer, _: str) -> None:
    customer.enters(account, scene="官网")


def _clicks(_people: People, account: Account, customer: Customer, _: str) -> None:
    customer.clicks_menu(account)


def _takes(_people: People, account: Account, customer: Customer, servicer: str) -> None:
    account.takes(customer, servicer)


def _answers(_people: People, account: Account, customer: Customer, servicer: str) -> None:
    account.writes(customer, servicer, "您好")


def _hands_over(people: People, account: Account, customer: Customer, _: str) -> None:
    account.hands_over(customer, pick(people.rand, STAFF))


def _takes_back(people: People, account: Account, customer: Customer, _: str) -> None:
    account.takes_back(customer, pick(people.rand, STAFF))


def _ends(_people: People, account: Account, customer: Customer, _: str) -> None:
    account.ends(customer)


def _rests(people: People, account: Account, _: Customer, servicer: str) -> None:
    """Let a servicer rest; one who rests comes back."""
    name = f"{account.open_kfid}/{servicer}"
    if name in people.rested:
        account.receives(servicer)
        people.rested.discard(name)
    elif len(people.rested) < len(STAFF) - 1:
        account.stops(servicer, suspended=people.rand() < 0.5)
        people.rested.add(name)


def _waits(_people: People, _account: Account, _customer: Customer, _: str) -> None:
    """It is the service's turn."""


_WAITING: Weighted[Act] = Weighted((70, _waits), (18, _writes), (4, _enters), (5, _clicks), (3, _rests))
_PLAN: Mapping[State, Weighted[Act]] = MappingProxyType(
    {
        State.UNTREATED: _WAITING,
        State.ROBOT: _WAITING,
        State.QUEUE: Weighted((80, _takes), (15, _writes), (5, _rests)),
        State.MANUAL: Weighted(
            (30, _answers), (15, _hands_over), (5, _takes_back), (30, _ends), (20, _writes), (5, _clicks)
        ),
        State.FINISHED: Weighted((80, _writes), (5, _enters), (8, _clicks), (3, _takes_back), (4, _answers)),
    }
)
"""What may happen next, by the state of the session."""
