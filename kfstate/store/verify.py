# ruff: noqa: S608 (the SQL is put together from constants)
"""Verify the log: recompute every leaf, link and commitment, and name the first position that does not hold (P7)."""

from collections.abc import Callable, Iterator

import attrs
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kfstate.errors import ArgumentError
from kfstate.store import canonical as form
from kfstate.store.commitments import Commitments
from kfstate.store.crew import Crew
from kfstate.store.dialect import query
from kfstate.store.head import read_head
from kfstate.store.merkle import Tree
from kfstate.store.read import plain_rows
from kfstate.store.references import References, beyond, identified
from kfstate.store.stretches import length_of, stretches
from kfstate.store.walking import ANOTHER, Damage, Stretch, Walk

__all__ = ["Anchor", "Damage", "Verified", "anchor_of", "verify"]

_DIGEST = 32
_FEW = 16
"""Up to so many stretches are walked along in about the time in which other processes begin."""
_ROOT = "the root of the tree is not the one that was published"


@attrs.frozen
class Verified:
    """What a verification found.

    ``entries`` of ``first``..``last`` hold; ``chain`` is the link of ``last``: kept elsewhere, it anchors a later
    verification. ``erased`` are positions whose payload was erased with the customer's name, ``erased_names`` names,
    ``aged_out`` ranges of positions whose payload alone is gone: no damage, all three.
    """

    first: int
    last: int
    entries: int
    chain: bytes
    erased: tuple[int, ...]
    erased_names: tuple[int, ...]
    aged_out: tuple[tuple[int, int], ...]
    damage: Damage | None

    @property
    def anchor(self) -> str:
        """``POSITION:CHAIN`` of the last entry that holds: what to keep elsewhere, and to expect of the log later."""
        return f"{self.last}:{self.chain.hex()}"


Anchor = tuple[int, bytes] | tuple[int, bytes, bytes]
"""A position with the chain there and, where one was published, the root of the tree over all leaves up to it."""


def anchor_of(text: str) -> Anchor:
    """Return the anchor that a text is: :attr:`Verified.anchor`, or a head with its root. Raises ValueError."""
    position, *hashes = text.strip().split(":")
    try:
        chain, *root = [bytes.fromhex(hash_) for hash_ in hashes]
        at = int(position)
    except ValueError:
        at, chain, root = -1, b"", []
    if at < 0 or len(root) > 1 or {len(hash_) for hash_ in (chain, *root)} != {_DIGEST}:
        message = f"no POSITION:CHAIN: {text[:100]!r}"
        raise ValueError(message)
    return (at, chain, root[0]) if root else (at, chain)


def verify(
    conn: Connection,
    *,
    first: int | None = None,
    last: int | None = None,
    anchor: Anchor | None = None,
    progress: Callable[[int], None] | None = None,
    batch: int = 2048,
    crew: Crew | None = None,
) -> Verified:
    """Verify the entries ``first``..``last``, by default the whole log that is in the database.

    ``anchor`` was kept elsewhere: only with one can a log that was rewritten from some place to its end be told from
    the true one. A range that begins later is verified against the link before it. What the entries name beside the
    log is looked up; of the whole log their identities are, too, and whether anything has come further than the log.
    The processes of a ``crew`` walk along many entries at once; what does not hold there is looked at here.
    Raises :class:`~kfstate.errors.ArgumentError` where the anchor is outside of the range.
    """
    start, link = _before(conn, first)
    stop = read_head(conn).position if last is None else last
    walk = Walk(conn, start, link, References(conn, start), Commitments(conn), whole=start == 0)
    if anchor is not None and ((first is not None and anchor[0] < start) or (last is not None and anchor[0] > last)):
        raise ArgumentError(name="expect", value=str(anchor[0]), allowed="a position of the range")
    damage = _unanchored(conn, anchor, start, link)
    length = length_of(batch)
    if anchor is not None and start <= anchor[0]:
        walk.anchor, walk.tree = anchor[:2], Tree() if len(anchor) == 3 else None
    try:
        ahead: Iterator[Stretch | None] | None = None
        if crew is not None and crew.processes > 1 and damage is None and stop - start > _FEW * length:
            ahead = stretches(crew, walk, stop, batch)
        if first is None and last is None:
            walk.references.identified = identified(conn, start, stop)
        while damage is None and walk.at < stop:
            at = walk.at
            if ahead is None or not walk.join(next(ahead, None)):
                damage = _walk(walk, stop if ahead is None else min(at + length, stop), batch, progress)
            elif progress is not None:
                progress(walk.at - at)
        if damage is None and last is None and (pointer := beyond(conn, stop)):
            damage = Damage(stop + 1, f"the entry is missing: {pointer}")
    except (SQLAlchemyError, UnicodeError) as error:
        damage = Damage(walk.at + 1, f"the database cannot be read: {error}")
    return Verified(
        first=start + 1,
        last=walk.at,
        entries=walk.at - start,
        chain=walk.link,
        erased=tuple(walk.erased),
        erased_names=tuple(sorted(walk.names.erased)),
        aged_out=tuple(walk.aged),
        damage=damage or _unreached(anchor, start, walk.at) or _other_root(walk, anchor, start),
    )


