"""Events."""

import pytest

from kfstate import wire
from tests.wire.data import ACCOUNT, CUSTOMER, EVENTS, event


@pytest.mark.parametrize("event_type", sorted(EVENTS))
def test_every_event_is_typed_and_goes_out_as_it_came(event_type: str) -> None:
    """The seven types leave nothing in ``extra``."""
    came = event(event_type)
    msg = wire.decode_msg(came)
    assert msg.event is msg.body
    assert msg.event is not None
    assert msg.event.event_type is wire.KfEventType(event_type)
    assert ({}, {}) == (msg.extra, msg.event.extra)
    assert came == wire.to_wire(msg)


def test_change_type_is_a_kind_of_change() -> None:
    """1 to 4 are changes and not states, as the seed has them."""
    changed = wire.decode_msg(event("session_status_change")).event
    assert changed is not None
    assert changed.change_type is wire.KfChangeType.TRANSFERRED
    assert not isinstance(changed.change_type, wire.KfServiceState)


@pytest.mark.parametrize(
    ("inside", "top", "expected"),
    [
        ({"open_kfid": "wk1", "external_userid": "wm1"}, {}, ("wk1", "wm1")),
        ({}, {"open_kfid": "wk2", "external_userid": "wm2"}, ("wk2", "wm2")),
        ({"open_kfid": "wk1"}, {"open_kfid": "wk2", "external_userid": "wm2"}, ("wk1", "wm2")),
        ({"open_kfid": "", "external_userid": 7}, {"open_kfid": "wk2", "external_userid": "wm2"}, ("wk2", "wm2")),
        ({}, {}, ("", "")),
    ],
)
def test_ids_inside_the_event_win(inside: dict[str, object], top: dict[str, object], expected: tuple[str, str]) -> None:
    """Ids come from inside ``event``, else from the top level; they go out where they came in."""
    came = {"msgtype": "event", "event": {"event_type": "enter_session", **inside}, **top}
    msg = wire.decode_msg(came)
    assert expected == msg.conversation
    assert came == wire.to_wire(msg)


def test_an_event_without_its_object() -> None:
    """Msgtype event without ``event``: the ids of the top level count."""
    msg = wire.decode_msg({"msgtype": "event", "open_kfid": ACCOUNT, "external_userid": CUSTOMER})
    assert msg.event is None
    assert (ACCOUNT, CUSTOMER) == msg.conversation


def test_unknown_event_type() -> None:
    """An event of next year keeps its name and its fields."""
    came = event("session_rated", stars=5)
    msg = wire.decode_msg(came)
    assert msg.event is not None
    assert "session_rated" == msg.event.event_type
    assert {"stars": 5} == msg.event.extra
    assert came == wire.to_wire(msg)


@pytest.mark.parametrize(
    ("field", "known", "unknown"),
    [
        ("change_type", wire.KfChangeType.ENDED, 9),
        ("fail_type", wire.KfFailType.SECURITY, 3),
        ("status", wire.KfEventServicerStatus.STOPPED, 0),
        ("stop_type", wire.KfStopType.SUSPENDED, 2),
        ("reject_switch", wire.KfRejectSwitch.REJECTED, 2),
    ],
)
def test_enums_are_open(field: str, known: int, unknown: int) -> None:
    """A known number is a member, an unknown one is kept as a number."""
    for number, kind in ((int(known), type(known)), (unknown, int)):
        msg = wire.decode_msg(event("future", **{field: number}))
        assert msg.event is not None
        assert kind is type(getattr(msg.event, field))
        assert number == getattr(msg.event, field)


@pytest.mark.parametrize(("status", "receiving"), [(1, True), (2, False), (0, None), (3, None), ("1", None)])
def test_receiving_of_an_event(status: object, receiving: bool | None) -> None:  # noqa: FBT001
    """The event counts 1 and 2."""
    msg = wire.decode_msg(event("servicer_status_change", status=status))
    assert msg.event is not None
    assert receiving is msg.event.receiving


@pytest.mark.parametrize(("switch", "rejected"), [(1, True), (0, False), (2, False), (3, None), (None, None)])
def test_rejected(switch: object, rejected: bool | None) -> None:  # noqa: FBT001
    """1 is rejected; 0 is not, nor is the 2 that one project reports."""
    msg = wire.decode_msg(event("reject_customer_msg_switch_change", reject_switch=switch))
    assert msg.event is not None
    assert rejected is msg.event.rejected


@pytest.mark.parametrize("scene", [4, "5", 99])
def test_scene_of_channels(scene: object) -> None:
    """A number by the page, text in one SDK: kept as it came."""
    came = event("enter_session", wechat_channels={"scene": scene, "shop_nickname": "店"})
    msg = wire.decode_msg(came)
    assert msg.event is not None
    assert msg.event.wechat_channels is not None
    assert scene == msg.event.wechat_channels.scene
    assert came == wire.to_wire(msg)
