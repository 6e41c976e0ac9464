"""Conversations of a fake WeCom, brought into the state that a test begins with."""

from collections.abc import Iterator
from typing import Any

import attrs

from kfstate import KfServiceState
from kfstate.testing import FrozenClock, OpenFacts
from kfstate.testing.fake import Customer
from tests.wecom.living import START, World

__all__ = ["TEXT", "Desk", "desk_on"]

TEXT = {"msgtype": "text", "text": {"content": "您好"}}


@attrs.frozen
class Desk:
    """A world with a few more words."""

    world: World

    @property
    def account(self) -> str:
        """The account's id."""
        return self.world.account.open_kfid

    def customer(self, state: int = 0, servicer: str = "zhang") -> Customer:
        """Return a new customer whose session is in a state, and of whom nothing is in doubt."""
        customer = self.world.customer("你好")
        self.pull()
        self.world.live.site.engine.record(
            {"kind": "state_reading", "actor": "test", "open_kfid": self.account, "service_state": 0,
             "external_userid": customer.external_userid}
        )  # fmt: skip
        if state:
            self.change(customer, state, servicer=servicer if state == 3 else None)
        self.world.clock.advance(1)
        assert ("none", state) == (self.view(customer).doubt, self.view(customer).service_state)
        return customer

    def pull(self) -> None:
        """Bring the log up to date."""
        self.world.live.sync()

    def change(self, customer: Customer, to: int, **more: Any) -> Any:
        """Change the state."""
        return self.world.live.change_state(self.account, customer.external_userid, to, **more)

    def send(self, customer: Customer, **more: Any) -> Any:
        """Send a text."""
        return self.world.live.send(self.account, customer.external_userid, TEXT, **more)

    def on_event(self, customer: Customer, code: str, **more: Any) -> Any:
        """Send a text with a code."""
        return self.world.live.send_on_event(self.account, customer.external_userid, code, TEXT, **more)

    def assign(self, customer: Customer, *choose: Any, **more: Any) -> Any:
        """Assign."""
        return self.world.live.assign(self.account, customer.external_userid, *choose, **more)

    def view(self, customer: Customer) -> Any:
        """Return what the engine says."""
        return self.world.engine.state(self.account, customer.external_userid)

    def state(self, customer: Customer) -> KfServiceState:
        """Return what the server says."""
        return self.world.wecom.state(self.world.account, customer).service_state

    def agrees(self, customer: Customer) -> bool:
        """Tell whether the engine says of a conversation what the server does."""
        view, truth = self.view(customer), self.world.wecom.state(self.world.account, customer)
        same = (view.servicer_userid or "").casefold() == truth.servicer_userid.casefold()
        return bool(view.service_state == truth.service_state and same)

    def calls(self, name: str = "service_state/trans") -> int:
        """Return how many calls of a kind there were."""
        return sum(call.name == name for call in self.world.wecom.calls)

    def kinds(self, customer: Customer, last: int = 3) -> list[str]:
        """Return the kinds of the last entries of a conversation."""
        return [step.kind for step in self.world.engine.history(self.account, customer.external_userid)][-last:]


def desk_on(url: str, **options: Any) -> Iterator[Desk]:
    """Open a desk, and close it at the end."""
    facts = OpenFacts(**options) if options else None
    world = World.make(url, FrozenClock.at(START), facts=facts)
    try:
        yield Desk(world)
    finally:
        world.close()
