"""Commitments of names and prefixes of streams, as far as whoever recomputes leaves has needed them."""

from collections.abc import Set as AbstractSet
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.store import canonical as form
from kfstate.store.dialect import query_in
from kfstate.store.names import CUSTOMER, SERVICER, fold_name
from kfstate.store.rows import EntryRow, Stream
from kfstate.store.twins import NONE, Twins

__all__ = ["Commitments"]


@attrs.define
class Commitments:
    """What the leaves of entries need beside their rows."""

    conn: Connection
    commitments: dict[int | None, bytes | None] = attrs.field(factory=lambda: {None: None})
    """Name → commitment; no name has none."""
    prefixes: dict[int, bytes] = attrs.field(factory=dict)
    """Stream → what all its entries begin with."""
    bad: dict[int, str] = attrs.field(factory=dict)
    """Name → what is wrong with it."""
    astray: dict[int, str] = attrs.field(factory=dict)
    """Stream → what is wrong with it, or with its names."""
    erased: set[int] = attrs.field(factory=set)
    """Names that were erased."""
    forgotten: set[int] = attrs.field(factory=set)
    """Streams whose customer was erased."""
    twins: Twins = NONE
    """Names and streams that no entry may name."""

    @property
    def wrong(self) -> bool:
        """Whether there is a name or stream that may not be named."""
        return bool(self.bad or self.astray)

    def load(self, ids: AbstractSet[int], servicers: AbstractSet[int]) -> None:
        """Read what entries of these streams that name these servicers need, and was not read before."""
        streams = self._load_streams(ids - self.prefixes.keys())
        names = servicers - {0} | {id_ for stream in streams for id_ in (stream.customer, stream.servicer) if id_}
        kinds = self._load_names(names - self.commitments.keys())
        for id_ in servicers & kinds.keys():
            self._expect(id_, kinds[id_][0] == SERVICER)
        for stream in streams:
            people = (stream.customer, CUSTOMER), (stream.servicer, SERVICER)
            for name, kind in people:
                self._expect(name, kinds.get(name, (kind, stream.corp_id)) == (kind, stream.corp_id))
            wrong = [self.bad[name] for name, _ in people if name in self.bad]
            if wrong:
                self.astray[stream.id] = wrong[0]
                continue
            if stream.customer in self.erased:
                self.forgotten.add(stream.id)
            self.prefixes[stream.id] = form.stream_prefix(
                *stream[1:4], self.commitments.get(stream.customer), self.commitments.get(stream.servicer)
            )

    def _load_streams(self, ids: AbstractSet[int]) -> list[Stream]:
        streams: list[Stream] = []
        sql = "SELECT id, corp_id, kind, open_kfid, customer, servicer FROM kf_stream WHERE id IN (??)"
        for row in query_in(self.conn, sql, sorted(ids)):
            if list(map(type, row)) != [int, str, str, str, int, int]:
                self.astray[row[0]] = f"stream {row[0]} holds what no column can hold"
            elif row[0] in self.twins.streams:
                self.astray[row[0]] = self.twins.streams[row[0]]
            else:
                streams.append(Stream._make(row))
        return streams

    def _expect(self, name: int, its: bool) -> None:  # noqa: FBT001 (what is expected of it)
        if not its:
            self.bad.setdefault(name, f"name {name} is of another kind, or of another corporation")

    def _load_names(self, ids: AbstractSet[int]) -> dict[int, tuple[str, str]]:
        """Read names, and return kind and corporation of each."""
        kinds: dict[int, tuple[str, str]] = {}
        sql = "SELECT id, corp_id, kind, salt, value, folded, commitment FROM kf_name WHERE id IN (??)"
        # All of them, before anything is kept: what cannot be read is read again, one by one.
        for id_, corp_id, kind, salt, value, folded, commitment in list(query_in(self.conn, sql, sorted(ids))):
            kinds[id_] = kind, corp_id
            self.commitments[id_] = commitment
            if type(commitment) is not bytes or len(commitment) != form.DIGEST_BYTES:
                self.bad[id_] = f"name {id_} has no commitment of {form.DIGEST_BYTES} bytes"
            elif id_ in self.twins.names:
                self.bad[id_] = self.twins.names[id_]
            elif salt is value is folded is None:
                self.erased.add(id_)
            elif salt is None or value is None or folded is None:
                self.bad[id_] = f"name {id_} is erased in part only"
            elif not _kept(kind, salt, value, folded, commitment):
                self.bad[id_] = f"name {id_} is not what was committed to"
        for id_ in ids - self.commitments.keys():
            self.bad[id_] = f"name {id_} is missing"
        return kinds

    def complaint(self, row: EntryRow) -> str:
        """Return what is wrong with the names of an entry, or ''."""
        if row.stream in self.astray:
            return self.astray[row.stream]
        if row.stream not in self.prefixes:
            return f"stream {row.stream} is missing"
        for name in (row.servicer_from, row.servicer_to):
            if name is not None and name in self.bad:
                return self.bad[name]
        return ""


def _kept(kind: str, salt: Any, value: Any, folded: Any, commitment: bytes) -> bool:
    """Tell whether a name is what was committed to, and found by what it is."""
    if type(value) is not str:
        return False
    return form.proves(salt, value.encode(), commitment) and folded == fold_name(kind, value)
