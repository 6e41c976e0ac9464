"""The head of the log as it is published: position, chain, and the root of the tree over all leaves."""

from collections.abc import Iterator
from typing import Self

import attrs
from sqlalchemy import Connection

from kfstate.errors import ArgumentError, CorruptLogError
from kfstate.projections.folding import Progress
from kfstate.store.canonical import DIGEST_BYTES
from kfstate.store.checkpoint import chain_at
from kfstate.store.columns import bytes_at
from kfstate.store.dialect import query
from kfstate.store.head import read_head
from kfstate.store.merkle import Tree

__all__ = ["TreeHead", "chain_and_position", "head", "subtree"]

_LEAVES = "SELECT position, leaf FROM kf_entry WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
_PAGE = 16_384
_DIGEST = 32


@attrs.frozen
class TreeHead:
    """What stands for the whole log up to a position: to be published, and kept where the log is not."""

    position: int
    chain: str
    """The link of the entry there, in hex: what ``verify`` expects."""
    root: str
    """The root of the tree over the leaves of all entries up to there, in hex: what proofs lead to."""

    def __str__(self) -> str:
        """Return ``POSITION:CHAIN:ROOT``."""
        return f"{self.position}:{self.chain}:{self.root}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the head that ``str`` made a text of. Raises ValueError where the text is none."""
        position, *hashes = text.strip().split(":")
        whole = len(hashes) == 2 and all(len(_bytes(hash_)) == _DIGEST for hash_ in hashes)
        if not (whole and position.isascii() and position.isdigit()):
            message = f"no POSITION:CHAIN:ROOT: {text[:200]!r}"
            raise ValueError(message)
        return cls(int(position), hashes[0].lower(), hashes[1].lower())


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def chain_and_position(conn: Connection, position: int | None) -> tuple[int, bytes]:
    """Return a position of the log, by default that of its last entry, and the chain there.

    Raises :class:`~kfstate.errors.ArgumentError` where the log has no such position.
    """
    end = read_head(conn)
    if position is None or position == end.position:
        return end.position, end.chain
    chain = chain_at(conn, position)
    if chain is None or position > end.position:
        raise ArgumentError(name="position", value=str(position), allowed=f"0 to {end.position}")
    return position, chain


def head(conn: Connection, position: int | None = None, *, progress: Progress | None = None) -> TreeHead:
    """Return the head of the log as it was at a position, by default at its last entry; reads every leaf.

    Raises :class:`~kfstate.errors.ArgumentError` where the log has no such position, and
    :class:`~kfstate.errors.CorruptLogError` where an entry is missing.
    """
    at, chain = chain_and_position(conn, position)
    return TreeHead(at, chain.hex(), subtree(conn, 0, at, progress).hex())


def subtree(conn: Connection, first: int, end: int, progress: Progress | None = None) -> bytes:
    """Return the root over the leaves ``first`` up to ``end``, which are those of the entries ``first + 1``..``end``.

    Raises :class:`~kfstate.errors.CorruptLogError` where one of them is missing.
    """
    tree = Tree()
    for leaves in _leaves(conn, first, end):
        tree.extend(leaves)
        if progress is not None:
            progress(len(leaves))
    return tree.root()


def _leaves(conn: Connection, first: int, end: int) -> Iterator[list[bytes]]:
    at = first
    while at < end:
        rows = query(conn, _LEAVES, (at, end, _PAGE))
        if not rows or rows[-1][0] - at != len(rows):
            present = {position for position, _ in rows}
            gone = next(position for position in range(at + 1, end + 1) if position not in present)
            raise CorruptLogError(gone, "the entry is missing, or in the archive: a tree needs every leaf")
        yield [bytes_at(position, "leaf", leaf, DIGEST_BYTES) for position, leaf in rows]
        at = rows[-1][0]
