"""The access log: who looked at what, when, and what came of it.

It names customers by the number of their row in ``kf_name``: who is erased is not named in it either.
"""

import os
from collections.abc import Callable
from datetime import datetime

import attrs
from sqlalchemy import Connection

from kfstate.errors import ArgumentError
from kfstate.queries.views import at_time
from kfstate.store.dialect import bulk_insert, query
from kfstate.store.facts import sought
from kfstate.store.names import CUSTOMER
from kfstate.store.read import find_name, names_by_id
from kfstate.store.tables import kf_access

__all__ = ["Access", "accesses", "customer_of", "note"]

_COLUMNS = "accessed_at, actor, action, open_kfid, customer, detail, result"
_ACTION, _ACTOR, _ID = 40, 128, 16


@attrs.frozen
class Access:
    """One look at what the log knows of people."""

    accessed_at: datetime | None
    actor: str
    action: str
    """``show``, ``history``, ``explain``, ``export``, ``list``, ``erase``, ``verify``, …, or a service's own word."""
    open_kfid: str
    external_userid: str | None
    """None: nobody's in particular, or somebody's who was erased since."""
    customer: int | None
    """Number of the customer's row in ``kf_name``."""
    detail: str
    result: str


def note(
    conn: Connection,
    action: str,
    *,
    actor: str,
    now: int,
    corp_id: str,
    open_kfid: str = "",
    customer: int = 0,
    detail: str = "",
    result: str = "ok",
    entropy: Callable[[int], bytes] = os.urandom,
) -> None:
    """Write one access, in this transaction.

    Raises :class:`~kfstate.errors.ArgumentError`.
    """
    if not actor.strip() or len(actor) > _ACTOR:
        raise ArgumentError(name="actor", value=repr(actor)[:200], allowed=f"who looks, in at most {_ACTOR} characters")
    if not action or len(action) > _ACTION:
        raise ArgumentError(name="action", value=repr(action)[:200], allowed=f"a word of at most {_ACTION} characters")
    texts = [_text(text) for text in (actor, action, sought(open_kfid), detail, result)]
    row = (now, entropy(_ID), corp_id, *texts[:3], customer, *texts[3:])
    bulk_insert(conn, kf_access, [row])


def accesses(
    conn: Connection,
    *,
    corp_id: str,
    action: str | None = None,
    actor: str | None = None,
    customer: int | None = None,
    since: int = 0,
    limit: int = 1000,
) -> tuple[Access, ...]:
    """Return the accesses since a time (microseconds), in order."""
    where, values = ["corp_id = ?", "accessed_at >= ?"], list[object]([corp_id, since])
    for column, value in (("action", action), ("actor", actor), ("customer", customer)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    sql = f"SELECT {_COLUMNS} FROM kf_access WHERE {' AND '.join(where)} ORDER BY accessed_at, id LIMIT ?"
    rows = query(conn, sql, (*values, limit))
    names = names_by_id(conn, (row[4] for row in rows if row[4]))
    return tuple(
        Access(at_time(at), actor_, action_, open_kfid, names.get(customer_), customer_ or None, detail, result)
        for at, actor_, action_, open_kfid, customer_, detail, result in rows
    )


def customer_of(conn: Connection, external_userid: str, *, corp_id: str) -> int:
    """Return the number of a customer's row in ``kf_name``; 0: the log does not know him."""
    return (find_name(conn, corp_id, CUSTOMER, external_userid) or 0) if external_userid else 0


def _text(text: str) -> str:
    """Return what every database takes: no NUL, no half characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode()
