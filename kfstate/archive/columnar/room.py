"""Arrays to work in, used again by the next fold of the same thread.

Fresh memory comes from the system page by page, which takes longer than what is done in it.
"""

import threading
from typing import Any

from kfstate.archive.arrow import np
from kfstate.archive.columnar.rules import Ints

__all__ = ["room"]

_KEPT = 1 << 20
"""Larger ones go back at once."""


class _Arrays(threading.local):
    def __init__(self) -> None:
        self.kept: dict[str, Ints] = {}


_arrays = _Arrays()


def room(name: str, size: int, dtype: Any = np.int64) -> Ints:
    """Return an array of that size with anything in it; it is in use until the next one of this name is asked for."""
    if size > _KEPT:
        return np.empty(size, dtype)
    kept = _arrays.kept.get(name)
    if kept is None or kept.size < size:
        kept = _arrays.kept[name] = np.empty(1 << max(size - 1, 0).bit_length(), dtype)
    return kept[:size]
