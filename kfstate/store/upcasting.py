"""Payloads of own entries as this release knows them, whatever release wrote them.

An own entry is stored for ever as it was recorded, with the version of its kind (``kind_version``). Where the payload
of a kind changes, the version goes up, and an upcaster makes the new form of the old one for readers. Nothing that is
folded, hashed or verified goes through here: those are the typed columns and the exact bytes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from kfstate.errors import UpcasterError
from kfstate.machine.kinds import OWN_KINDS

__all__ = ["SHIPPED", "Upcaster", "Upcasters"]


@attrs.frozen
class Upcaster:
    """Makes version ``to_version`` of a kind's payload of version ``from_version``.

    ``upcast`` is pure: it gets the payload as JSON data and returns the new one.
    """

    kind: str
    from_version: int
    to_version: int
    upcast: Callable[[dict[str, Any]], Mapping[str, Any]]


class Upcasters:
    """A sound set of upcasters. Raises :class:`~kfstate.errors.UpcasterError` where it is none."""

    def __init__(self, upcasters: Iterable[Upcaster] = ()) -> None:
        """Check the set: known kinds, one upcaster for each version, no way back, no version left behind."""
        taken = tuple(upcasters)
        if problems := tuple(_problems(taken)):
            raise UpcasterError(problems=problems)
        self._all = taken
        self._steps = {(each.kind, each.from_version): each for each in taken}

    def __bool__(self) -> bool:
        return bool(self._all)

    def joined(self, more: Iterable[Upcaster]) -> "Upcasters":
        """Return a set that has these and more."""
        return Upcasters((*self._all, *more))

    def apply(self, kind: str, version: int, payload: Any) -> Any:
        """Return a payload in the newest form of its kind.

        Raises whatever an upcaster raises.
        """
        while isinstance(payload, dict) and (step := self._steps.get((kind, version))) is not None:
            payload, version = dict(step.upcast(dict(payload))), step.to_version
        return payload


def _problems(upcasters: tuple[Upcaster, ...]) -> Iterable[str]:
    counted = Counter((each.kind, each.from_version) for each in upcasters)
    yield from (f"{kind} {version}: {count} upcasters" for (kind, version), count in counted.items() if count > 1)
    yield from (f"{kind}: no kind of own entry" for kind in sorted({each.kind for each in upcasters} - OWN_KINDS))
    for each in upcasters:
        if each.from_version < 1 or each.to_version <= each.from_version:
            yield f"{each.kind} {each.from_version} to {each.to_version}: leads back"
    for kind in sorted({each.kind for each in upcasters}):
        newest = max(each.to_version for each in upcasters if each.kind == kind)
        for version in range(1, newest):
            if (kind, version) not in counted:
                yield f"{kind} {version}: no upcaster, though there is a version {newest}"


SHIPPED = Upcasters()
"""Those of this release: none yet, every kind is at its first version."""
