"""A checker for histories of appends and reads: the order that the reads show, and cycles that no serial order has.

After Elle (Kingsbury and Alvaro, VLDB 2020). Each key holds a list; a transaction appends unique values to keys, or
reads whole lists. What was read gives the order of the values, that order gives which transaction comes before which,
and real time gives some more. A cycle among these is a proof that no serial order exists.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import attrs

__all__ = ["Transaction", "anomalies"]


@attrs.frozen(kw_only=True)
class Transaction:
    """One transaction of a history: when it was asked for and answered, what it appended, what it read.

    ``committed`` None: nobody knows (its answer never came).
    """

    id: int
    began: float
    ended: float
    appended: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    read: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    committed: bool | None = True


def anomalies(history: Sequence[Transaction]) -> list[str]:
    """Return what no serial order in real time could have shown, in words; nothing where all is well."""
    writer = {(key, value): done for done in history for key, values in done.appended.items() for value in values}
    orders, found = _orders(history)
    found += _reads(history, writer)
    if found:
        return found
    found += _lost(history, orders)
    graph: dict[int, set[int]] = {done.id: set() for done in history}
    for before, after in (*_dependencies(history, writer, orders), *_real_time(history)):
        if before != after:
            graph[after].add(before)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"cycle: {' → '.join(map(str, error.args[1]))}")
    return found


def _orders(history: Sequence[Transaction]) -> tuple[dict[str, Sequence[str]], list[str]]:
    """Return the longest list that was read of each key, of which every other one must be the beginning."""
    orders: dict[str, Sequence[str]] = {}
    for done in history:
        for key, values in done.read.items():
            if len(values) > len(orders.get(key, ())):
                orders[key] = values
    found = [
        f"transaction {done.id} read {key} in another order: {list(values)}, not the beginning of {list(orders[key])}"
        for done in history
        for key, values in done.read.items()
        if values and list(values) != list(orders[key][: len(values)])
    ]
    found += [f"{key} holds a value twice" for key, values in orders.items() if len(set(values)) < len(values)]
    return orders, found


def _reads(history: Sequence[Transaction], writer: Mapping[tuple[str, str], Transaction]) -> list[str]:
    """Return reads of what nobody wrote, of what was rolled back, and of half a transaction."""
    found = []
    for done in history:
        for key, values in done.read.items():
            for value in values:
                by = writer.get((key, value))
                if by is None:
                    found.append(f"transaction {done.id} read {value} of {key}, which nobody appended")
                elif by.committed is False:
                    found.append(f"transaction {done.id} read {value} of {key}, which was rolled back")
                elif not set(by.appended[key]) <= set(values):
                    found.append(f"transaction {done.id} read a part of transaction {by.id} in {key}")
    return found


def _lost(history: Sequence[Transaction], orders: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what was committed before the longest read of its key began, and is not in it."""
    latest: dict[str, float] = defaultdict(lambda: float("-inf"))
    for done in history:
        for key, values in done.read.items():
            if list(values) == list(orders.get(key, ())):
                latest[key] = max(latest[key], done.began)
    return [
        f"{value} of {key} was committed by transaction {done.id} and is lost"
        for done in history
        if done.committed
        for key, values in done.appended.items()
        for value in values
        if done.ended < latest[key] and value not in orders.get(key, ())
    ]


def _dependencies(
    history: Sequence[Transaction], writer: Mapping[tuple[str, str], Transaction], orders: Mapping[str, Sequence[str]]
) -> Iterator[tuple[int, int]]:
    for key, order in orders.items():
        for value, after in itertools.pairwise(order):
            yield writer[key, value].id, writer[key, after].id
    for done in history:
        for key, values in done.read.items():
            if values:
                yield writer[key, values[-1]].id, done.id
            order = orders.get(key, ())
            if len(values) < len(order):
                yield done.id, writer[key, order[len(values)]].id


def _real_time(history: Sequence[Transaction]) -> Iterator[tuple[int, int]]:
    """Yield who ended before whom began; only from the last ones that did, because the rest follows from those."""
    ended = sorted((done for done in history if done.committed), key=lambda done: done.ended)
    for done in history:
        before = [other for other in ended if other.ended < done.began]
        if before:
            newest = max(other.began for other in before)
            for other in before:
                if other.ended >= newest:
                    yield other.id, done.id
