"""Changes of state over real HTTP: what is asked first, what is recorded, who wins, what a refusal leads to."""

import json
import signal
import threading
import time
from typing import Any

import pytest

from kfstate.errors import (
    ArgumentError,
    ConcurrentChangeError,
    RateLimitError,
    ReplyLostError,
    StateChangeRefusedError,
    UnknownConversationError,
    UnreachableError,
    WecomError,
)
from kfstate.testing.fake import Customer
from kfstate.wecom.errand import Errand
from tests.wecom.changer import start
from tests.wecom.desk import Desk
from tests.wecom.living import live_on

__all__: list[str] = []

SQLITE = pytest.mark.databases("sqlite")
EVERY = pytest.mark.databases("sqlite", "pg18", "mariadb")

ALLOWED = {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (3, 3), (3, 4)}
OPEN = {(0, 4), (1, 4), (2, 4), (1, 1), (2, 2)}


@SQLITE
@pytest.mark.parametrize("before", range(5))
@SQLITE
def test_every_transition(desk: Desk, before: int) -> None:
    """What the table allows is called and accepted, what it forbids is not called, what is open WeCom decides."""
    desk.world.account.servicer("li")
    for to in range(5):
        customer = desk.customer(before)
        made = desk.calls()
        servicer = "li" if to == 3 else None
        if (before, to) in ALLOWED | (OPEN - {(2, 2)}):
            done = desk.change(customer, to, servicer=servicer)
            assert (to, servicer, "api", False) == (
                done.service_state, done.servicer_userid, done.evidence, done.repeated,
            )  # fmt: skip
            assert bool(done.code) is (to >= 2 and (before, to) != (3, 3))
        else:
            with pytest.raises(StateChangeRefusedError) as caught:
                desk.change(customer, to, servicer=servicer)
            assert (95013 if before == 4 else 95016) == caught.value.errcode
            assert caught.value.local is ((before, to) != (2, 2))
            assert (caught.value.position is None) is caught.value.local
        forbidden = (before, to) not in ALLOWED | OPEN
        assert made + (not forbidden) == desk.calls()
        assert desk.agrees(customer)


@EVERY
def test_entries(desk: Desk) -> None:
    """Intent and result stand in the log with who, why, and what led to what; the code is usable."""
    customer = desk.customer()
    done = desk.change(customer, 2, actor="router", reason="asks for a person", request_id="r-1", key="k")
    intent, changed = list(desk.world.engine.read_all())[-2:]
    assert ["state_change_intended", "state_changed"] == [intent.kind, changed.kind]
    assert (done.intent, done.position, intent.position) == (intent.position, changed.position, changed.cause)
    for entry in (intent, changed):
        assert "router" == entry.actor
        assert ("asks for a person", "r-1", 2) == tuple(
            entry.payload[name] for name in ("reason", "request_id", "service_state")
        )
    assert [(done.code, True)] == [(one.code, one.usable) for one in desk.world.engine.codes()]


@SQLITE
def test_doubt_is_read_first(desk: Desk) -> None:
    """Of a conversation in doubt WeCom is asked before anything is decided; what was missed shows as a repair."""
    customer = desk.world.customer("你好")
    desk.world.account.routes(customer, 3, "zhang")
    desk.pull()
    assert ("first_seen", 0) == (desk.view(customer).doubt, desk.view(customer).service_state)
    with pytest.raises(StateChangeRefusedError) as caught:
        desk.change(customer, 2)
    assert (95016, True, 3) == (caught.value.errcode, caught.value.local, caught.value.service_state)
    assert (1, 0) == (desk.calls("service_state/get"), desk.calls())
    assert "repaired" == desk.world.engine.history(desk.account, customer.external_userid)[-1].outcome


@SQLITE
def test_unknown_conversation(desk: Desk) -> None:
    """A conversation that the log does not know is read, too; one that WeCom does not know is an error of its own."""
    customer = desk.world.customer("你好")
    assert 2 == desk.change(customer, 2).service_state
    with pytest.raises(WecomError) as caught:
        desk.world.live.change_state(desk.account, "wm_nobody", 2)
    assert 40096 == caught.value.errcode
    assert 1 == desk.calls()


