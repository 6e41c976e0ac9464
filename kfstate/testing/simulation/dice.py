"""Seeded chance that gives the same numbers on every machine and every Python.

Python promises that ``random()`` keeps its sequence for a seed; it promises nothing for ``choice``, ``shuffle`` or
``randrange``, so everything here is made from ``random()`` alone.
"""

import bisect
import itertools
import random
from collections.abc import Callable, MutableSequence, Sequence
from typing import Generic, TypeVar

__all__ = ["Chance", "Weighted", "chance", "pick", "shuffle"]

T = TypeVar("T")

Chance = Callable[[], float]
"""Returns the next number of the sequence, from 0 up to but not 1."""


def chance(seed: int | str, purpose: str) -> Chance:
    """Return the sequence of ``seed`` for one ``purpose``; other purposes have their own, independent ones."""
    return random.Random(f"{seed}/{purpose}").random


def pick(rand: Chance, items: Sequence[T]) -> T:
    """Return one of ``items``."""
    return items[int(rand() * len(items))]


def shuffle(rand: Chance, items: MutableSequence[T]) -> None:
    """Bring ``items`` into a random order, in place."""
    for last in range(len(items) - 1, 0, -1):
        other = int(rand() * (last + 1))
        items[last], items[other] = items[other], items[last]


class Weighted(Generic[T]):
    """Things to draw from, each with a weight."""

    __slots__ = ("_limits", "_things", "_total")

    def __init__(self, *weights: tuple[float, T]) -> None:
        """Take pairs of a weight and a thing."""
        self._limits = list(itertools.accumulate(weight for weight, _ in weights))
        self._things = [thing for _, thing in weights]
        self._total = self._limits[-1]

    def draw(self, rand: Chance) -> T:
        """Return one thing."""
        return self._things[bisect.bisect(self._limits, rand() * self._total)]
