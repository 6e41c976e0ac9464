"""Dead letters: entries that a handler could not handle, kept until somebody has them handled again."""

import traceback
from collections.abc import Iterable
from typing import Any

import attrs
from sqlalchemy import ColumnElement, Connection, delete, select, update

from kfstate.errors import UnknownDeadLetterError
from kfstate.store.checkpoint import Checkpoint
from kfstate.store.tables import kf_dead_letter

__all__ = ["DEAD", "REQUEUED", "Failure", "bury", "failed_again", "forget", "letters", "requeue", "requeued", "settle"]

DEAD, REQUEUED = "dead", "requeued"
_letter = kf_dead_letter.c
_MESSAGE, _TRACE = 4_000, 16_000


@attrs.define
class Failure:
    """How often a handler failed on an entry since when, and how it failed last; times in microseconds."""

    error: Exception
    attempts: int
    first_at: int
    last_at: int

    def again(self, error: Exception, now: int) -> None:
        """Count another failure."""
        self.error, self.attempts, self.last_at = error, self.attempts + 1, now

    def told(self) -> dict[str, Any]:
        """Return the values that say what went wrong."""
        trace = "".join(traceback.format_exception(self.error))
        return {
            "error": _text(type(self.error).__name__)[:255].encode("ascii", "replace").decode(),
            "message": _text(str(self.error))[:_MESSAGE],
            "traceback": _text(trace[-_TRACE:]),
        }


def _text(text: str) -> str:
    """Return what every database takes: no NUL, no half characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode()


def _at(name: str, position: int) -> ColumnElement[bool]:
    return (_letter.name == name) & (_letter.position == position)


def bury(conn: Connection, name: str, at: Checkpoint, failure: Failure) -> None:
    """Keep an entry that could not be handled, in the transaction that moves the checkpoint past it."""
    conn.execute(delete(kf_dead_letter).where(_at(name, at.position)))
    row = {
        "name": name, "position": at.position, "chain": bytes.fromhex(at.chain), "status": DEAD,
        "attempts": failure.attempts, "first_at": failure.first_at, "last_at": failure.last_at,
    } | failure.told()  # fmt: skip
    conn.execute(kf_dead_letter.insert().values(row))


def requeued(conn: Connection, name: str, limit: int) -> list[Any]:
    """Return the dead letters that are to be handled again, first position first."""
    where = (_letter.name == name) & (_letter.status == REQUEUED)
    return list(conn.execute(select(kf_dead_letter).where(where).order_by(_letter.position).limit(limit)))


def settle(conn: Connection, name: str, position: int) -> bool:
    """Remove a dead letter that is being handled again; tell whether it was there, and still to be handled."""
    where = _at(name, position) & (_letter.status == REQUEUED)
    return conn.execute(delete(kf_dead_letter).where(where)).rowcount == 1


def failed_again(conn: Connection, row: Any, failure: Failure) -> None:
    """Note that a dead letter could not be handled this time either."""
    values = {"status": DEAD, "attempts": row.attempts + failure.attempts, "last_at": failure.last_at}
    conn.execute(update(kf_dead_letter).where(_at(row.name, row.position)).values(values | failure.told()))


def requeue(conn: Connection, id_: str) -> str:
    """Have a dead letter handled again; return the name of its subscription.

    Raises :class:`~kfstate.errors.UnknownDeadLetterError`.
    """
    name, _, position = id_.rpartition(":")
    if not (position.isascii() and position.isdigit() and len(position) < 20):
        raise UnknownDeadLetterError(id=id_)
    marked = conn.execute(update(kf_dead_letter).where(_at(name, int(position))).values(status=REQUEUED))
    if marked.rowcount != 1:
        raise UnknownDeadLetterError(id=id_)
    return name


def forget(conn: Connection, name: str) -> None:
    """Remove every dead letter of a subscription."""
    conn.execute(delete(kf_dead_letter).where(_letter.name == name))


def letters(conn: Connection, name: str | None, after: tuple[str, int] | None, limit: int) -> Iterable[Any]:
    """Return dead letters by name and position."""
    chosen = select(kf_dead_letter).order_by(_letter.name, _letter.position).limit(limit)
    if name is not None:
        chosen = chosen.where(_letter.name == name)
    if after is not None:
        further = (_letter.name == after[0]) & (_letter.position > after[1])
        chosen = chosen.where((_letter.name > after[0]) | further)
    return list(conn.execute(chosen))