def _walk(walk: Walk, stop: int, batch: int, progress: Callable[[int], None] | None) -> Damage | None:
    """Walk on until ``stop``, or to the first entry that does not hold."""
    while walk.at < stop:
        at = walk.at
        rows = plain_rows(walk.conn, at, limit=min(batch, stop - at))
        damage = walk.take(rows) if rows else Damage(at + 1, "the entry is missing")
        if progress is not None:
            progress(walk.at - at)
        if damage is not None:
            return damage
    return None


def _before(conn: Connection, first: int | None) -> tuple[int, bytes]:
    """Return the position before the range and its link: the archive's mark, an entry, or the log's beginning."""
    marks = query(conn, "SELECT position, chain FROM kf_archive_mark ORDER BY position DESC LIMIT 1")
    oldest = query(conn, "SELECT MIN(position) FROM kf_entry")[0][0]
    if first is None or first <= 1:
        archived = bool(marks) and oldest is not None and oldest == marks[0][0] + 1
        if marks and (archived or oldest is None):
            return marks[0][0], bytes(marks[0][1])
        log = read_head(conn)
        return 0, form.first_link(log.log_id, log.created_at)
    for table in ("kf_entry", "kf_archive_mark"):
        found = query(conn, f"SELECT position, chain FROM {table} WHERE position = ?", (first - 1,))
        if found:
            return found[0][0], bytes(found[0][1])
    log = read_head(conn)
    return 0, form.first_link(log.log_id, log.created_at)


def _unanchored(conn: Connection, anchor: Anchor | None, start: int, link: bytes) -> Damage | None:
    """Return damage where an anchor lies before the range, and is not known to hold."""
    if anchor is None or anchor[0] > start:
        return None
    known = {position: bytes(chain) for position, chain in query(conn, "SELECT position, chain FROM kf_archive_mark")}
    held = link if anchor[0] == start else known.get(anchor[0])
    if held is None:
        return Damage(anchor[0], "the anchor lies in the archive: only there can it be verified")
    return None if held == anchor[1] else Damage(anchor[0], ANOTHER)


def _unreached(anchor: Anchor | None, start: int, at: int) -> Damage | None:
    if anchor is not None and start < anchor[0] and at < anchor[0]:
        return Damage(at + 1, "the log ends before the anchor")
    return None


def _other_root(walk: Walk, anchor: Anchor | None, start: int) -> Damage | None:
    if anchor is None or len(anchor) < 3:
        return None
    if walk.tree is None or start > 0:
        return Damage(anchor[0], "the root can be recomputed only where the log has every leaf up to it")
    return None if walk.tree.root() == anchor[2] else Damage(anchor[0], _ROOT)
