"""What every wire model has in common.

A wire model says what WeCom said, and nothing is ever dropped. One rule does it:

    ``extra`` keeps every member of the JSON object that its attributes do not give back by themselves.

That is an unknown field, a value of a type that the field does not have, or another spelling of a name. An attribute is
None (a tuple: empty) where WeCom said nothing that can be read. See :mod:`kfstate.wire.shape` for the two directions.
"""

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["SPELLINGS", "ZERO_ONE", "WireModel", "spelled", "zero_one"]

SPELLINGS = "spellings"
"""Metadata of a field: the other names under which the wire may bring it."""

ZERO_ONE = "zero_one"
"""Metadata of a field: a boolean that the wire writes as 0 or 1."""


@attrs.frozen(kw_only=True, slots=False)
class WireModel:
    """A JSON object of WeCom.

    ``extra`` holds, under their wire names, the members that the attributes do not give back by themselves. It takes
    part in equality but not in the hash, for it may hold lists.
    """

    extra: Mapping[str, object] = attrs.field(factory=dict[str, object], hash=False)


def spelled(*others: str) -> Any:
    """Return an optional field that also goes by *others* on the wire; its own name is the documented one and wins."""
    return attrs.field(default=None, metadata={SPELLINGS: others})


def zero_one() -> Any:
    """Return an optional boolean field that the wire writes as 0 or 1, and reads from ``true`` and ``false`` too."""
    return attrs.field(default=None, metadata={ZERO_ONE: True})