@EVERY
def test_refused_and_healed(desk: Desk) -> None:
    """95016: WeCom holds another state than we. It is recorded, and one reading repairs ours."""
    customer = desk.customer()
    desk.world.account.routes(customer, 3, "zhang")
    with pytest.raises(StateChangeRefusedError) as caught:
        desk.change(customer, 1)
    error = caught.value
    assert (95016, False, 3, "state") == (error.errcode, error.local, error.service_state, error.retry)
    assert ["state_change_intended", "state_change_refused", "state_reading"] == desk.kinds(customer)
    assert isinstance(error.__cause__, WecomError)
    assert ("none", True) == (desk.view(customer).doubt, desk.agrees(customer))
    assert (1, 1) == (desk.calls("service_state/get"), desk.calls())


@SQLITE
def test_refused_and_not_to_be_read(desk: Desk) -> None:
    """Where the reading fails, too, the refusal is told all the same, and the doubt stays."""
    customer = desk.customer()
    desk.world.account.routes(customer, 3, "zhang")
    desk.world.wecom.fail_next("service_state/get", "dropped", times=9)
    with pytest.raises(StateChangeRefusedError) as caught:
        desk.change(customer, 1)
    assert (95016, 0) == (caught.value.errcode, caught.value.service_state)
    assert "refused" == desk.view(customer).doubt


@SQLITE
def test_session_is_over(desk: Desk) -> None:
    """95013 says by itself what the state is: no reading is needed."""
    customer = desk.customer(3)
    desk.world.account.ends(customer)
    desk.world.account.servicer("li")
    with pytest.raises(StateChangeRefusedError) as caught:
        desk.change(customer, 3, servicer="li")
    assert (95013, 4, "customer") == (caught.value.errcode, caught.value.service_state, caught.value.retry)
    assert 0 == desk.calls("service_state/get")
    assert desk.agrees(customer)


@pytest.mark.parametrize(("servicer", "errcode"), [("nobody", 95014), ("wang", 95019)])
@EVERY
def test_servicer_is_not_receiving(desk: Desk, servicer: str, errcode: int) -> None:
    """95014 and 95019 are evidence of the servicer; the state stays, and nothing is read."""
    desk.world.account.servicer("wang")
    desk.world.account.stops("wang")
    customer = desk.customer()
    with pytest.raises(StateChangeRefusedError) as caught:
        desk.change(customer, 3, servicer=servicer)
    assert (errcode, "servicer", 0) == (caught.value.errcode, caught.value.retry, caught.value.service_state)
    carried = {one.servicer_userid: one.receiving for one in desk.world.engine.load(desk.account)}
    assert carried[servicer] is False
    assert 0 == desk.calls("service_state/get")


@SQLITE
def test_account_that_is_not_managed(desk: Desk) -> None:
    """Where WeCom was heard to keep an account for itself, no call is made; else its refusal is recorded."""
    world = desk.world
    account = world.wecom.account("自管", manage_privilege=False, routing="none")
    customer = world.wecom.customer()
    customer.writes(account)
    with pytest.raises(WecomError, match="48002"):
        world.live.change_state(account.open_kfid, customer.external_userid, 2)
    assert 1 == desk.calls()
    world.live.accounts()
    with pytest.raises(StateChangeRefusedError, match="通过API管理") as caught:
        world.live.change_state(account.open_kfid, customer.external_userid, 2)
    assert (48002, True) == (caught.value.errcode, caught.value.local)
    assert 1 == desk.calls()


@SQLITE
def test_what_cannot_be_asked(desk: Desk) -> None:
    """A servicer goes with 3, and with nothing else; there are five states."""
    customer = desk.customer()
    for to, servicer in ((3, None), (2, "zhang"), (5, None), (3, "")):
        with pytest.raises(ArgumentError):
            desk.change(customer, to, servicer=servicer)


# Keys


@EVERY
def test_same_key(desk: Desk) -> None:
    """The same key again gives the first result without a call, also in another process, and after the state moved."""
    customer = desk.customer()
    first = desk.change(customer, 2, key="k")
    desk.world.account.takes(customer, "zhang")
    desk.pull()
    other = live_on(desk.world.wecom, desk.world.engine)
    again = other.change_state(desk.account, customer.external_userid, 2, key="k")
    other.client.close()
    assert (first.position, first.code, True) == (again.position, again.code, again.repeated)
    assert 1 == desk.calls()
    with pytest.raises(ArgumentError, match="key"):
        desk.change(customer, 4, key="k")
    with pytest.raises(ArgumentError, match="key"):
        desk.change(desk.customer(), 2, key="k")


