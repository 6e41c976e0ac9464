# ruff: noqa: S608 (the SQL is put together from constants)
"""Which drafts are new, and which repeat what the log holds already."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection

from kfstate.store.dialect import ask_in, bulk_insert
from kfstate.store.rows import Draft
from kfstate.store.tables import kf_identity

__all__ = ["Fresh", "Identities", "look_up", "repeated", "store"]

_FEW = 64
"""Up to so many keys one statement for all days is cheaper than one for each."""

Identities = dict[tuple[int, bytes], tuple[tuple[bytes | None, int], ...]]
"""(day, key) → (content digest, position) of every entry under that identity; digest None: erased."""


Fresh = tuple[int, int, Draft, tuple[int, ...]]
"""A draft to store: its place in the batch and in the log, itself, and the earlier entries of its msgid, which differ.

Plain tuples here and above: the garbage collector leaves them alone, and there are several per entry.
"""


def look_up(conn: Connection, drafts: Sequence[Draft]) -> Callable[[], Identities]:
    """Ask what the log knows under the identities of these drafts, and return what waits for it."""
    days: dict[int, set[bytes]] = {}
    for draft in drafts:
        if draft.key:
            days.setdefault(draft.day, set()).add(draft.key)
    groups: list[tuple[tuple[int, ...], set[bytes]]] = [((day,), keys) for day, keys in days.items()]
    if sum(len(keys) for _, keys in groups) <= _FEW:
        groups = [(tuple(days), set().union(*days.values()))] if days else []
    answers = [ask_in(conn, _known_on(len(among)), sorted(keys), *among) for among, keys in groups]
    return cache(lambda: _known(row for answer in answers for row in answer()))


def _known_on(days: int) -> str:
    return (
        "SELECT day, entry_key, content, position FROM kf_identity"
        f" WHERE day IN ({', '.join('?' * days)}) AND entry_key IN (??) ORDER BY position"
    )


def _known(rows: Iterable[tuple[Any, ...]]) -> Identities:
    known: Identities = {}
    for day, key, content, position in rows:
        identity = (day, bytes(key))
        earlier = known.get(identity, ())
        known[identity] = (*earlier, (None if content is None else bytes(content), position))
    return known


def repeated(draft: Draft, seen: tuple[tuple[bytes | None, int], ...]) -> int:
    """Return the position that a draft repeats among the entries of its identity, or 0."""
    if draft.own:
        return seen[0][1]
    for content, place in seen:
        # Erased: nobody can compare any more, so the msgid alone is the same (P9).
        if content is None or content == draft.content:
            return place
    return 0


def store(conn: Connection, fresh: Sequence[Fresh]) -> None:
    """Insert the identities of new entries, in the order of the clustered key."""
    rows = [(draft.day, draft.key, position, draft.content) for _, position, draft, _ in fresh if draft.key]
    rows.sort()
    bulk_insert(conn, kf_identity, rows)
