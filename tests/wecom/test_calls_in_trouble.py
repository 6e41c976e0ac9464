"""Calls while everything goes wrong at once: nothing is done twice, nothing stays open, and states agree in the end."""

import random
from collections import Counter
from functools import partial
from typing import Any

import pytest

from kfstate.errors import (
    ConcurrentChangeError,
    RateLimitError,
    ReplyError,
    ReplyLostError,
    SendRefusedError,
    StateChangeRefusedError,
    UnreachableError,
    WecomError,
)
from kfstate.testing import FrozenClock, Misbehaviour
from kfstate.testing.fake import Customer
from tests.wecom.desk import TEXT
from tests.wecom.living import START, World

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")
TROUBLE = (UnreachableError, ReplyError, ReplyLostError, WecomError)


def insisted(world: World, call: Any) -> Any:
    """Make a call with the same key until it has a result: what it returns, or the refusal."""
    for _ in range(60):
        try:
            return call()
        except (StateChangeRefusedError, SendRefusedError, ConcurrentChangeError) as error:
            return error
        except TROUBLE as error:
            if "cannot be sent again" in str(error):
                return error
            world.clock.advance(61 if isinstance(error, RateLimitError) else 1)
    raise AssertionError(call)


@pytest.mark.parametrize("seed", range(2))
def test_everything_at_once(url: str, seed: int) -> None:
    """Lost replies, 5xx, -1, 45009, expired tokens, silent changes: each key does its thing at most once."""
    misbehave = Misbehaviour(
        seed=seed, lost_replies=0.25, server_errors=0.05, dropped=0.05, broken_json=0.05, busy=0.1, limited=0.03,
        expired_tokens=0.05, silent_changes=0.2, hang_seconds=0.2,
    )  # fmt: skip
    rand = random.Random(seed)
    world = World.make(url, FrozenClock.at(START), misbehave=misbehave)
    try:
        world.account.servicer("li")
        customers = [world.customer("你好") for _ in range(6)]
        results: Counter[str] = Counter()
        sent: dict[str, str] = {}
        for step in range(70):
            customer = rand.choice(customers)
            world.clock.advance(rand.randrange(1, 120))
            if rand.random() < 0.3:
                customer.writes(world.account, f"{step}")
            if rand.random() < 0.7:
                insisted(world, world.live.sync)
            act, key = rand.choice(("send", "queue", "robot", "assign", "end")), f"{step}"
            done = insisted(world, partial(_call, world, act, customer, key))
            results[type(done).__name__] += 1
            if act == "send" and not isinstance(done, Exception):
                sent[done.msgid] = key
        assert {"Changed", "Sent", "Assigned", "StateChangeRefusedError", "SendRefusedError"} <= set(results)
        _check(world, sent)
    finally:
        world.close()


def _call(world: World, act: str, customer: Customer, key: str) -> Any:
    live, open_kfid, external_userid = world.live, world.account.open_kfid, customer.external_userid
    if act == "send":
        return live.send(open_kfid, external_userid, TEXT, key=key)
    if act == "assign":
        return live.assign(open_kfid, external_userid, capacity=3, key=key)
    to = {"robot": 1, "queue": 2, "end": 4}[act]
    return live.change_state(open_kfid, external_userid, to, key=key)


def _check(world: World, sent: dict[str, str]) -> None:
    calls = list(world.wecom.calls)
    accepted = Counter(str(call.request["msgid"]) for call in calls if call.name == "send_msg" and call.errcode == 0)
    assert set(accepted.values()) <= {1}
    assert set(sent) <= set(accepted)
    with world.engine._reading() as conn:
        known = world.live._intents.read(conn)
    assert {} == dict(known.open)
    # Every call has its intent, and no intent has two results.
    entries = list(world.engine.read_all())
    intents = {entry.position for entry in entries if entry.kind == "state_change_intended"}
    results = Counter(entry.cause for entry in entries if entry.kind in {"state_changed", "state_change_refused"})
    assert set(results) <= intents
    assert set(results.values()) <= {1}
    world.clock.advance(1)
    for customer in world.made:
        open_kfid, external_userid = world.account.open_kfid, customer.external_userid
        errand = world.live._errand(open_kfid, external_userid, "test", "", "")
        insisted(world, partial(errand.read, why="at the end"))
        view, truth = world.engine.state(open_kfid, external_userid), world.wecom.state(world.account, customer)
        assert (truth.service_state, truth.servicer_userid) == (view.service_state, view.servicer_userid or "")
    assert 0 == sum(world.engine.check().tables.values())
