"""A day in the life of an account, by chance: who drives it sees customers come, write, wait, and be served."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from kfstate.service_state import KfServiceState as State
from kfstate.testing.fake.acts import ImpossibleActError
from kfstate.testing.fake.faces import Account, Customer
from kfstate.testing.simulation.dice import Chance, Weighted, chance, pick
from kfstate.testing.simulation.words import CUSTOMER, FAREWELL, SERVICER, SERVICERS

if TYPE_CHECKING:
    from kfstate.testing.fake.wecom import FakeWecom

__all__ = ["Deed", "Life"]


class Deed(NamedTuple):
    """Something that was done: ``act`` is the name of the method of :class:`Account` or :class:`Customer`."""

    act: str
    open_kfid: str
    external_userid: str
    servicer_userid: str = ""


Act: TypeAlias = "Callable[[Life, Customer], tuple[str, str]]"
"""Does something with a customer; returns the act and the servicer."""


class Life:
    """Customers and servicers who act by chance. Iterate over it, and let time pass between two deeds.

    Nobody plays the routing service: sessions leave 0 and 1 by its calls only, or by WeCom's own routing.
    """

    def __init__(
        self,
        wecom: "FakeWecom",
        *,
        account: Account | None = None,
        seed: int | str = 0,
        customers: int = 12,
        servicers: int = 3,
    ) -> None:
        """Add an account, its servicers and as many customers to a server.

        Args:
            wecom: Where.
            account: An account that is there already.
            seed: Decides everything that is left to chance.
            customers: How many customers there are.
            servicers: How many servicers, at most 10.
        """
        self.rand: Chance = chance(seed, "life")
        self.account = account or wecom.account("一天")
        self.staff = [self.account.servicer(userid) for userid in SERVICERS[:servicers]]
        self.resting: set[str] = set()
        self.customers = [wecom.customer() for _ in range(customers)]
        self.written: dict[str, str] = {}

    def __iter__(self) -> Iterator[Deed]:
        """Yield one deed after another, for ever."""
        while True:
            deed = self.next()
            if deed is not None:
                yield deed

    def next(self) -> Deed | None:
        """Do something; None: what came to mind could not be done."""
        customer = pick(self.rand, self.customers)
        act = _PLAN[self.account.state(customer).service_state].draw(self.rand)
        try:
            name, servicer = act(self, customer)
        except ImpossibleActError:
            return None  # the state has changed meanwhile
        return Deed(name, self.account.open_kfid, customer.external_userid, servicer)

    def on_duty(self) -> str:
        """Return a servicer who is receiving, or anybody where nobody is."""
        return pick(self.rand, [one for one in self.staff if one not in self.resting] or self.staff)


def _writes(life: Life, customer: Customer) -> tuple[str, str]:
    entry = customer.writes(life.account, pick(life.rand, CUSTOMER))
    life.written[customer.external_userid] = entry["msgid"]
    return "writes", ""


def _enters(life: Life, customer: Customer) -> tuple[str, str]:
    customer.enters(life.account, scene=pick(life.rand, ("官网", "公众号", "小程序")))
    return "enters", ""


def _clicks_menu(life: Life, customer: Customer) -> tuple[str, str]:
    customer.clicks_menu(life.account)
    return "clicks_menu", ""


def _recalls(life: Life, customer: Customer) -> tuple[str, str]:
    customer.recalls(life.account, life.written.pop(customer.external_userid, ""))
    return "recalls", ""


def _is_taken(life: Life, customer: Customer) -> tuple[str, str]:
    servicer = life.on_duty()
    life.account.takes(customer, servicer)
    return "takes", servicer


def _is_answered(life: Life, customer: Customer) -> tuple[str, str]:
    servicer = life.account.state(customer).servicer_userid or life.on_duty()
    life.account.writes(customer, servicer, pick(life.rand, SERVICER))
    return "writes", servicer


def _is_handed_over(life: Life, customer: Customer) -> tuple[str, str]:
    servicer = life.on_duty()
    life.account.hands_over(customer, servicer)
    return "hands_over", servicer


def _is_ended(life: Life, customer: Customer) -> tuple[str, str]:
    servicer = life.account.state(customer).servicer_userid
    life.account.writes(customer, servicer, pick(life.rand, FAREWELL))
    life.account.ends(customer)
    return "ends", servicer


def _changes_duty(life: Life, _: Customer) -> tuple[str, str]:
    servicer = pick(life.rand, life.staff)
    if servicer in life.resting:
        life.resting.remove(servicer)
        life.account.receives(servicer)
        return "receives", servicer
    life.resting.add(servicer)
    life.account.stops(servicer, suspended=life.rand() < 0.5)
    return "stops", servicer


_CUSTOMER_GOES_ON: tuple[tuple[float, Act], ...] = ((30, _writes), (3, _clicks_menu), (2, _recalls), (1, _changes_duty))
_PLAN: Mapping[State, Weighted[Act]] = MappingProxyType(
    {
        State.UNTREATED: Weighted(*_CUSTOMER_GOES_ON),
        State.ROBOT: Weighted(*_CUSTOMER_GOES_ON),
        State.QUEUE: Weighted((60, _is_taken), *_CUSTOMER_GOES_ON),
        State.MANUAL: Weighted((50, _is_answered), (8, _is_handed_over), (12, _is_ended), *_CUSTOMER_GOES_ON),
        State.FINISHED: Weighted(
            (20, _enters), (70, _writes), (3, _clicks_menu), (4, _is_answered), (1, _changes_duty)
        ),
    }
)
"""What may happen next, by the state of the customer's session."""
