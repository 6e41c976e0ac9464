"""The enums."""

import enum
import pickle

import pytest

from kfstate.wire import enums
from kfstate.wire.bodies import BODIES

ENUMS = [getattr(enums, name) for name in enums.__all__]


@pytest.mark.parametrize("kind", ENUMS)
def test_members_are_plain_values_with_a_chinese_label(kind: type[enum.Enum]) -> None:
    """A member equals and hashes as its value, finds itself by it, and has a label."""
    for member in kind:
        assert member.value == member
        assert hash(member.value) == hash(member)
        assert member is kind(member.value)
        assert member is pickle.loads(pickle.dumps(member))  # noqa: S301
        assert f"{member.value}" == f"{member}"
        assert any("\u4e00" <= character <= "\u9fff" for character in member.label)


def test_every_message_type_has_a_body() -> None:
    """The names of the types and the bodies are the same, events apart."""
    assert {*BODIES, "event"} == set(enums.KfMsgType)
