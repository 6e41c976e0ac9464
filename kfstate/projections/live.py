"""Keeping the shipped projections at the head of the log: inline with an append, or behind it.

Builds that are live, ready or kept are written only by who holds the head of the log; one that is being built only by
who holds its row.
"""

from collections.abc import Callable, Sequence

import attrs
from sqlalchemy import Connection

from kfstate.machine.compiled import MACHINE
from kfstate.projections import builds
from kfstate.projections.builds import NAME, Build
from kfstate.projections.folding import Folding, Progress
from kfstate.projections.projector import Projected, Projector
from kfstate.store.checkpoint import chain_at
from kfstate.store.dialect import query
from kfstate.store.head import lock_head
from kfstate.store.rows import Appended, Head

__all__ = ["INLINE", "NAME", "Difference", "Inline", "Progress", "behind", "catch_up", "lag_of", "project", "tell"]

INLINE = "kfstate_inline"
"""Execution option: called after an append is projected, with the connection, the head, and where it was before."""
Inline = Callable[[Connection, Head, int], None]

_NEAR = 10_000
"""How many entries an append folds for others before its own; more are left to :func:`catch_up`."""


@attrs.frozen
class Difference:
    """What a comparison of the tables with a fresh fold found; ``tables`` names the rows that differ by table."""

    entries: int
    conversations: int
    different: int
    tables: dict[str, int]


def behind(conn: Connection) -> int | None:
    """Return how many entries the live build lags behind the log.

    None: another machine folded it, or nobody knows how far it got because its row is gone. Less than 0: the log ends
    before what was folded, or has other entries there, so it lost its tail.
    """
    (head,) = query(conn, "SELECT COALESCE(MAX(position), 0) FROM kf_entry")[0]
    build = builds.live(conn)
    if build.status != "live" or build.fingerprint not in {MACHINE.fingerprint, ""}:
        return None
    return lag_of(build, int(head))


def lag_of(build: Build, head: int) -> int:
    """Return how many entries a build lags behind the head; less than 0: it is of a log that lost its tail."""
    lag = head - build.position
    return lag if build.of_this_log else min(lag, -1)


def project(
    conn: Connection, appended: Appended, *, head_before: int, found: Sequence[Build] | None = None
) -> Projected | None:
    """Fold what was just appended, in the transaction that appended it, onto the build of this machine.

    Where it does not stand at ``head_before`` (a process that does not know it appended), it is caught up first.
    Returns None, and writes nothing, where it lags too far behind for that, where there is none, or where nobody knows
    how far it got: then it is caught up, or rebuilt, elsewhere. ``found``: the builds, where they were asked for.
    """
    if not appended.rows:
        return Projected()
    build = builds.mine(conn, MACHINE.fingerprint, found=found)
    if build is None or not 0 <= lag_of(build, head_before) <= _NEAR:
        return None
    if build.position < head_before:
        Folding().advance(conn, build, until=head_before)
    with builds.of_build(conn, build.version):
        projector = Projector(conn)
        streams = {stream.id: stream for stream in appended.streams.values()}
        met = projector.commit(appended.rows, streams)
        projector.flush()
    head = appended.head
    reached = attrs.evolve(
        build, position=head.position, chain=head.chain, fingerprint=MACHINE.fingerprint, updated_at=head.recorded_at
    )
    builds.store(conn, reached)
    return met


def tell(conn: Connection, appended: Appended, *, head_before: int) -> None:
    """Call :data:`INLINE`, if anything was appended."""
    inline: Inline | None = conn.get_execution_options().get(INLINE)
    if inline is not None and appended.rows:
        inline(conn, appended.head, head_before)


def catch_up(conn: Connection, *, limit: int = 20_000, progress: Progress | None = None) -> int:
    """Fold at most about ``limit`` entries that the live build does not have yet; return how many entries still lack.

    Locks the head of the log until the transaction ends. Does nothing and returns 0 where another machine folded it, or
    where nobody knows how far it got. Rebuild instead.
    """
    lock_head(conn)
    lag = behind(conn)
    if lag is None or lag <= 0:
        return 0
    build = builds.live(conn)
    position = Folding().advance(conn, build, limit=limit)
    if progress is not None:
        progress(position - build.position)
    chain = chain_at(conn, position)
    builds.store(conn, attrs.evolve(build, position=position, chain=chain, fingerprint=MACHINE.fingerprint))
    return lag - (position - build.position)
