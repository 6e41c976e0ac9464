"""What of a gather can be stored, worked out in memory before anything is written.

Several callers' appends share one transaction. They are looked at in the order of the queue, each against the log and
what those before it will have changed; one that cannot be stored is left out, and changes nothing for the others.
"""

from collections.abc import Mapping, Sequence

import attrs

from kfstate.errors import ArgumentError, CursorConflictError, EnvelopeError, KfstateError, VersionConflictError
from kfstate.store.causes import Causes
from kfstate.store.cursor import Cursor, Move, Pull, moved_by
from kfstate.store.identity import Fresh, Identities, repeated
from kfstate.store.rows import Draft, Expected, StreamKey
from kfstate.store.streams import Streams, same

__all__ = ["Part", "Plan", "Planned", "check_expected"]

_Identity = tuple[int, bytes]
_Seen = tuple[tuple[bytes | None, int], ...]


@attrs.frozen(kw_only=True)
class Part:
    """What one caller wants appended: all of it or nothing.

    ``pull`` is the ``kf_pull`` id of the drafts, or one for each; ``pulls`` are stored with the part, and ``pulled``
    then says for each draft which of them it came in. ``expected`` are versions that the caller decided on, ``move``
    is where a cursor goes. A ``lenient`` part loses only the own entries that cannot be stored.
    """

    drafts: Sequence[Draft]
    pull: int | Sequence[int | None] | None = None
    pulls: Sequence[Pull] = ()
    pulled: Sequence[int | None] = ()
    expected: Mapping[StreamKey, Expected] = attrs.Factory(dict)
    move: Move | None = None
    lenient: bool = False


@attrs.define
class Planned:
    """What becomes of a part. ``fresh`` counts from the part's first draft."""

    fresh: Sequence[Fresh] = ()
    repeats: dict[int, int] = attrs.Factory(dict)
    refused: dict[int, EnvelopeError] = attrs.Factory(dict)
    error: KfstateError | None = None
    """Why nothing of it is stored."""


@attrs.define
class Plan:
    """The log as it will be after the parts that were taken so far."""

    head: int
    known: Identities
    streams: Streams
    causes: Causes | None
    cursors: dict[tuple[str, str], Cursor]
    fresh: list[Fresh] = attrs.Factory(list)
    """What is stored, in order, with the index inside its part."""
    moved: dict[tuple[str, str], Cursor] = attrs.Factory(dict)
    _added: dict[StreamKey, int] = attrs.Factory(dict)
    """How many entries streams get, for those of which somebody expects a version."""
    _watched: bool = False

    def watch(self, parts: Sequence[Part]) -> None:
        """Count the entries of streams if a part expects a version."""
        self._watched = any(part.expected for part in parts)

    def take(self, part: Part) -> Planned:
        """Return what becomes of the next part."""
        start = len(self.fresh)
        planned, undo = Planned(), dict[_Identity, _Seen | None]()
        try:
            cursor = self._cursor(part.move) if part.move is not None else None
            self._settle(part, planned, undo)
            for key, wanted in part.expected.items():
                self._expect(key, wanted, self.fresh[start:])
        except (CursorConflictError, EnvelopeError, VersionConflictError) as error:
            del self.fresh[start:]
            for identity, seen in undo.items():
                if seen is None:
                    del self.known[identity]
                else:
                    self.known[identity] = seen
            return Planned(error=error)
        if cursor is not None:
            self.moved[cursor.corp_id, cursor.open_kfid] = cursor
        planned.fresh = self.fresh[start:]
        if self._watched:
            for _, _, draft, _ in planned.fresh:
                key = same(draft.stream)
                self._added[key] = self._added.get(key, 0) + 1
        return planned

    def _cursor(self, move: Move) -> Cursor:
        key = move.corp_id, move.open_kfid
        return moved_by(move, self.moved.get(key) or self.cursors.get(key))

    def _settle(self, part: Part, planned: Planned, undo: dict[_Identity, _Seen | None]) -> None:
        known, fresh, causes = self.known, self.fresh, self.causes
        position = self.head + len(fresh)
        for index, draft in enumerate(part.drafts):
            identity = (draft.day, draft.key)
            seen = known.get(identity) if draft.key else None
            if seen is not None and (first := repeated(draft, seen)):
                planned.repeats[index] = first
                continue
            if draft.own and causes is not None:
                try:
                    causes.check(draft, self.streams.at(draft.stream), fresh)
                except EnvelopeError as error:
                    error.index = index
                    if not part.lenient:
                        raise
                    planned.refused[index] = error
                    continue
            position += 1
            earlier: tuple[int, ...] = ()
            if draft.key:
                undo.setdefault(identity, seen)
                if seen is None:
                    known[identity] = ((draft.content, position),)
                else:
                    earlier = tuple(place for _, place in seen)
                    known[identity] = (*seen, (draft.content, position))
            fresh.append((index, position, draft, earlier))

    def _expect(self, key: StreamKey, wanted: Expected, fresh: Sequence[Fresh]) -> None:
        """Check the version of a stream, if it gets an entry: a repeated one is answered whatever the version is."""
        plain = same(key)
        if wanted == "any" or not any(same(draft.stream) == plain for _, _, draft, _ in fresh):
            return
        stream = self.streams.at(key)
        current = (stream.version if stream is not None else 0) + self._added.get(plain, 0)
        holds = (current > 0) == (wanted == "exists") if isinstance(wanted, str) else current == wanted
        if not holds:
            raise VersionConflictError(stream=key.label(), expected=str(wanted), current=current)


def check_expected(wanted: object) -> None:
    """Refuse what is no expectation of a version; raises :class:`~kfstate.errors.ArgumentError`."""
    if wanted in ("any", "new", "exists") or (type(wanted) is int and wanted >= 0):
        return
    raise ArgumentError(name="expected", value=repr(wanted), allowed="any, new, exists, or a version from 0")
