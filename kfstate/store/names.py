"""Customers and servicers: each id once, apart from the log, so that it can be forgotten."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sqlalchemy import Connection

from kfstate.store.canonical import SALT_BYTES, commit
from kfstate.store.dialect import as_text, bulk_insert, query, query_in
from kfstate.store.tables import kf_name

__all__ = ["CUSTOMER", "SERVICER", "Name", "fold_name", "resolve"]

CUSTOMER = "customer"
SERVICER = "servicer"


class Name(NamedTuple):
    """A row of ``kf_name`` as the append needs it."""

    id: int
    commitment: bytes


def fold_name(kind: str, value: str) -> str:
    """Return what tells names apart: WeCom ignores the case of servicer ids, and only of those."""
    return value.casefold() if kind == SERVICER else value


def resolve(
    conn: Connection, corp_id: str, kind: str, values: Iterable[str], *, entropy: Callable[[int], bytes]
) -> dict[str, Name]:
    """Return value → name, creating the names that are not there. The first spelling of a servicer is kept."""
    spelled = dict.fromkeys(value for value in values if value)
    if not spelled:
        return {}
    folded = {fold_name(kind, value): value for value in reversed(spelled)}
    sql = "SELECT id, folded, commitment FROM kf_name WHERE corp_id = ? AND kind = ? AND folded IN (??)"
    found = {
        as_text(text): Name(id_, bytes(commitment))
        for id_, text, commitment in query_in(conn, sql, folded, corp_id, kind)
    }
    missing = [text for text in reversed(folded) if text not in found]
    if missing:
        found.update(_create(conn, corp_id, kind, [(text, folded[text]) for text in missing], entropy))
    return {value: found[fold_name(kind, value)] for value in spelled}


def _create(
    conn: Connection, corp_id: str, kind: str, names: list[tuple[str, str]], entropy: Callable[[int], bytes]
) -> dict[str, Name]:
    last = query(conn, "SELECT COALESCE(MAX(id), 0) FROM kf_name")[0][0]
    salts = entropy(SALT_BYTES * len(names))
    created: dict[str, Name] = {}
    rows = []
    for number, (text, value) in enumerate(names):
        salt = salts[number * SALT_BYTES : (number + 1) * SALT_BYTES]
        name = Name(last + number + 1, commit(salt, value.encode()))
        created[text] = name
        rows.append((name.id, corp_id, kind, salt, value, text, name.commitment))
    bulk_insert(conn, kf_name, rows)
    return created
