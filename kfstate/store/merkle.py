"""The tree over the leaves of the log (RFC 9162, section 2.1), and what proves several leaves of it at once.

``kf_entry.leaf`` is the hash that the RFC gives a leaf: SHA-256(0x00 ‖ what the entry is). An inner node is
SHA-256(0x01 ‖ left ‖ right). Entries 1..N are leaves 0..N-1. A subtree of 2**k leaves never changes once it is full.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Tree", "parts", "root_of"]

_sha256 = hashlib.sha256


class Tree:
    """A tree that grows by its leaves, and keeps only the roots of its full subtrees."""

    def __init__(self) -> None:
        self._left: list[bytes | None] = []

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Take further leaves."""
        nodes, level = list(leaves), 0
        while nodes:
            if level == len(self._left):
                self._left.append(None)
            waiting = self._left[level]
            if waiting is not None:
                nodes.insert(0, waiting)
            self._left[level] = nodes.pop() if len(nodes) % 2 else None
            pairs = iter(nodes)
            nodes = [_sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            level += 1

    def join(self, other: "Tree") -> None:
        """Take the leaves of a tree that are the next ones, which grew by itself.

        This one has a multiple of the least power of two that is not less than the number of those.
        """
        for level, node in reversed(list(enumerate(other._left))):  # noqa: SLF001 (of the same class)
            if node is not None:
                self._put(level, node)

    def _put(self, level: int, node: bytes) -> None:
        """Take the root of a full subtree of 2**level leaves."""
        while True:
            self._left += [None] * (level + 1 - len(self._left))
            waiting = self._left[level]
            if waiting is None:
                self._left[level] = node
                return
            self._left[level] = None
            level, node = level + 1, _node(waiting, node)

    def root(self) -> bytes:
        """Return the root over all leaves taken so far."""
        root: bytes | None = None
        for left in self._left:
            if left is not None:
                root = left if root is None else _node(left, root)
        return _sha256(b"").digest() if root is None else root


def parts(size: int, leaves: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the largest subtrees without any of these leaves (sorted), and the leaves, as (first, end), from the left.

    The roots of the subtrees are what is needed, beside the leaves, to compute the root of a tree of this size.
    """
    yield from _parts(0, size, leaves)


def root_of(size: int, leaves: Mapping[int, bytes], nodes: Iterable[bytes]) -> bytes:
    """Return the root that these leaves lead to, with the roots of the subtrees between them.

    Raises ValueError where there is a node too few or too many.
    """
    further = iter(nodes)
    places = sorted(leaves)

    def root(first: int, end: int) -> bytes:
        if not _any(first, end, places):
            return next(further)
        if end - first == 1:
            return leaves[first]
        middle = _middle(first, end)
        return _node(root(first, middle), root(middle, end))

    if not places or places[0] < 0 or places[-1] >= size:
        raise ValueError("no leaf, or one outside of the tree")
    try:
        found = root(0, size)
    except StopIteration:
        raise ValueError("a node is missing") from None
    if next(further, None) is not None:
        raise ValueError("there is a node too many")
    return found


def _parts(first: int, end: int, leaves: Sequence[int]) -> Iterator[tuple[int, int]]:
    if end - first == 1 or not _any(first, end, leaves):
        yield first, end
        return
    middle = _middle(first, end)
    yield from _parts(first, middle, leaves)
    yield from _parts(middle, end, leaves)


def _any(first: int, end: int, leaves: Sequence[int]) -> bool:
    at = bisect_left(leaves, first)
    return at < len(leaves) and leaves[at] < end


def _middle(first: int, end: int) -> int:
    """Return where the right half begins: behind the greatest power of two that is less than the number of leaves."""
    return first + (1 << ((end - first - 1).bit_length() - 1))


def _node(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\x01" + left + right).digest()
