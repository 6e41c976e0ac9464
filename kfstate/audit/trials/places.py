"""Whose entries are looked at, and the first of them that is not alike in two places."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

import attrs
from sqlalchemy import Connection

from kfstate.audit.trials.changes import FoldedAs, Names, why
from kfstate.audit.trials.retelling import Told
from kfstate.store.dialect import as_text, query_in
from kfstate.store.read import names_by_id

__all__ = ["Divergence", "Whose", "names_of", "whose"]

Whose = tuple[str, str | None]
"""``open_kfid`` and ``external_userid`` (None: erased)."""

_WHOSE = (
    "SELECT s.id, s.open_kfid, n.value FROM kf_stream s LEFT JOIN kf_name n ON n.id = s.customer WHERE s.id IN (??)"
)


@attrs.frozen
class Divergence:
    """The first entry of a conversation, or of another stream, that two places do not have alike."""

    SHOWN: ClassVar = (
        "stream", "open_kfid", "external_userid", "what", "position", "at", "kind", "why", "before", "after", "fields",
    )  # fmt: skip

    open_kfid: str
    external_userid: str | None
    what: str
    """``step``: folded otherwise; ``missing``, ``extra``: the second place has no such entry or step, or only it does;
    ``entry``, ``payload``: that says something else; ``conversation``, ``session``, ``segment``: the steps are alike,
    and a row of that table is not; ``outside``: rows of a table that belong to no conversation."""
    position: int | None
    """In the first place, or where only the second has it, there."""
    at: datetime | None
    kind: str | None
    before: FoldedAs | None
    after: FoldedAs | None
    fields: dict[str, tuple[Any, Any]] = attrs.Factory(dict)
    """What differs → here and there."""
    stream: str = "conversation"
    """The kind of stream that the entry is in; '' of what is in none."""

    @property
    def why(self) -> str:
        """What is not alike, in one line."""
        return why(self.before, self.after, self.fields)


def whose(conn: Connection, streams: Iterable[int]) -> dict[int, Whose]:
    """Return stream → whose conversation it is."""
    found = query_in(conn, _WHOSE, sorted(streams))
    return {id_: (as_text(open_kfid), None if value is None else as_text(value)) for id_, open_kfid, value in found}


def names_of(conn: Connection, told: Iterable[Told], given: Mapping[int, str] | None = None) -> Names:
    """Return the names of all servicers that these conversations speak of; ``given`` are names that no log has.

    They are looked up when the first one is asked for.
    """
    return _Names(lambda: _looked_up(conn, told) | dict(given or {}))


class _Names(dict[Any, str | None]):
    def __init__(self, look_up: Callable[[], Mapping[Any, str | None]]) -> None:
        super().__init__()
        self._look_up = look_up

    def get(self, key: Any, default: Any = None) -> str | None:
        """Return a name."""
        if not self:
            self.update({None: None, **self._look_up()})
        return super().get(key, default)


def _looked_up(conn: Connection, told: Iterable[Told]) -> dict[Any, str | None]:
    ids: set[Any] = set()
    for one in told:
        for step in one.steps:
            entry = step.entry
            ids |= {entry.servicer_from, entry.servicer_to, step.servicer_before, step.folded[1]}
    return dict(names_by_id(conn, {id_ for id_ in ids if isinstance(id_, int) and id_ > 0}))
