"""Stretches of the log that other processes walk along, so that one walk can go on over them."""

from collections.abc import Iterator

import attrs
from sqlalchemy.exc import SQLAlchemyError

from kfstate.store.checkpoint import chain_at
from kfstate.store.commitments import Commitments
from kfstate.store.crew import Crew
from kfstate.store.database import Database
from kfstate.store.merkle import Tree
from kfstate.store.read import plain_rows
from kfstate.store.references import References
from kfstate.store.walking import Stretch, Walk

__all__ = ["length_of", "stretches"]

_BATCHES = 8
"""How many batches a stretch has, about."""


@attrs.frozen
class _Task:
    after: int
    last: int
    batch: int
    before: bytes | None
    """The link before, where that is known."""
    anchor: tuple[int, bytes] | None
    tree: bool


def length_of(batch: int) -> int:
    """Return how many entries a stretch has: a power of two, so that the trees over them are subtrees of one tree."""
    return 1 << (_BATCHES * batch - 1).bit_length()


def stretches(crew: Crew, walk: Walk, stop: int, batch: int) -> Iterator[Stretch | None]:
    """Begin to walk along what is between a walk and ``stop``, and return what yields it stretch by stretch.

    Each is seen as the log was when its turn came. None: something there does not hold.
    """
    length = length_of(batch)
    start, link, anchor, tree = walk.at, walk.link, walk.anchor, walk.tree is not None
    tasks = (
        _Task(
            after,
            min(after + length, stop),
            batch,
            link if after == start else None,
            anchor if anchor is not None and after < anchor[0] else None,
            tree,
        )
        for after in range(start, stop, length)
    )
    return crew.in_order(_stretch, tasks)


def _stretch(database: Database, task: _Task) -> Stretch | None:
    with database.reading() as conn:
        try:
            before = chain_at(conn, task.after) if task.before is None else task.before
            if before is None:
                return None
            walk = Walk(conn, task.after, before, References(conn), Commitments(conn), whole=False)
            walk.needed = bytearray()
            if task.anchor is not None:
                walk.anchor, walk.tree = task.anchor, Tree() if task.tree else None
            while walk.at < task.last:
                rows = plain_rows(conn, walk.at, limit=min(task.batch, task.last - walk.at))
                if not rows or walk.take(rows) is not None:
                    return None
        except (SQLAlchemyError, UnicodeError):
            return None
    return Stretch(
        after=task.after,
        before=before,
        last=walk.at,
        link=walk.link,
        began=walk.began or 0,
        recorded=walk.recorded,
        firsts=walk.firsts,
        versions=walk.versions,
        erased=walk.erased,
        aged=walk.aged,
        erased_names=walk.names.erased,
        needed=bytes(walk.needed),
        tree=walk.tree,
    )
