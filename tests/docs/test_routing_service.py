"""The routing service of the documents, over real HTTP: a WeCom in its place, encrypted callbacks, customers."""

import importlib.util
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import attrs
import httpx2
import pytest
import uvicorn

from kfstate import Engine
from kfstate.service_state import KfServiceState as State
from kfstate.testing import FakeWecom, FrozenClock
from kfstate.testing.fake import Account, Customer
from kfstate.wecom import Settings
from kfstate.wecom.settings import CallbackSettings
from tests.docs.blocks import ROOT
from tests.wecom.living import AES_KEY, TOKEN, World, eventually

__all__: list[str] = []

MORNING = 1_767_236_400  # 2026-01-01 11:00 in China
HOUR = 3600


def example() -> ModuleType:
    """Import the example from where it is."""
    spec = importlib.util.spec_from_file_location("routing_service", ROOT / "docs/examples/routing_service.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@attrs.define
class Town:
    """A WeCom with one account, the service at work for it, and an engine to look at its log."""

    wecom: FakeWecom
    account: Account
    clock: FrozenClock
    settings: Settings
    url: str = ""
    running: tuple[uvicorn.Server, threading.Thread, socket.socket] | None = None

    def start(self) -> None:
        """Run the service as uvicorn does, and have WeCom call it."""
        app = example().service(self.settings, self.clock)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        self.running = server, thread, listening
        assert eventually(lambda: server.started)
        self.wecom.callback(f"{self.url}/wecom/callback", token=TOKEN, aes_key=AES_KEY, check=True)

    def stop(self) -> None:
        """End it as uvicorn does."""
        if self.running is not None:
            (server, thread, listening), self.running = self.running, None
            server.should_exit = True
            thread.join(20)
            listening.close()
            assert not thread.is_alive()

    def writes(self, text: str, customer: Customer | None = None) -> Customer:
        """Let a customer write."""
        customer = customer or self.wecom.customer()
        self.clock.advance(1)
        customer.writes(self.account, text)
        return customer

    def becomes(self, customer: Customer, state: State, servicer: str = "") -> bool:
        """Tell whether WeCom has the customer there after a while."""
        return eventually(lambda: self.wecom.state(self.account, customer) == (state, servicer))

    def said(self, customer: Customer | None = None) -> list[str]:
        """Return the texts that WeCom accepted, of one customer where it was no answer to an event."""
        return [
            str(call.request["text"]["content"])  # type: ignore[index]
            for call in self.wecom.calls
            if call.name in {"send_msg", "send_msg_on_event"} and call.errcode == 0
            if customer is None or call.request.get("touser") == customer.external_userid
        ]

    def says(self, text: str, times: int = 1) -> bool:
        """Tell whether the service says something after a while."""
        return eventually(lambda: sum(text in one for one in self.said()) == times)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A town in which the service runs, and one servicer is at work."""
    clock = FrozenClock.at(MORNING)
    with FakeWecom(clock=clock) as wecom:
        settings = Settings(
            corp_id=wecom.corp_id, secret=wecom.secret, api_url=wecom.url,
            db=f"sqlite:///{tmp_path / 'routing.db'}",
            callback=CallbackSettings(token=TOKEN, aes_key=AES_KEY),
        )  # fmt: skip
        account = wecom.account("售后")
        account.servicer("zhang")
        made = Town(wecom, account, clock, settings)
        made.start()
        yield made
        made.stop()


def test_robot_then_queue_then_servicer(town: Town) -> None:
    """The robot answers what it knows; who wants a person gets one, or waits until there is a place."""
    robot = town.writes("价格多少")
    assert town.says("价格表")
    assert town.becomes(robot, State.ROBOT)
    served = [town.writes("人工") for _ in range(3)]
    assert all(town.becomes(customer, State.MANUAL, "zhang") for customer in served)
    assert town.says("zhang 为您服务", 3)
    waiting = town.writes("有人吗")
    assert town.becomes(waiting, State.QUEUE)
    assert town.says("正在排队，您是第 1 位")
    (told,) = httpx2.get(f"{town.url}/waiting").json()
    assert waiting.external_userid == told["external_userid"]
    town.writes("快点", waiting)
    town.clock.advance(1)
    town.account.ends(served[0])
    assert town.becomes(waiting, State.MANUAL, "zhang")
    assert town.says("zhang 为您服务", 4)
    assert not [call for call in town.wecom.calls if call.errcode]
    assert 6 == len(town.said())


def test_welcome(town: Town) -> None:
    """Who opens the chat for the first time is welcomed."""
    town.wecom.customer().enters(town.account)
    assert town.says("您好")


def test_servicer_who_has_stopped(town: Town) -> None:
    """WeCom refuses a servicer who has just stopped (95019): the next one gets the customer, or the pool does."""
    town.account.servicer("wang")
    town.wecom.fail_next("service_state/trans", errcode=95019)
    customer = town.writes("人工")
    assert eventually(lambda: town.wecom.state(town.account, customer).service_state == State.MANUAL)
    town.wecom.fail_next("service_state/trans", errcode=95019)
    waiting = town.writes("人工")
    assert town.becomes(waiting, State.QUEUE)
    refused = [call.errcode for call in town.wecom.calls if call.name == "service_state/trans"]
    assert [95019, 0, 95019, 0] == refused
    town.clock.advance(1)
    town.account.stops("wang")
    town.clock.advance(1)
    town.account.receives("wang")
    assert town.becomes(waiting, State.MANUAL, "wang")


def test_waits_too_long(town: Town) -> None:
    """After five minutes in the pool a servicer takes one customer more than usual."""
    for _ in range(3):
        assert town.becomes(town.writes("人工"), State.MANUAL, "zhang")
    waiting = town.writes("人工")
    assert town.becomes(waiting, State.QUEUE)
    town.clock.advance(290)
    assert not eventually(lambda: town.wecom.state(town.account, waiting).service_state == State.MANUAL, 0.5)
    town.clock.advance(20)
    town.writes("价格")  # brings a pull: waits are known as far as the history is
    assert town.becomes(waiting, State.MANUAL, "zhang")


def test_one_who_waits_too_long_leaves_the_others_in_line(town: Town) -> None:
    """Who has waited for a second goes to nobody who is full, because another one has waited for five minutes."""
    town.account.servicer("wang")
    for _ in range(6):
        customer = town.writes("人工")
        assert eventually(lambda one=customer: town.wecom.state(town.account, one).service_state == State.MANUAL)  # type: ignore[misc]
    waiting = town.writes("人工")
    assert town.becomes(waiting, State.QUEUE)
    town.clock.advance(310)
    late = town.writes("人工")  # brings a pull, too
    assert eventually(lambda: town.wecom.state(town.account, waiting).service_state == State.MANUAL)
    assert town.becomes(late, State.QUEUE)
    assert not eventually(lambda: town.wecom.state(town.account, late).service_state == State.MANUAL, 0.5)


def test_one_who_is_moved_by_somebody_else_holds_up_nobody(tmp_path: Path) -> None:
    """The others who wait get the places that have become free."""
    clock = FrozenClock.at(MORNING)
    world = World.make(f"sqlite:///{tmp_path / 'routing.db'}", clock)
    try:
        ids = world.account.open_kfid
        first, second = (world.customer("人工") for _ in range(2))
        world.live.sync()
        for customer in (first, second):
            world.live.change_state(ids, customer.external_userid, 2)
        moving = {"kind": "state_change_intended", "actor": "zhao", "open_kfid": ids, "service_state": 4}
        world.engine.record({**moving, "external_userid": first.external_userid})
        module = example()
        free = SimpleNamespace(kind="servicer_status_change", open_kfid=ids, position=99)
        module.Router(world.live, clock).dispatch(SimpleNamespace(entry=free, steps=()))
        assert State.QUEUE == world.wecom.state(world.account, first).service_state
        assert State.MANUAL == world.wecom.state(world.account, second).service_state
    finally:
        world.close()


def test_off_hours(town: Town) -> None:
    """At night nobody is given a customer; the robot says when to come, and knows what it knows."""
    town.clock.advance(11 * HOUR)
    customer = town.writes("人工")
    assert town.says("人工服务时间 09:00-21:00")
    town.writes("地址在哪", customer)
    assert town.says("南京东路")
    assert town.becomes(customer, State.ROBOT)


def test_backlog_is_not_answered(town: Town) -> None:
    """What customers wrote while the service was away is stored, and not answered; what they write now is."""
    town.stop()
    late = [town.writes("价格") for _ in range(3)]
    town.clock.advance(HOUR)
    fresh = town.writes("价格")
    town.start()
    assert town.says("价格表")
    assert [[], [], [], 1] == [town.said(one) for one in late] + [len(town.said(fresh))]
    with Engine(town.settings.db.reveal(), clock=town.clock) as engine:
        assert 4 == sum(entry.kind == "customer_message" for entry in engine.read_all())


def test_answers_once(town: Town) -> None:
    """Handled again, entries are answered no second time: the reply of a send is lost, then all is handled anew."""
    town.wecom.fail_next("send_msg", "dropped", carried_out=True)
    customer = town.writes("价格")
    assert town.becomes(customer, State.ROBOT)
    assert town.becomes(town.writes("人工"), State.MANUAL, "zhang")
    assert town.says("为您服务")
    said = town.said()
    town.stop()
    with Engine(town.settings.db.reveal(), clock=town.clock) as engine:
        for name in ("talk", "dispatch"):
            engine.unsubscribe(name)
            engine.subscribe(name, print, start="beginning")
    town.start()
    with Engine(town.settings.db.reveal(), clock=town.clock) as engine:
        assert eventually(lambda: all(view.lag == 0 for view in engine.subscriptions()))
        assert not list(engine.dead_letters())
    assert said == town.said()
