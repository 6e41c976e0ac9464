"""Assignment under a key: chosen once, whoever asks again, and whoever asks at the same moment."""

from typing import Any

import pytest

from kfstate import KfServiceState
from kfstate.errors import ArgumentError
from kfstate.wecom import Candidates
from tests.wecom.desk import Desk

__all__: list[str] = []

SQLITE = pytest.mark.databases("sqlite")
EVERY = pytest.mark.databases("sqlite", "pg18", "mariadb")


@EVERY
def test_same_key(desk: Desk) -> None:
    """The same key again finds the same servicer, by the same way, without a call and without a choice."""
    desk.world.account.servicer("li")
    desk.world.live.candidates(desk.account)
    desk.world.account.stops("li")
    wanted = ["li", "zhang"]
    customer = desk.customer()
    first = desk.assign(customer, lambda _: wanted.pop(0), key="k")
    again = desk.assign(customer, lambda _: wanted.pop(0), key="k")
    assert (first.servicer_userid, first.refused) == (again.servicer_userid, again.refused) == ("zhang", ("li",))
    assert (2, True) == (desk.calls(), again.changed.repeated)


@EVERY
def test_same_key_after_the_pool(desk: Desk) -> None:
    """What went to the pool under a key stays there under it, whoever is free by then; nobody is asked to choose."""
    desk.world.account.stops("zhang")
    customer = desk.customer()
    first = desk.assign(customer, lambda _: "zhang", key="k")
    assert ("pool", None, ("zhang",)) == (first.outcome, first.servicer_userid, first.refused)
    desk.world.clock.advance(5)
    desk.world.account.receives("zhang")
    desk.pull()
    again = desk.assign(customer, lambda _: pytest.fail("asked to choose again"), key="k")
    assert ("pool", None, ("zhang",), True) == (
        again.outcome, again.servicer_userid, again.refused, again.changed.repeated,
    )  # fmt: skip
    assert (KfServiceState.QUEUE, 2) == (desk.state(customer), desk.calls())
    assert "zhang" == desk.assign(customer, key="another").servicer_userid
    assert ("pool", True) == ((last := desk.assign(customer, key="k")).outcome, last.changed.repeated)
    assert KfServiceState.MANUAL == desk.state(customer)


@SQLITE
@pytest.mark.parametrize("transfer", [False, True])
@pytest.mark.parametrize(("first", "second"), [("zhang", "li"), ("zhang", ""), ("", "li"), ("", "")])
def test_one_key_at_once(desk: Desk, first: str, second: str, *, transfer: bool) -> None:
    """Of two that choose at once under one key, one is through, and the other goes by what that one has done."""
    desk.world.account.servicer("li")
    customer = desk.customer()
    done: list[Any] = []

    def choose(_: Candidates) -> str:
        if not done:
            done.append(None)
            done[0] = desk.assign(customer, lambda _: first, key="k", transfer=transfer)
        return second

    late = desk.assign(customer, choose, key="k", transfer=transfer)
    assert done[0].servicer_userid == late.servicer_userid == (first or None)
    assert 1 == desk.calls()


@SQLITE
def test_the_key_of_another_customer(desk: Desk) -> None:
    """It is refused, as by `change_state`."""
    desk.assign(desk.customer(), lambda _: "zhang", key="k")
    with pytest.raises(ArgumentError, match="key"):
        desk.assign(desk.customer(), lambda _: "zhang", key="k")
    desk.assign(desk.customer(), lambda _: "", key="p")
    with pytest.raises(ArgumentError, match="key"):
        desk.assign(desk.customer(), lambda _: "", key="p")
