"""What was cleared in an archive since it was imported is cleared in the database that it was imported into (P9)."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from kfstate.archive.pieces import Piece
from kfstate.audit.people.holding import keeper
from kfstate.audit.people.naming import finder
from kfstate.store.clearing import Clearable, Cleared, clear_name, clear_payloads, clear_traces
from kfstate.store.dialect import as_text, query_in

__all__ = ["clear"]

_SAID = (
    "SELECT s.corp_id, e.position, e.kind, s.open_kfid, s.customer FROM kf_entry e "
    "JOIN kf_stream s ON s.id = e.stream JOIN kf_payload p ON p.position = e.position "
    "WHERE p.body IS NOT NULL AND e.position IN (??)"
)
_NAMES = "SELECT corp_id, id, value FROM kf_name WHERE value IS NOT NULL AND id IN (??)"


def clear(conn: Connection, piece: Piece, *, now: int) -> Cleared:
    """Clear the names and payloads that a piece has no more, and return how much; seal what a hold keeps.

    What the database does not have is left out. ``now`` is in microseconds.
    """
    payloads = _by_corp(query_in(conn, _SAID, [row[0] for row in piece.payloads if row[2] is None]))
    names = _by_corp(query_in(conn, _NAMES, [row[0] for row in piece.names if row[4] is None]))
    done = Cleared()
    for corp_id in sorted(payloads.keys() | names.keys()):
        keeps = keeper(conn, now=now, corp_id=corp_id)
        gone = [Clearable(at, kind, as_text(open_kfid), who) for at, kind, open_kfid, who in payloads.get(corp_id, ())]
        named = finder(as_text(value) for _, value in names.get(corp_id, ()))
        done += clear_payloads(conn, gone, corp_id=corp_id, keeps=keeps, now=now)
        clear_traces(conn, [one.position for one in gone], named)
        for number, _ in names.get(corp_id, ()):
            clear_name(conn, number, corp_id=corp_id, keeps=keeps, now=now)
    return done


def _by_corp(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for corp_id, *rest in rows:
        found.setdefault(as_text(corp_id), []).append(tuple(rest))
    return found
