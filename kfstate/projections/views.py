"""What is told about projections and their builds: frozen."""

from collections.abc import Callable

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.projections.builds import Build
from kfstate.projections.comparing import BuildDifference
from kfstate.projections.folding import Progress
from kfstate.projections.live import lag_of
from kfstate.store.dialect import query

__all__ = ["ProjectionView", "Rebuilt", "Told", "increments", "view"]

_NEXT = "SELECT recorded_at FROM kf_entry WHERE position > ? ORDER BY position LIMIT 1"


@attrs.frozen
class ProjectionView:
    """One build of a projection: how far it is, and what state it is in."""

    name: str
    version: int
    """The number of the build; build N > 1 has tables with the suffix ``_vN``."""
    status: str
    """``building``, ``ready``, ``live``, ``kept``, ``failed``, ``cancelled``; ``unknown``: its row is gone."""
    position: int
    lag: int
    """How many entries it is behind the log; less than 0: the log lost entries that it has."""
    lag_seconds: float
    """How long ago the first of them was recorded."""
    fingerprint: str
    outdated: bool
    """Whether other code made it than this process runs, so that this process leaves it alone."""
    error: str | None
    rate: float | None
    """While it is built: entries a second since the build began, or went on."""
    seconds_left: float | None


@attrs.frozen
class Rebuilt:
    """What a rebuild did.

    ``switched`` is False where the new build had the rows of the live one, so that the live one stayed and the new one
    was dropped again. ``difference`` is None where the live one could not be compared.
    """

    name: str
    version: int
    entries: int
    switched: bool
    difference: BuildDifference | None


def view(conn: Connection, build: Build, head: int, *, fingerprint: str | None, now: int) -> ProjectionView:
    """Return what is told about a build; ``now`` in microseconds, ``fingerprint`` that of this process's code."""
    lag = lag_of(build, head)
    waiting = query(conn, _NEXT, (build.position,)) if lag > 0 else []
    rate, left = _pace(build, lag)
    return ProjectionView(
        name=build.name,
        version=build.version,
        status="failed" if build.error and build.status == "live" else build.status,
        position=build.position,
        lag=lag,
        lag_seconds=max(0, now - waiting[0][0]) / SECOND if waiting else 0.0,
        fingerprint=build.fingerprint,
        outdated=build.status == "unknown" or build.fingerprint not in {fingerprint, ""},
        error=build.error,
        rate=rate,
        seconds_left=left,
    )


Told = Callable[[ProjectionView], None]
"""Told how far a build is, after each of its transactions."""


def increments(progress: Progress | None) -> Told | None:
    """Return what tells a counter by how many entries a build went on each time."""
    if progress is None:
        return None
    done = 0

    def told(view: ProjectionView) -> None:
        nonlocal done
        progress(view.position - done)
        done = view.position

    return told


def _pace(build: Build, lag: int) -> tuple[float | None, float | None]:
    if build.status != "building" or build.began_at is None or build.updated_at is None or build.began_from is None:
        return None, None
    took, done = (build.updated_at - build.began_at) / SECOND, build.position - build.began_from
    if took <= 0 or done <= 0:
        return None, None
    rate = done / took
    return round(rate, 1), round(max(0, lag) / rate, 1)
