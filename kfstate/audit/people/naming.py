"""Whom a text names: customers by their whole ids, not by letters that happen to stand in a longer one."""

import re
from collections.abc import Callable, Iterable, Iterator
from string import punctuation

from sqlalchemy import Connection

from kfstate.errors import ArgumentError
from kfstate.store.dialect import query, query_in
from kfstate.store.facts import is_id
from kfstate.store.names import CUSTOMER

__all__ = ["Finder", "OwnWords", "finder", "refuse_naming"]

Finder = Callable[[bytes], frozenset[str]]
"""Returns which of some ids a text, or JSON, names."""
_INSIDE = rb"[A-Za-z0-9_-]"
# An escape of JSON ends in a letter, which is no part of what follows it.
_ESCAPE = re.compile(rb"\\(?:[bfnrt]|u(?!00[2-7])[0-9A-Fa-f]{4})\Z")
# What JSON may write instead of a character that an id can have.
_WRITTEN = re.compile(rb'\\(?:u00([2-7][0-9A-Fa-f])|(["\\/]))')
_ACCOUNT = "SELECT 1 FROM kf_stream WHERE corp_id = ? AND open_kfid = ? LIMIT 1"
_NOBODY: frozenset[str] = frozenset()
_DEEP = 3
"""How often JSON stands in a text of JSON, at most."""
_RUNS = [re.compile(run) for run in ("[!-~]+", "[A-Za-z0-9_-]+", "[A-Za-z0-9_]+", "[A-Za-z0-9-]+", "[A-Za-z0-9]+")]


class OwnWords(str):
    """Words that a program made, or a login: nobody wrote them of a customer, whatever the ids of customers are."""

    __slots__ = ()


def finder(ids: Iterable[str]) -> Finder:
    """Return what looks for these ids: with no character of an id on either side."""
    wanted = [re.escape(one.encode()) for one in sorted(ids, key=len, reverse=True)]
    if not wanted:
        return lambda _: _NOBODY
    # The left side is looked at apart: so the search skips to what all the ids begin with.
    pattern = re.compile(rb"(?:%s)(?!%s|\\u00[2-7])" % (b"|".join(wanted), _INSIDE))
    inside = re.compile(_INSIDE)

    def named(text: bytes) -> Iterator[str]:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - 6) : match.start()]
            if not inside.match(before[-1:]) or _ESCAPE.search(before):
                yield match[0].decode()

    def find(text: bytes) -> frozenset[str]:
        escaped = b"\\" in text
        if not escaped and pattern.search(text) is None:
            return _NOBODY
        found = set(named(text))
        for _ in range(_DEEP if escaped else 0):
            if _WRITTEN.search(text) is None:
                break
            text = _WRITTEN.sub(_meant, text)
            found.update(named(text))
        return frozenset(found)

    return find


def _meant(escape: re.Match[bytes]) -> bytes:
    """Return the character that an escape of JSON stands for."""
    return escape[2] or bytes([int(escape[1], 16)])


def refuse_naming(conn: Connection, *, corp_id: str, external_userid: str = "", **texts: str) -> None:
    """Refuse words that name a customer: they stay when he is erased. ``external_userid`` is sought in any place.

    :class:`OwnWords` are not looked at, nor is an ``open_kfid`` that the log knows. Raises
    :class:`~kfstate.errors.ArgumentError`.
    """
    for name, text in texts.items():
        if isinstance(text, OwnWords) or not (
            (external_userid and external_userid in text) or _known(conn, text, corp_id)
        ):
            continue
        if name == "open_kfid" and query(conn, _ACCOUNT, (corp_id, text)):
            continue
        allowed = "words without an external_userid: they stay when he is erased"
        raise ArgumentError(name=name, value="(not shown)", allowed=allowed)


def _known(conn: Connection, text: str, corp_id: str) -> bool:
    """Tell whether a text has the id of a customer whom the log knows."""
    words = {word for run in _RUNS for found in run.findall(text) for word in (found, found.strip(punctuation))}
    sql = "SELECT 1 FROM kf_name WHERE corp_id = ? AND kind = ? AND folded IN (??)"
    return any(query_in(conn, sql, sorted(filter(is_id, words)), corp_id, CUSTOMER))
