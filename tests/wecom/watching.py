"""A shop on the fake server with an engine that is kept in step with it, page by page, on a clock of the test's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kfstate import Engine
from kfstate.testing import FakeWecom, FrozenClock, Misbehaviour, OpenFacts
from kfstate.testing.fake import Account, Customer
from kfstate.wecom import Client, Retries
from kfstate.wecom.limits import LimitReached, reached
from kfstate.wecom.reconciling import Sweep, Sweeper
from kfstate.wecom.site import Site
from kfstate.wecom.syncing import Puller

__all__ = ["START", "Shop", "names", "opened", "since", "told"]

START = 1_767_000_000


class Shop:
    """The shop: what happens there, and what the engine knows of it."""

    def __init__(self, wecom: FakeWecom, engine: Engine, client: Client, clock: FrozenClock) -> None:
        self.wecom, self.engine, self.client, self.clock = wecom, engine, client, clock
        self.site = Site.of(engine, client)
        self.account: Account = wecom.account("售后")
        self.staff = [self.account.servicer(name) for name in ("zhang", "li")]

    @property
    def open_kfid(self) -> str:
        """The account's id."""
        return self.account.open_kfid

    def customer(self, name: str, *, to: int | None = None, servicer: str = "") -> Customer:
        """Let a customer write, bring the session to a state by calls that are recorded, and pull."""
        customer = self.wecom.customer(name)
        customer.writes(self.account)
        self.pull()
        if to is not None:
            self.change(customer, to, servicer)
        return customer

    def change(self, customer: Customer, to: int, servicer: str = "") -> None:
        """Change a state through the API, and record that."""
        self.client.trans_state(self.open_kfid, customer.external_userid, to, servicer)
        entry = {"kind": "state_changed", "actor": "test", "open_kfid": self.open_kfid, "service_state": to,
                 "external_userid": customer.external_userid}  # fmt: skip
        self.engine.record({**entry, "servicer_userid": servicer or None})

    def pull(self) -> None:
        """Pull everything."""
        done = Puller(site=self.site, stopping=self.site.concurrency.signal()).pull(self.open_kfid)
        assert done.outcome == "complete"

    def after(self, seconds: float, *, pull: bool = True) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        if pull:
            self.pull()

    def sweeper(self, **given: Any) -> Sweeper:
        """Return what sweeps."""
        return Sweeper(site=self.site, **given)

    def sweep(self, **given: Any) -> Sweep:
        """Sweep once."""
        return self.sweeper().sweep(**given)

    def state(self, customer: Customer) -> tuple[int, str]:
        """Return what the engine says of a customer."""
        view = self.engine.state(self.open_kfid, customer.external_userid)
        return int(view.service_state), view.servicer_userid or ""

    def agrees(self, customer: Customer) -> bool:
        """Tell whether the engine says what the server says."""
        truth = self.wecom.state(self.account, customer)
        return self.state(customer) == (int(truth.service_state), truth.servicer_userid)

    def entries(self, kind: str) -> list[Any]:
        """Return the entries of a kind."""
        return [entry for entry in self.engine.read_all() if entry.kind == kind]

    def asked(self) -> list[str]:
        """Return whose states were read at WeCom, in order."""
        names = [entry.external_userid for entry in self.entries("state_reading")]
        return [str(name) for name in names]


@contextmanager
def opened(
    url: str,
    clock: FrozenClock | None = None,
    *,
    misbehave: Misbehaviour | None = None,
    facts: OpenFacts | None = None,
    make: Callable[..., Engine] = Engine,
) -> Iterator[Shop]:
    """Open a shop."""
    clock = clock or FrozenClock.at(START)
    with (
        FakeWecom(clock=clock, misbehave=misbehave, open_facts=facts) as wecom,
        make(url, clock=clock) as engine,
        Client(wecom.corp_id, wecom.secret, base_url=wecom.url, clock=clock, retries=Retries(repeats=0)) as client,
    ):
        yield Shop(wecom, engine, client, clock)


def told(shop: Shop) -> list[LimitReached]:
    """Return every limit that the log says was reached."""
    found = [reached(entry) for entry in shop.entries("limit_reached")]
    assert None not in found
    return [one for one in found if one is not None]


def names(shop: Shop) -> list[tuple[str, str | None]]:
    """Return limits and customers, in order."""
    return [(one.name, one.external_userid) for one in told(shop)]


def since(shop: Shop) -> list[int]:
    """Return since when each had waited, in seconds after the beginning."""
    return [int(one.since.timestamp()) - START for one in told(shop)]
