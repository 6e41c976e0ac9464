"""Calls that take long, or whose reply is lost: what the log says afterwards is what WeCom did, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

from kfstate import Engine
from kfstate.errors import ConcurrentChangeError, RateLimitError, ReplyError, ReplyLostError, UnreachableError
from kfstate.testing import FrozenClock
from kfstate.wecom import Answer, Live, Settings
from kfstate.wecom.transport import Params
from tests.wecom.desk import Desk
from tests.wecom.living import live_on
from tests.wecom.scripted import NOW, Scripted, api, ok

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")


def meanwhile(
    desk: Desk, patch: pytest.MonkeyPatch, path: str, before: Callable[[], Any] = int, after: Callable[[], Any] = int
) -> None:
    """Let something happen before and after the first request to a path is answered."""
    transport = desk.world.live.client._calls._transport
    told: list[str] = []
    send = transport.send

    def sent(method: str, to: str, params: Params, body: bytes | None) -> Answer:
        first = to.endswith(path) and not told
        if first:
            told.append(to)
            before()
        answer = send(method, to, params, body)
        if first:
            after()
        return answer

    patch.setattr(transport, "send", sent)


def test_change_is_of_the_try_that_was_accepted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody takes the session between a try that found WeCom busy and the one that was accepted."""
    desk.world.account.servicer("li")
    customer = desk.customer(2)

    def taken() -> None:
        desk.world.clock.advance(4)
        desk.world.account.takes(customer, "zhang")
        desk.world.clock.advance(2)

    meanwhile(desk, monkeypatch, "/trans", after=taken)
    desk.world.wecom.fail_next("service_state/trans", "errcode", errcode=-1)
    desk.change(customer, 3, servicer="li")
    desk.world.clock.advance(30)
    desk.pull()
    assert ("li", True, "none") == (
        desk.view(customer).servicer_userid, desk.agrees(customer), desk.view(customer).doubt,
    )  # fmt: skip


def test_message_and_reading_are_of_the_try_that_was_answered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both carry the time at which the request went out that WeCom answered."""
    customer = desk.customer()
    clock = desk.world.clock
    desk.world.wecom.fail_next("send_msg", "errcode", errcode=-1)
    desk.world.wecom.fail_next("service_state/get", "errcode", errcode=-1)
    meanwhile(desk, monkeypatch, "/send_msg", after=lambda: clock.advance(7))
    began = clock.now()
    desk.send(customer)
    assert [7.0] == [(entry.occurred_at.timestamp() - began / 1e6) // 1 for entry in _of(desk, "message_sent")]
    monkeypatch.undo()
    meanwhile(desk, monkeypatch, "/get", after=lambda: clock.advance(7))
    began = clock.now()
    desk.world.live._errand(desk.account, customer.external_userid, "one", "", "").read(why="for once")
    assert 7.0 == (_of(desk, "state_reading")[-1].occurred_at.timestamp() - began / 1e6) // 1


def _of(desk: Desk, kind: str) -> list[Any]:
    return [entry for entry in desk.world.engine.read_all() if entry.kind == kind]


@pytest.mark.parametrize("waited", [65, 130])
def test_call_that_others_leave_alone(desk: Desk, url: str, monkeypatch: pytest.MonkeyPatch, waited: int) -> None:
    """As long as a call may be under way, nobody reads the state behind its back, nor gives it up."""
    customer = desk.customer()
    with Engine(url, clock=desk.world.clock) as engine:
        other = live_on(desk.world.wecom, engine)

        def looked() -> None:
            desk.world.clock.advance(waited)
            assert [] == other.settle()
            assert 0 == other.reconcile(everything=True).read
            desk.world.clock.advance(1)

        meanwhile(desk, monkeypatch, "/trans", before=looked)
        assert "api" == desk.change(customer, 2).evidence
        other.close()
        other.client.close()
    assert (2, "none") == (desk.view(customer).service_state, desk.view(customer).doubt)


def test_call_that_was_given_up_and_answered(desk: Desk, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reply is recorded all the same, and the state is read again: nobody knows which came first."""
    customer = desk.customer()
    with Engine(url, clock=desk.world.clock) as engine:
        other = live_on(desk.world.wecom, engine)

        def settled() -> None:
            desk.world.clock.advance(1000)
            assert 1 == len(other.settle())
            desk.world.clock.advance(1)

        meanwhile(desk, monkeypatch, "/trans", before=settled)
        done = desk.change(customer, 2, key="k")
        other.close()
        other.client.close()
    assert ("api", True) == (done.evidence, bool(done.code))
    assert ["state_changed", "state_reading", "state_reading"] == desk.kinds(customer)
    assert (2, "none", True) == (desk.view(customer).service_state, desk.view(customer).doubt, desk.agrees(customer))
    assert desk.change(customer, 2, key="k").repeated is True
    assert 1 == desk.calls()


