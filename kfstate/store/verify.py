"""Verify the log: recompute every leaf, link and commitment, and name the first position that does not hold (P7)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import attrs
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from kfstate.errors import ArgumentError, CorruptLogError
from kfstate.store import canonical as form
from kfstate.store.checkpoint import chain_at
from kfstate.store.commitments import Commitments
from kfstate.store.crew import Crew
from kfstate.store.dialect import query
from kfstate.store.head import read_end
from kfstate.store.merkle import Tree
from kfstate.store.read import plain_rows
from kfstate.store.references import References, beyond, identified
from kfstate.store.stretches import length_of, stretches
from kfstate.store.twins import twins
from kfstate.store.walking import ANOTHER, Damage, Stretch, Walk

__all__ = ["Anchor", "Damage", "Verified", "anchor_of", "verify"]

_DIGEST = 32
_FEW = 16
"""Up to so many stretches are walked along in about the time in which other processes begin."""
_MISSING = "the entry is missing"
_OLDEST = "MIN(position) FROM kf_entry"
_MARK = "MAX(position) FROM kf_archive_mark"
_UNREADABLE = "the database cannot be read"
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
    What ``kf_archive_mark`` let leave the database is damage to the whole log: verify from the entry after it on.
    Raises :class:`~kfstate.errors.ArgumentError` where the log has no such range, or the anchor is outside of it, and
    :class:`~kfstate.errors.CorruptLogError` where the row of the log itself holds what it cannot.
    """
    log_id, created_at, end = read_end(conn)
    start, stop = _range(end, first, last)
    damage, link = None, form.first_link(log_id, created_at)
    if start:
        damage, link = _before(conn, start)
    walk = Walk(conn, start, link, References(conn, start), Commitments(conn), whole=start == 0)
    if anchor is not None and ((first is not None and anchor[0] < start) or (last is not None and anchor[0] > last)):
        raise ArgumentError(name="expect", value=str(anchor[0]), allowed="a position of the range")
    damage = damage or _gone(conn, start) or _unanchored(anchor, start, link)
    length = length_of(batch)
    if anchor is not None and start <= anchor[0]:
        walk.anchor, walk.tree = anchor[:2], Tree() if len(anchor) == 3 else None
    try:
        unread = None if damage else _looked_up(walk, stop, whole=first is None and last is None)
        ahead: Iterator[Stretch | None] | None = None
        few = stop - start <= _FEW * length or walk.names.twins
        if crew is not None and crew.processes > 1 and damage is None and not few:
            ahead = stretches(crew, walk, stop, batch)
        while damage is None and walk.at < stop:
            at = walk.at
            if ahead is None or not walk.join(next(ahead, None)):
                damage = _walk(walk, stop if ahead is None else min(at + length, stop), batch, progress)
            elif progress is not None:
                progress(walk.at - at)
        damage = damage or unread or _cut_off(conn, stop, last)
    except (SQLAlchemyError, UnicodeError) as error:
        damage = Damage(walk.at + 1, f"{_UNREADABLE}: {_said(error)}")
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
    """Walk on until ``stop``, or to the first entry that does not hold; one by one where a batch cannot be read."""
    while walk.at < stop:
        at = walk.at
        try:
            with _bearing(walk.conn):
                rows = plain_rows(walk.conn, at, limit=min(batch, stop - at))
                damage = walk.take(rows) if rows else Damage(at + 1, _MISSING)
        except (SQLAlchemyError, UnicodeError) as error:
            if batch == 1:
                damage = Damage(walk.at + 1, f"{_UNREADABLE}: {_said(error)}")
            else:
                damage = _walk(walk, min(at + batch, stop), 1, None)
        if progress is not None:
            progress(walk.at - at)
        if damage is not None:
            return damage
    return None


def _looked_up(walk: Walk, stop: int, *, whole: bool) -> Damage | None:
    """Look up what stands beside the whole log; return damage after its end where that cannot be read."""
    try:
        with _bearing(walk.conn):
            walk.names.twins = twins(walk.conn)
            if whole:
                walk.references.identified = identified(walk.conn, walk.at, stop)
    except (SQLAlchemyError, UnicodeError) as error:
        return Damage(stop + 1, f"{_UNREADABLE}: {_said(error)}")
    return None


def _bearing(conn: Connection) -> AbstractContextManager[Any]:
    """Bear an error in the block: on PostgreSQL nothing more could be read in its transaction."""
    return conn.begin_nested() if conn.dialect.name == "postgresql" else nullcontext()


def _said(error: Exception) -> object:
    return error.orig if isinstance(error, DBAPIError) else error


def _before(conn: Connection, start: int) -> tuple[Damage | None, bytes]:
    """Return the link before a range, or what is wrong there."""
    try:
        link = chain_at(conn, start)
    except CorruptLogError as error:
        return Damage(error.position, error.reason), b""
    return (Damage(start, _MISSING), b"") if link is None else (None, link)


def _range(end: int, first: int | None, last: int | None) -> tuple[int, int]:
    """Return the position before the range, and the last one in it that the log has."""
    begin = 1 if first is None else first
    if first is not None and not 1 <= first <= end:
        raise ArgumentError(name="first", value=str(first), allowed=f"a position of the log: 1 to {end}")
    if last is not None and last < begin:
        raise ArgumentError(name="last", value=str(last), allowed=f"a position from {begin} on")
    return begin - 1, end if last is None else min(last, end)


def _gone(conn: Connection, start: int) -> Damage | None:
    """Return damage where entries after a position may have left for an archive: they cannot be verified here."""
    (oldest,), (mark,) = (query(conn, f"SELECT {what}")[0] for what in (_OLDEST, _MARK))
    if mark is None or (oldest is not None and oldest <= start + 1) or mark <= start:
        return None
    gone = mark if oldest is None else oldest - 1
    return Damage(start + 1, f"entries {start + 1} to {gone} are not here: kf_archive_mark let them leave")


def _cut_off(conn: Connection, stop: int, last: int | None) -> Damage | None:
    """Return damage where the log should go on after its last entry."""
    pointer = beyond(conn, stop) if last is None else "" if last <= stop else f"position {last} was asked for"
    return Damage(stop + 1, f"{_MISSING}: {pointer}") if pointer else None


def _unanchored(anchor: Anchor | None, start: int, link: bytes) -> Damage | None:
    """Return damage where the link before the range is not the one that was anchored."""
    if anchor is None or anchor[0] != start or anchor[1] == link:
        return None
    return Damage(start, ANOTHER)


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
