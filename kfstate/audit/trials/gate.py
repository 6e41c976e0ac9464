"""The replay gate: all that was recorded, told by a candidate machine, before it goes live."""

from collections.abc import Iterable
from typing import ClassVar

import attrs

from kfstate.audit.trials.accepting import Accepted, accept
from kfstate.audit.trials.changes import SessionChange
from kfstate.audit.trials.kpis import Kpis
from kfstate.audit.trials.replaying import Replay, definition_of
from kfstate.audit.trials.spreading import Scope, Spreading, looked_at, over_log
from kfstate.machine.compiled import Machine
from kfstate.projections.building import Site

__all__ = ["Gate", "gate", "label"]


@attrs.frozen
class Gate:
    """What a candidate machine would tell otherwise than the one before."""

    SHOWN: ClassVar = (
        "passed", "machine_before", "machine_after", "known_at", "conversations", "entries", "changed", "unused",
        "before", "after",
    )  # fmt: skip

    machine_before: str
    machine_after: str
    """Version and the first digits of the fingerprint."""
    known_at: int
    """The last position that was looked at."""
    conversations: int
    entries: int
    changed: tuple[SessionChange, ...]
    unused: tuple[str, ...]
    """Reasons in the file of accepted differences that no difference needed."""
    before: Kpis
    after: Kpis

    @property
    def passed(self) -> bool:
        """Whether every difference is accepted."""
        return all(change.accepted is not None for change in self.changed)


def gate(
    site: Site,
    candidate: Machine,
    baseline: Machine,
    *,
    corp_id: str = "",
    sample: float = 1.0,
    accepted: Iterable[Accepted] = (),
    how: Spreading | None = None,
) -> Gate | None:
    """Tell the recorded history by both machines; None where it was stopped before the end.

    ``sample`` is the part of the conversations that is looked at, always the same ones. Raises
    :class:`~kfstate.errors.ArgumentError` where there is none: nothing was told, so nothing can pass.
    """
    work = {"gate": [baseline.fingerprint, candidate.fingerprint]}
    before, after = definition_of(baseline), definition_of(candidate)

    def job(found: Scope) -> Replay:
        return Replay(before, after, until=found.checkpoint.position, now=found.second)

    found, whole = over_log(site, work, job, corp_id=corp_id, sample=sample, how=how)
    if whole is None:
        return None
    looked_at(whole.conversations, corp_id)
    changed, unused = accept(whole.changed, accepted)
    return Gate(
        machine_before=label(baseline),
        machine_after=label(candidate),
        known_at=found.checkpoint.position,
        conversations=whole.conversations,
        entries=whole.entries,
        changed=changed,
        unused=unused,
        before=whole.before.kpis(),
        after=whole.after.kpis(),
    )


def label(machine: Machine) -> str:
    """Return a machine as people know it."""
    return f"{machine.spec.version} ({machine.fingerprint[:12]})"