def test_call_that_was_given_up_is_not_made(desk: Desk, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited too long for a token finds the intent settled by somebody else, and leaves it at that."""
    customer = desk.customer()
    tokens = desk.world.live.client._calls._tokens
    get = tokens.get
    with Engine(url, clock=desk.world.clock) as engine:
        other = live_on(desk.world.wecom, engine)

        def late(*refused: Any) -> Any:
            desk.world.clock.advance(1000)
            other.settle()
            return get(*refused)

        with monkeypatch.context() as patch:
            patch.setattr(tokens, "get", late)
            with pytest.raises(ConcurrentChangeError):
                desk.change(customer, 2, key="k")
        other.close()
        other.client.close()
    assert (0, True, "none") == (desk.calls(), desk.agrees(customer), desk.view(customer).doubt)
    assert "api" == desk.change(customer, 2, key="k").evidence


def test_call_that_comes_too_late_is_not_made(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may give it up before it is answered, so it is not begun any more."""
    customer = desk.customer()
    tokens = desk.world.live.client._calls._tokens
    get = tokens.get
    with monkeypatch.context() as patch:
        patch.setattr(tokens, "get", lambda *refused: desk.world.clock.advance(61) or get(*refused))
        with pytest.raises(UnreachableError, match="too late"):
            desk.change(customer, 2, key="k")
    assert (0, ["state_change_intended", "state_change_refused"]) == (desk.calls(), desk.kinds(customer, 2))
    assert "api" == desk.change(customer, 2, key="k").evidence


def test_used_code_after_a_lost_reply(desk: Desk) -> None:
    """A refusal over the code tells nothing of the message that may have used it: none is recorded."""
    customer = desk.customer()
    code = desk.change(customer, 2).code
    desk.world.wecom.fail_next("send_msg_on_event", "dropped", carried_out=True)
    with pytest.raises(ReplyLostError):
        desk.on_event(customer, code, key="k")
    desk.world.wecom.fail_next("send_msg_on_event", "errcode", errcode=45009)
    for error, told in ((RateLimitError, "45009"), (ReplyLostError, "cannot be sent again.*40029")):
        with pytest.raises(error, match=told):
            desk.on_event(customer, code, key="k")
        desk.world.clock.advance(61)
    with pytest.raises(ReplyLostError, match="40029"):
        desk.on_event(customer, code, key="k")
    assert 4 == desk.calls("send_msg_on_event")
    assert [] == [step for step in desk.world.engine.read_all() if step.kind == "message_refused"]


def test_closed_under_a_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked for it is told that it may have been made, not that somebody closed the client."""
    customer = desk.customer()
    desk.world.wecom.fail_next("service_state/trans", "dropped", carried_out=True)
    meanwhile(desk, monkeypatch, "/trans", before=desk.world.live.client._calls._closing.set)
    with pytest.raises(ReplyLostError):
        desk.change(customer, 2)
    assert (["state_change_intended", "reply_lost"], "reply_lost") == (
        desk.kinds(customer, 2), desk.view(customer).doubt,
    )  # fmt: skip


@pytest.mark.parametrize("said", [{"service_state": 9}, {"service_state": 3, "servicer_userid": "张三"}])
def test_reading_that_is_no_state(url: str, said: dict[str, Any]) -> None:
    """It is no reply: an error that callers are told of, and nothing is recorded."""
    wecom, clock = Scripted(), FrozenClock.at(NOW)
    wecom.on("service_state/get", ok(**said))
    with Engine(url, clock=clock) as engine:
        live = Live(engine, Settings(), client=api(wecom, clock))
        with pytest.raises(ReplyError, match="service_state/get") as caught:
            live.change_state("wk1", "wm1", 2)
        name, value = list(said.items())[-1]
        assert (f"$.{name}", str(value)) == (caught.value.path, caught.value.value)
        assert ["machine_activated"] == [entry.kind for entry in engine.read_all()]
        live.close()
