"""What would have been: a branch of history beside the log, with other entries or another machine from some time on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import msgspec
from sqlalchemy import Connection

from kfstate.audit.trials.changes import SessionChange
from kfstate.audit.trials.gate import label
from kfstate.audit.trials.kpis import Kpis
from kfstate.audit.trials.places import Whose
from kfstate.audit.trials.replaying import Replay, definition_of
from kfstate.audit.trials.spreading import Part, Spreading, conversations, scope, spread
from kfstate.clock import SECOND
from kfstate.errors import EnvelopeError
from kfstate.machine.compiled import Machine
from kfstate.machine.entry import Entry
from kfstate.projections.building import Site
from kfstate.store.envelope import OwnEntry, draft_own, from_json
from kfstate.store.facts import draft_elements
from kfstate.store.head import read_head
from kfstate.store.names import SERVICER, fold_name
from kfstate.store.read import find_name, find_stream
from kfstate.store.rows import Draft, StreamKey

__all__ = ["Injected", "WhatIf", "what_if"]

_AHEAD = 86_400 * SECOND
Injected = OwnEntry | Mapping[str, Any]
"""An own entry, its envelope, or an element of a ``sync_msg`` page."""


@attrs.frozen
class WhatIf:
    """What a branch of history tells otherwise than the log does. The log has nothing of it."""

    machine_before: str
    machine_after: str
    known_at: int
    """The last position of the log that the branch has; injected entries have the positions after it."""
    injected: int
    conversations: int
    """Those that were told: of all of them, or those that were chosen."""
    entries: int
    changed: tuple[SessionChange, ...]
    before: Kpis
    after: Kpis


@attrs.define
class _Branch:
    """Entries that no log has, placed after its last one."""

    conn: Connection
    corp_id: str
    position: int
    recorded: int
    """When they would have been stored, microseconds."""
    entries: dict[int, list[Entry]] = attrs.Factory(dict)
    strangers: dict[int, Whose] = attrs.Factory(dict)
    named: dict[int, str] = attrs.Factory(dict)
    _streams: dict[StreamKey, int] = attrs.Factory(dict)
    _people: dict[str, int] = attrs.Factory(dict)

    def inject(self, draft: Draft) -> None:
        """Place one more entry."""
        self.position += 1
        stream = self._stream(draft.stream)
        occurred_at = draft.occurred_at or 0
        if not draft.own and occurred_at > self.recorded + _AHEAD:  # not believed, as when it is stored
            occurred_at = self.recorded
        self.entries.setdefault(stream, []).append(
            Entry(
                position=self.position,
                stream=stream,
                kind=draft.kind,
                sort_second=occurred_at // SECOND,
                tie=(occurred_at % SECOND) << 28 | draft.tie if draft.own else draft.tie,
                change_type=draft.change_type,
                service_state=draft.service_state,
                servicer_from=self._person(draft.servicer_from),
                servicer_to=self._person(draft.servicer_to),
                errcode=draft.errcode,
                menu_click=draft.menu_click,
                via=draft.via,
                target=draft.target,
                as_kind=draft.as_kind,
            )
        )

    def _stream(self, key: StreamKey) -> int:
        if key not in self._streams:
            found = find_stream(self.conn, key)
            self._streams[key] = stream = -len(self._streams) - 1 if found is None else found.id
            if found is None:
                self.strangers[stream] = (key.open_kfid, key.external_userid)
        return self._streams[key]

    def _person(self, name: str) -> int | None:
        folded = fold_name(SERVICER, name)
        if folded and folded not in self._people:
            known = find_name(self.conn, self.corp_id, SERVICER, name)
            self._people[folded] = -len(self._people) - 1 if known is None else known
            if known is None:
                self.named[self._people[folded]] = name
        return self._people[folded] if folded else None


def _drafts(entries: Iterable[Injected], *, now: int, corp_id: str) -> Iterable[Draft]:
    for number, entry in enumerate(entries):
        if isinstance(entry, OwnEntry) or "kind" in entry:
            try:
                own = entry if isinstance(entry, OwnEntry) else from_json(entry)
                draft = draft_own(own, now=now, corp_id=corp_id)
            except EnvelopeError as error:
                error.index = number
                raise
            timed = own.occurred_at is not None
        else:
            try:
                element = msgspec.json.encode(entry)
            except RecursionError as error:
                raise EnvelopeError("$", "", "it is nested too deep", number) from error
            (draft,) = draft_elements([element], corp_id=corp_id)
            timed = draft.occurred_at is not None and not draft.problem
        if draft.stream.kind != "conversation":
            raise EnvelopeError("$", str(entry)[:200], "it is of no conversation", number)
        if not timed:
            raise EnvelopeError("$", str(entry)[:200], draft.problem or "it does not say when it happens", number)
        yield draft


def what_if(
    site: Site,
    *,
    baseline: Machine,
    machine: Machine | None = None,
    since: int | None = None,
    inject: Iterable[Injected] = (),
    chosen: Sequence[int] | None = None,
    corp_id: str = "",
    how: Spreading | None = None,
) -> WhatIf | None:
    """Tell history as it was, and as it would have been; None where it was stopped before the end.

    ``since`` (seconds): from when on ``machine`` folds. Told are the ``chosen`` streams and those of the injected
    entries; all of them where none is chosen and there is another machine. An element of WeCom's that says it happens
    more than a day ahead happens now, as when it is stored.
    Raises :class:`~kfstate.errors.EnvelopeError`.
    """
    how = how or Spreading()
    with site.database.reading() as conn:
        found = scope(conn)
        branch = _Branch(
            conn, corp_id, found.checkpoint.position, max(site.clock.now(), read_head(conn).recorded_at + 1)
        )
        for draft in _drafts(inject, now=site.clock.now(), corp_id=corp_id):
            branch.inject(draft)
        if chosen is None:
            streams = set(conversations(conn, corp_id)) if machine is not None else set[int]()
        else:
            streams = set(chosen)
        streams |= branch.entries.keys()
    candidate = machine or baseline
    latest = max((entry.sort_second for entries in branch.entries.values() for entry in entries), default=0)
    job = Replay(
        definition_of(baseline), definition_of(candidate), until=found.checkpoint.position,
        now=max(found.second, latest), since=since, injected=branch.entries, strangers=branch.strangers,
        named=branch.named,
    )  # fmt: skip
    whole: Part | None = spread(
        site, job, sorted(streams), processes=how.processes, progress=how.progress, stop=how.stop
    )
    if whole is None:
        return None
    return WhatIf(
        machine_before=label(baseline),
        machine_after=label(candidate),
        known_at=found.checkpoint.position,
        injected=sum(map(len, branch.entries.values())),
        conversations=whole.conversations,
        entries=whole.entries,
        changed=tuple(whole.changed),
        before=whole.before.kpis(),
        after=whole.after.kpis(),
    )
