"""Commitments of names and prefixes of streams, as far as whoever recomputes leaves has needed them."""

from collections.abc import Set as AbstractSet

import attrs
from sqlalchemy import Connection

from kfstate.store import canonical as form
from kfstate.store.dialect import as_text, query_in
from kfstate.store.names import CUSTOMER, SERVICER, fold_name
from kfstate.store.read import streams_by_id
from kfstate.store.rows import EntryRow

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
    """Name, or minus stream → what is wrong with it."""
    erased: set[int] = attrs.field(factory=set)
    """Names that were erased."""
    forgotten: set[int] = attrs.field(factory=set)
    """Streams whose customer was erased."""

    def load(self, ids: AbstractSet[int], servicers: AbstractSet[int]) -> None:
        """Read what entries of these streams that name these servicers need, and was not read before."""
        streams = streams_by_id(self.conn, ids - self.prefixes.keys())
        names = servicers - {0} | {
            id_ for stream in streams.values() for id_ in (stream.customer, stream.servicer) if id_
        }
        kinds = self._load_names(names - self.commitments.keys())
        for id_ in servicers & kinds.keys():
            self._expect(id_, kinds[id_][0] == SERVICER)
        for id_, stream in streams.items():
            for name, kind in ((stream.customer, CUSTOMER), (stream.servicer, SERVICER)):
                self._expect(name, kinds.get(name, (kind, stream.corp_id)) == (kind, stream.corp_id))
            customer, servicer = self.commitments.get(stream.customer), self.commitments.get(stream.servicer)
            if stream.customer in self.erased:
                self.forgotten.add(id_)
            self.prefixes[id_] = form.stream_prefix(stream.corp_id, stream.kind, stream.open_kfid, customer, servicer)
            for name in (stream.customer, stream.servicer):
                if name in self.bad:
                    self.bad[-id_] = self.bad[name]

    def _expect(self, name: int, its: bool) -> None:  # noqa: FBT001 (what is expected of it)
        if not its:
            self.bad.setdefault(name, f"name {name} is of another kind, or of another corporation")

    def _load_names(self, ids: AbstractSet[int]) -> dict[int, tuple[str, str]]:
        """Read names, and return kind and corporation of each."""
        kinds: dict[int, tuple[str, str]] = {}
        sql = "SELECT id, corp_id, kind, salt, value, folded, commitment FROM kf_name WHERE id IN (??)"
        for id_, corp_id, kind, salt, value, folded, commitment in query_in(self.conn, sql, sorted(ids)):
            self.commitments[id_] = bytes(commitment)
            kinds[id_] = as_text(kind), as_text(corp_id)
            if salt is value is folded is None:
                self.erased.add(id_)
                continue
            if salt is None or value is None or folded is None:
                self.bad[id_] = f"name {id_} is erased in part only"
                continue
            text = as_text(value)
            kept = form.proves(salt, text.encode(), commitment)
            if not kept or as_text(folded) != fold_name(as_text(kind), text):
                self.bad[id_] = f"name {id_} is not what was committed to"
        for id_ in ids - self.commitments.keys():
            self.bad[id_] = f"name {id_} is missing"
        return kinds

    def complaint(self, row: EntryRow) -> str:
        """Return what is wrong with the names of an entry, or ''."""
        if row.stream not in self.prefixes:
            return f"stream {row.stream} is missing"
        for key in (-row.stream, row.servicer_from, row.servicer_to):
            if key is not None and key in self.bad:
                return self.bad[key]
        return ""
