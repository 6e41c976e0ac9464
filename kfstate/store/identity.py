"""Which drafts are new, and which repeat what the log holds already."""

from collections.abc import Sequence

from sqlalchemy import Connection

from kfstate.store.dialect import bulk_insert, query_in
from kfstate.store.rows import Draft
from kfstate.store.tables import kf_identity

__all__ = ["Fresh", "Identities", "look_up", "settle", "store"]

Identities = dict[tuple[int, bytes], tuple[tuple[bytes | None, int], ...]]
"""(day, key) → (content digest, position) of every entry under that identity; digest None: erased."""


Fresh = tuple[int, int, Draft, tuple[int, ...]]
"""A draft to store: its place in the batch and in the log, itself, and the earlier entries of its msgid, which differ.

Plain tuples here and above: the garbage collector leaves them alone, and there are several per entry.
"""


def look_up(conn: Connection, drafts: Sequence[Draft]) -> Identities:
    """Return what the log knows under the identities of these drafts."""
    days: dict[int, list[bytes]] = {}
    for draft in drafts:
        if draft.key:
            days.setdefault(draft.day, []).append(draft.key)
    known: Identities = {}
    for day, keys in days.items():
        sql = (
            "SELECT entry_key, content, position FROM kf_identity WHERE day = ? AND entry_key IN (??) ORDER BY position"
        )
        for key, content, position in query_in(conn, sql, sorted(set(keys)), day):
            identity = (day, bytes(key))
            earlier = known.get(identity, ())
            known[identity] = (*earlier, (None if content is None else bytes(content), position))
    return known


def settle(drafts: Sequence[Draft], known: Identities, head: int) -> tuple[list[Fresh], dict[int, int]]:
    """Return the drafts to store with their positions, and draft index → position of what the others repeat.

    ``known`` takes up the new ones, so that a batch that repeats itself is settled in the same way.
    """
    fresh: list[Fresh] = []
    repeats: dict[int, int] = {}
    position = head
    for index, draft in enumerate(drafts):
        earlier: tuple[int, ...] = ()
        if draft.key:
            identity = (draft.day, draft.key)
            seen = known.get(identity)
            if seen is None:
                known[identity] = ((draft.content, position + 1),)
            else:
                first = _repeated(draft, seen)
                if first:
                    repeats[index] = first
                    continue
                earlier = tuple(place for _, place in seen)
                known[identity] = (*seen, (draft.content, position + 1))
        position += 1
        fresh.append((index, position, draft, earlier))
    return fresh, repeats


def _repeated(draft: Draft, seen: tuple[tuple[bytes | None, int], ...]) -> int:
    """Return the position that the draft repeats, or 0."""
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
