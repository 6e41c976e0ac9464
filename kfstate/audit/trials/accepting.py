"""Differences that are expected: a committed file says which, and why."""

import tomllib
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Literal

import attrs
import msgspec
from msgspec import Meta

from kfstate.audit.trials.changes import COLUMNS, SessionChange
from kfstate.errors import ArgumentError
from kfstate.machine import Machine
from kfstate.machine.kinds import KINDS

__all__ = ["Accepted", "accept", "load_accepted"]

_Text = Annotated[str, Meta(min_length=1)]


class Accepted(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One kind of difference that is expected: every thing that is said here holds of it."""

    reason: _Text
    change: Literal["changed", "gone", "new"] | None = None
    before: _Text | None = None
    """The transition that the machine before took, of the first entry that differs."""
    after: _Text | None = None
    """That of the other machine."""
    kind: _Text | None = None
    """The kind of that entry."""
    only: Annotated[frozenset[str], Meta(min_length=1)] | None = None
    """No entry is folded otherwise, and no other columns of the session differ."""
    open_kfid: _Text | None = None
    external_userid: _Text | None = None
    session_id: int | None = None

    def holds(self, found: SessionChange) -> bool:
        """Tell whether this is the difference that was expected."""
        if self.only is not None and not (found.position is None and found.fields and self.only >= found.fields.keys()):
            return False
        pairs = (
            (self.change, found.change),
            (self.before, found.before and found.before.transition),
            (self.after, found.after and found.after.transition),
            (self.kind, found.kind),
            (self.open_kfid, found.open_kfid),
            (self.external_userid, found.external_userid),
            (self.session_id, found.session_id),
        )
        return all(wanted is None or wanted == is_ for wanted, is_ in pairs)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    accept: list[Accepted]
    machine: _Text | None = None


def load_accepted(path: Path | str, candidate: Machine, baseline: Machine) -> tuple[Accepted, ...]:
    """Return what a TOML file accepts of a candidate machine.

    Raises :class:`~kfstate.errors.ArgumentError` where it is no such file, has a word that names nothing, or is for
    another machine, and OSError.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        found = msgspec.convert(tomllib.loads(content.decode()), _File)
    except (ValueError, RecursionError) as error:
        raise ArgumentError("accepted", str(path), f"TOML with tables [[accept]]: {error}") from None
    for one in found.accept:
        if set(msgspec.to_builtins(one)) == {"reason"}:
            raise ArgumentError("accepted", str(path), f"tables that say what is accepted: {one.reason!r} does not")
        _check_words(one, path, candidate.rows.keys() | baseline.rows.keys())
    if found.machine is not None and not candidate.fingerprint.startswith(found.machine.lower()):
        known = candidate.fingerprint
        raise ArgumentError("accepted", str(path), f"a file for the machine {known}, not {found.machine}")
    return tuple(found.accept)


def _check_words(rule: Accepted, path: Path, transitions: AbstractSet[str]) -> None:
    for key, named, known in (
        ("before", {rule.before}, transitions),
        ("after", {rule.after}, transitions),
        ("kind", {rule.kind}, KINDS),
        ("only", rule.only or frozenset[str](), COLUMNS),
    ):
        if unknown := named - {None} - known:
            told = f"{key} {', '.join(sorted(map(str, unknown)))} of {rule.reason!r}"
            raise ArgumentError("accepted", str(path), f"words that name something: {told} does not")


def accept(
    changed: Iterable[SessionChange], accepted: Iterable[Accepted]
) -> tuple[tuple[SessionChange, ...], tuple[str, ...]]:
    """Return the changes, each with the reason for which it is accepted, and the reasons that none needed."""
    rules = tuple(accepted)
    used: set[int] = set()
    found = []
    for change in changed:
        number = next((number for number, rule in enumerate(rules) if rule.holds(change)), None)
        if number is not None:
            used.add(number)
        found.append(change if number is None else attrs.evolve(change, accepted=rules[number].reason))
    return tuple(found), tuple(rule.reason for number, rule in enumerate(rules) if number not in used)