@SQLITE
def test_same_key_after_a_refusal(desk: Desk) -> None:
    """A refusal is a result, too."""
    customer = desk.customer()
    told = []
    for _ in range(2):
        with pytest.raises(StateChangeRefusedError) as caught:
            desk.change(customer, 3, servicer="nobody", key="k")
        told.append((caught.value.errcode, caught.value.position, caught.value.local, caught.value.reason))
    assert told[0] == told[1]
    assert 1 == desk.calls()


@EVERY
def test_same_key_where_nothing_came_of_it(desk: Desk) -> None:
    """Where WeCom was too busy, or not reached, the same key tries again; the log has what was tried."""
    customer = desk.customer()
    desk.world.wecom.fail_next("service_state/trans", "errcode", errcode=45009)
    with pytest.raises(RateLimitError):
        desk.change(customer, 2, key="k")
    with pytest.raises(RateLimitError):
        desk.change(customer, 2, key="k")
    desk.world.clock.advance(61)
    assert desk.change(customer, 2, key="k").repeated is False
    assert desk.change(customer, 2, key="k").repeated is True
    wanted = ["state_change_intended", "state_change_refused", "state_change_intended", "state_changed"]
    assert wanted == [kind for kind in desk.kinds(customer, 9) if kind.startswith("state_change")]
    assert 2 == desk.calls()


@SQLITE
def test_server_that_is_away(desk: Desk) -> None:
    """A call that was certainly not made leaves no doubt and no open intent."""
    customer = desk.customer()
    port = int(desk.world.wecom.url.rpartition(":")[2])
    desk.world.wecom.close()
    with pytest.raises(UnreachableError):
        desk.change(customer, 2, key="k")
    desk.world.wecom._where = ("127.0.0.1", port)
    desk.world.wecom.start()
    assert "none" == desk.view(customer).doubt
    assert 2 == desk.change(customer, 2, key="k").service_state


# Lost replies


@pytest.mark.parametrize("kind", ["dropped", "server_error", "broken_json"])
@EVERY
def test_lost_reply_of_a_change_that_was_made(desk: Desk, kind: Any) -> None:
    """It is not repeated: a reading finds out that it was made."""
    customer = desk.customer()
    desk.world.wecom.fail_next("service_state/trans", kind, carried_out=True)
    done = desk.change(customer, 2, key="k")
    assert ("reading", "", False) == (done.evidence, done.code, done.repeated)
    assert ["state_change_intended", "reply_lost", "state_reading"] == desk.kinds(customer)
    assert ("none", True) == (desk.view(customer).doubt, desk.agrees(customer))
    assert ("reading", True) == ((again := desk.change(customer, 2, key="k")).evidence, again.repeated)
    assert 1 == desk.calls()


@SQLITE
def test_lost_reply_of_a_change_that_was_not_made(desk: Desk) -> None:
    """The reading finds the state before: the caller is told, and the same key may try again."""
    customer = desk.customer()
    desk.world.wecom.fail_next("service_state/trans", "dropped")
    with pytest.raises(ReplyLostError):
        desk.change(customer, 2, key="k")
    assert (1, "none") == (desk.calls(), desk.view(customer).doubt)
    assert "api" == desk.change(customer, 2, key="k").evidence
    assert 2 == desk.calls()


@SQLITE
def test_lost_reply_and_no_reading(desk: Desk) -> None:
    """As long as WeCom cannot be asked, nothing is repeated; the doubt stays, and the same key asks first."""
    customer = desk.customer()
    desk.world.wecom.fail_next("service_state/trans", "dropped", carried_out=True)
    desk.world.wecom.fail_next("service_state/get", "dropped", times=8)
    with pytest.raises(ReplyLostError):
        desk.change(customer, 2, key="k")
    assert "reply_lost" == desk.view(customer).doubt
    with pytest.raises(UnreachableError):
        desk.change(customer, 2, key="k")
    assert ("reading", True) == ((done := desk.change(customer, 2, key="k")).evidence, done.repeated)
    assert 1 == desk.calls()


