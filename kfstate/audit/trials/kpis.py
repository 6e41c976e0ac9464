"""What the sessions of a replay add up to: how many, how they ended, how long customers waited, what was repaired."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from kfstate.audit.trials.retelling import Told

__all__ = ["Kpis", "Tally"]

_RUNNING = "running"


@attrs.frozen
class Kpis:
    """The figures of one replay. Waits are seconds in the pool, of the sessions that were there."""

    sessions: int
    ends: dict[str, int]
    """How sessions ended → how many; ``running``: they have not."""
    openings: dict[str, int]
    """How sessions opened → how many."""
    queued: int
    abandoned: int
    """Sessions that ended while the customer waited in the pool."""
    wait_mean: int | None
    wait_p50: int | None
    wait_p90: int | None
    wait_max: int | None
    taken: int
    """Sessions that a servicer had."""
    transfers: int
    repairs: int
    outcomes: dict[str, int]
    """What folding did → to how many entries."""


@attrs.define
class Tally:
    """Figures while they are counted; those of parts of the log add up."""

    sessions: int = 0
    abandoned: int = 0
    taken: int = 0
    transfers: int = 0
    repairs: int = 0
    ends: dict[str, int] = attrs.Factory(dict)
    openings: dict[str, int] = attrs.Factory(dict)
    outcomes: dict[str, int] = attrs.Factory(dict)
    waits: dict[int, int] = attrs.Factory(dict)
    """Seconds → how many sessions waited so long."""

    def take(self, told: Told) -> None:
        """Count one conversation."""
        for step in told.steps:
            _add(self.outcomes, step.row.outcome)
        for session in told.sessions:
            self.sessions += 1
            self.abandoned += session.abandoned
            self.taken += session.taken is not None
            self.transfers += session.transfers
            self.repairs += session.repairs
            _add(self.ends, session.ended_by or _RUNNING)
            _add(self.openings, session.opened_by)
            if session.queued is not None:
                _add(self.waits, session.queue_seconds)

    def merge(self, other: "Tally") -> None:
        """Count what another one counted."""
        for name in ("sessions", "abandoned", "taken", "transfers", "repairs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("ends", "openings", "outcomes", "waits"):
            mine = getattr(self, name)
            for key, count in getattr(other, name).items():
                _add(mine, key, count)

    def kpis(self) -> Kpis:
        """Return the figures."""
        queued = sum(self.waits.values())
        total = sum(seconds * count for seconds, count in self.waits.items())
        return Kpis(
            sessions=self.sessions,
            ends=_sorted(self.ends),
            openings=_sorted(self.openings),
            queued=queued,
            abandoned=self.abandoned,
            wait_mean=total // queued if queued else None,
            wait_p50=_percentile(self.waits, 50),
            wait_p90=_percentile(self.waits, 90),
            wait_max=max(self.waits, default=None),
            taken=self.taken,
            transfers=self.transfers,
            repairs=self.repairs,
            outcomes=_sorted(self.outcomes),
        )


def _add(counts: dict[Any, int], key: Any, count: int = 1) -> None:
    counts[key] = counts.get(key, 0) + count


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _percentile(counts: Mapping[int, int], percent: int) -> int | None:
    """Return the least value that so many percent do not exceed (nearest rank)."""
    wanted = -(-sum(counts.values()) * percent // 100)
    return next((value for value, reached in _cumulated(counts.items()) if reached >= wanted), None)


def _cumulated(counts: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    reached = 0
    for value, count in sorted(counts):
        reached += count
        yield value, reached
