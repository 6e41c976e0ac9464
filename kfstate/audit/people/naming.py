"""Whom a text names: customers by their whole ids, not by letters that happen to stand in a longer one."""

import re
from collections.abc import Callable, Iterable
from string import punctuation

from sqlalchemy import Connection

from kfstate.errors import ArgumentError
from kfstate.store.dialect import query_in
from kfstate.store.facts import is_id
from kfstate.store.names import CUSTOMER

__all__ = ["Finder", "finder", "refuse_naming"]

Finder = Callable[[bytes], str | None]
"""Returns the first of some ids that a text, or JSON, names; None: it names none of them."""
_INSIDE = rb"[A-Za-z0-9_-]"
# An escape of JSON ends in a letter, which is no part of what follows it.
_ESCAPE = re.compile(rb"\\(?:[bfnrt]|u[0-9A-Fa-f]{4})\Z")
_RUNS = [re.compile(run) for run in ("[!-~]+", "[A-Za-z0-9_-]+", "[A-Za-z0-9_]+", "[A-Za-z0-9-]+", "[A-Za-z0-9]+")]


def finder(ids: Iterable[str]) -> Finder:
    """Return what looks for these ids: with no character of an id on either side."""
    wanted = [re.escape(one.encode()) for one in ids]
    if not wanted:
        return lambda _: None
    # The left side is looked at apart: so the search skips to what all the ids begin with.
    pattern = re.compile(rb"(?:%s)(?!%s)" % (b"|".join(wanted), _INSIDE))
    inside = re.compile(_INSIDE)

    def find(text: bytes) -> str | None:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - 6) : match.start()]
            if not inside.match(before[-1:]) or _ESCAPE.search(before):
                return match[0].decode()
        return None

    return find


def refuse_naming(conn: Connection, *, corp_id: str, external_userid: str = "", **texts: str) -> None:
    """Refuse words that name a customer: they stay when he is erased. ``external_userid`` is sought in any place.

    Raises :class:`~kfstate.errors.ArgumentError`.
    """
    for name, text in texts.items():
        if (external_userid and external_userid in text) or _known(conn, text, corp_id):
            allowed = "words without an external_userid: they stay when he is erased"
            raise ArgumentError(name=name, value="(not shown)", allowed=allowed)


def _known(conn: Connection, text: str, corp_id: str) -> bool:
    """Tell whether a text has the id of a customer whom the log knows."""
    words = {word for run in _RUNS for found in run.findall(text) for word in (found, found.strip(punctuation))}
    sql = "SELECT 1 FROM kf_name WHERE corp_id = ? AND kind = ? AND folded IN (??)"
    return any(query_in(conn, sql, sorted(filter(is_id, words)), corp_id, CUSTOMER))
