"""What a machine makes of the entries of one conversation: its steps and sessions, as the projections would have them.

Pure, beside the log: nothing here is written anywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import attrs
from sqlalchemy import Connection

from kfstate.errors import CorruptLogError
from kfstate.machine.compiled import Machine
from kfstate.machine.entry import Entry
from kfstate.machine.fold import Step, in_seconds, left_out
from kfstate.machine.state import SessionState
from kfstate.projections.conversations import new
from kfstate.projections.onto import expire_onto, fold_onto, parts
from kfstate.projections.sessions import Segment, Session
from kfstate.store.dialect import query_in
from kfstate.store.rows import Stream

__all__ = ["Told", "Turn", "ask_whole", "entries_of", "tell"]

_FOLDED = len(Entry._fields)
_ENTRIES = f"SELECT {', '.join(Entry._fields)}, version FROM kf_entry WHERE position <= ? AND stream IN (??)"


@attrs.frozen
class Turn:
    """From this second on another machine folds."""

    second: int
    machine: Machine


@attrs.frozen(slots=False)
class Told:
    """A conversation as one machine tells it; ``steps`` stand in the order of the fold."""

    steps: tuple[Step, ...]
    sessions: tuple[Session, ...]
    segments: tuple[Segment, ...]
    state: SessionState

    @cached_property
    def ids(self) -> Mapping[int, int]:
        """Number of a session → its id, the position of its opening entry."""
        return {session.number: session.session_id for session in self.sessions}

    def session_of(self, step: Step) -> int | None:
        """Return the id of the session that a step belongs to; None before the first."""
        return self.ids.get(step.session)


def tell(
    entries: Sequence[Entry], machine: Machine, *, stream: int = 0, now: int | None = None, turn: Turn | None = None
) -> Told:
    """Fold the entries of one conversation, given in any order.

    ``now`` (seconds) ends a session that is due by then. From ``turn`` on its machine folds, onto the state that the
    first one left.
    """
    held = new(Stream(stream, "", "conversation", "", 0, 0))
    skip, taken, folding = left_out(entries), list[Step](), machine
    for group in in_seconds(entries):
        if turn is not None and group[0].sort_second >= turn.second:
            folding = turn.machine
        taken += fold_onto(folding, held, group, skip)
    if now is not None:
        expire_onto(folding if turn is None or now < turn.second else turn.machine, held, now)
    sessions, segments = parts(held)
    return Told(steps=tuple(taken), sessions=sessions, segments=segments, state=held.state)


def entries_of(conn: Connection, streams: Iterable[int], until: int) -> dict[int, list[Entry]]:
    """Return stream → what the fold reads of its entries up to a position, in no order.

    Raises :class:`~kfstate.errors.CorruptLogError` where one is missing.
    """
    found: dict[int, list[Entry]] = {stream: [] for stream in streams}
    places: dict[int, list[tuple[int, int]]] = {stream: [] for stream in found}
    for row in query_in(conn, _ENTRIES, found, until):
        entry = tuple.__new__(Entry, row[:_FOLDED])
        found[entry.stream].append(entry)
        places[entry.stream].append((entry.position, row[_FOLDED]))
    for pairs in places.values():
        ask_whole(pairs)
    return found


def ask_whole(places: Sequence[tuple[int, int]]) -> None:
    """Raise :class:`~kfstate.errors.CorruptLogError` where these, positions and versions, are not all of a stream."""
    if len(places) != max((version for _, version in places), default=0):
        raise CorruptLogError(min(places)[0], "entries of its conversation are missing, or in the archive")