# One wins


def at_once(monkeypatch: pytest.MonkeyPatch, *calls: Any) -> list[Any]:
    """Make calls in threads that have all looked before the first one records its intent."""
    barrier = threading.Barrier(len(calls), timeout=20)
    look, waited = Errand.look, threading.local()

    def looked(self: Errand) -> Any:
        seen = look(self)
        if not getattr(waited, "once", False):
            waited.once = True
            barrier.wait()
        return seen

    monkeypatch.setattr(Errand, "look", looked)
    found: list[Any] = [None] * len(calls)

    def run(at: int) -> None:
        try:
            found[at] = calls[at]()
        except Exception as error:  # noqa: BLE001 (it is what is looked at)
            found[at] = error

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


@EVERY
def test_two_threads(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two who decided on the same state one changes it; the other is told of whom."""
    desk.world.account.servicer("li")
    customer = desk.customer()
    found = at_once(
        monkeypatch, lambda: desk.change(customer, 3, servicer="zhang", actor="one"),
        lambda: desk.change(customer, 3, servicer="li", actor="other"),
    )  # fmt: skip
    (told,) = (one for one in found if isinstance(one, ConcurrentChangeError))
    (won,) = (one for one in found if one is not told)
    assert (won.intent, won.servicer_userid, 3) == (told.intent, told.servicer_userid, told.to)
    assert told.actor == ("one" if won.servicer_userid == "zhang" else "other")
    assert 1 == desk.calls()
    assert desk.agrees(customer)


@SQLITE
def test_somebody_was_quicker(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever decided before another one's change began is told, also where that is over by now."""
    desk.world.account.servicer("li")
    customer = desk.customer()
    look = Errand.look
    between = [lambda: desk.change(customer, 3, servicer="li", actor="other")]

    def looked(self: Errand) -> Any:
        seen = look(self)
        if between:
            between.pop()()
        return seen

    monkeypatch.setattr(Errand, "look", looked)
    with pytest.raises(ConcurrentChangeError) as caught:
        desk.change(customer, 3, servicer="zhang")
    assert ("other", "li", 3) == (caught.value.actor, caught.value.servicer_userid, caught.value.to)
    assert 1 == desk.calls()


@EVERY
def test_something_else_came_in(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes in between is no reason to give up: it is decided again, by what is known then."""
    customer, other = desk.customer(), desk.customer(3)
    look = Errand.look
    between = [lambda: customer.writes(desk.world.account)]

    def looked(self: Errand) -> Any:
        seen = look(self)
        if between:
            between.pop()()
            desk.pull()
        return seen

    monkeypatch.setattr(Errand, "look", looked)
    assert 2 == desk.change(customer, 2).service_state
    between.append(lambda: desk.world.account.ends(other))
    with pytest.raises(StateChangeRefusedError) as caught:
        desk.change(other, 3, servicer="zhang2")
    assert (95013, True) == (caught.value.errcode, caught.value.local)


@EVERY
def test_two_processes(desk: Desk, url: str) -> None:
    """The same between processes: one makes the call, the other is told while it is under way."""
    customer = desk.customer()
    arguments = {"open_kfid": desk.account, "external_userid": customer.external_userid, "to": 2}
    both = [
        start(desk.world.wecom, url, desk.world.clock.now(), method="change_state", arguments=arguments, slow=3.0)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate(timeout=60)[0]) for process in both]
    assert {"Changed", "ConcurrentChangeError"} == {one.get("done") or one["error"] for one in told}
    assert 1 == len({one["intent"] for one in told})
    assert 1 == desk.calls()


# Processes that die


def killed(desk: Desk, url: str, customer: Customer, **wanted: Any) -> None:
    """Let a process make a call that is carried out, and kill it before it has the reply."""
    arguments = {"open_kfid": desk.account, "external_userid": customer.external_userid, **wanted["arguments"]}
    name = wanted["call"]
    desk.world.wecom.fail_next(name, "hung", carried_out=True)
    process = start(desk.world.wecom, url, desk.world.clock.now(), method=wanted["method"], arguments=arguments)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    until = time.monotonic() + 30
    while not desk.calls(name) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.communicate()


@pytest.mark.databases("sqlite")
def test_who_was_erased_is_not_read_back(desk: Desk, url: str) -> None:
    """An intent of somebody who was erased since is not settled: the reading would bring him back."""
    customer = desk.customer()
    killed(desk, url, customer, call="service_state/trans", method="change_state", arguments={"to": 2, "key": "k"})
    restarted = live_on(desk.world.wecom, desk.world.engine)
    with desk.world.engine._database.reading() as conn:
        assert 1 == len(restarted._intents.read(conn).open)
    desk.world.engine.audit.erase(customer.external_userid, actor="dpo", basis="PIPL art. 47")
    desk.world.clock.advance(3600)
    assert [] == restarted.settle()
    with pytest.raises(UnknownConversationError):
        desk.view(customer)
    restarted.client.close()


@EVERY
def test_killed_between_intent_and_result(desk: Desk, url: str) -> None:
    """The intent is found at the restart, and a reading tells what became of it; nothing is called again."""
    customer = desk.customer()
    killed(desk, url, customer, call="service_state/trans", method="change_state", arguments={"to": 2, "key": "k"})
    assert ["state_change_intended"] == desk.kinds(customer, 1)
    assert (0, "none") == (desk.view(customer).service_state, desk.view(customer).doubt)
    restarted = live_on(desk.world.wecom, desk.world.engine)
    (settled,) = restarted.settle()
    assert (customer.external_userid, 2, "") == (settled.intent.external_userid, settled.intent.to, settled.error)
    assert [] == restarted.settle()
    assert ["state_change_intended", "reply_lost", "state_reading"] == desk.kinds(customer)
    assert ("none", True) == (desk.view(customer).doubt, desk.agrees(customer))
    done = restarted.change_state(desk.account, customer.external_userid, 2, key="k")
    assert ("reading", True) == (done.evidence, done.repeated)
    assert 1 == desk.calls()
    restarted.client.close()


@SQLITE
def test_killed_and_not_settled(desk: Desk, url: str) -> None:
    """Without a sweep, the next change of the conversation settles it first."""
    customer = desk.customer()
    killed(desk, url, customer, call="service_state/trans", method="change_state", arguments={"to": 2})
    with pytest.raises(StateChangeRefusedError):
        desk.change(customer, 1)
    assert (1, 1) == (desk.calls(), desk.calls("service_state/get"))
    assert desk.agrees(customer)


@EVERY
def test_killed_while_sending(desk: Desk, url: str) -> None:
    """A message: the state is read back, and the same key finds out that it was sent."""
    customer = desk.customer()
    message = {"msgtype": "text", "text": {"content": "您好"}}
    killed(desk, url, customer, call="send_msg", method="send", arguments={"message": message, "key": "k"})
    (settled,) = desk.world.live.settle()
    assert "message_intended" == settled.intent.kind
    assert ("none", True) == (desk.view(customer).doubt, desk.agrees(customer))
    assert desk.send(customer, key="k").repeated is True
    assert 1 == desk.view(customer).send_window.used


@EVERY
def test_under_way(desk: Desk) -> None:
    """A call of a process that lives is left alone until it took too long."""
    customer = desk.customer()
    errand = desk.world.live._errand(desk.account, customer.external_userid, "one", "", "")
    position = errand.intend(
        "service_state/trans", errand.entry("state_change_intended", service_state=2), errand.look()
    )
    assert [] == desk.world.live.settle()
    with pytest.raises(ConcurrentChangeError) as caught:
        desk.change(customer, 2)
    assert (position, "one") == (caught.value.intent, caught.value.actor)
    desk.world.clock.advance(3600)
    assert 2 == desk.change(customer, 2).service_state
    assert 1 == desk.calls()


@SQLITE
def test_calls_of_another_client(desk: Desk) -> None:
    """A service that records the calls of a client of its own need not name their intents."""
    customer = desk.customer()
    facts = {"actor": "shop", "open_kfid": desk.account, "external_userid": customer.external_userid}
    desk.world.engine.record({"kind": "state_change_intended", "service_state": 1, **facts})
    with pytest.raises(ConcurrentChangeError, match="shop"):
        desk.change(customer, 2)
    desk.world.engine.record({"kind": "state_change_refused", "service_state": 1, "errcode": 45009, **facts})
    assert 2 == desk.change(customer, 2).service_state
