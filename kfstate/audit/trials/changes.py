"""Which sessions two replays of the same conversation tell otherwise, where that begins, and why."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar

import attrs

from kfstate.audit.trials.retelling import Told
from kfstate.machine.fold import Step
from kfstate.projections.sessions import Session
from kfstate.queries.views import at_second, shown
from kfstate.service_state import KfServiceState

__all__ = ["COLUMNS", "FoldedAs", "Names", "SessionChange", "changes", "folded_as", "seen", "why"]

Names = Mapping[Any, str | None]
"""``kf_name`` id → the id as WeCom spells it."""

_OWN = frozenset({"stream", "number", "base"})
_FIELDS = tuple(field.name for field in attrs.fields(Session) if field.name not in _OWN)
COLUMNS = frozenset(_FIELDS)
"""Those of a session that may differ."""
_values = attrgetter(*_FIELDS)
_TIMES = frozenset({"opened", "first_reply", "queued", "taken", "ended", "last_message"})
_EVIDENCE, _DOUBT = 12, 13


@attrs.frozen
class FoldedAs:
    """What a machine made of an entry."""

    transition: str
    outcome: str
    before: str
    after: str
    servicer_userid: str | None
    session: int
    evidence: str
    doubt: str
    expired_at: datetime | None
    """Where the fold first had to presume the end of a session: when that was due."""
    says: str | None


@attrs.frozen
class SessionChange:
    """A session that is told otherwise; ``position`` to ``after`` are of the first entry in it that is."""

    SHOWN: ClassVar = (
        "change", "open_kfid", "external_userid", "session_id", "session", "opened_at", "position", "at", "kind", "why",
        "before", "after", "fields", "accepted",
    )  # fmt: skip

    change: str
    """``changed``; ``gone``, where only the machine before has it; ``new``, where only the other one does."""
    open_kfid: str
    external_userid: str | None
    session_id: int
    session: int
    """Its number, by the machine before where that has it."""
    opened_at: datetime | None
    position: int | None
    """None where no entry is folded otherwise: the session only ended at another time, by itself."""
    at: datetime | None
    kind: str | None
    before: FoldedAs | None
    after: FoldedAs | None
    fields: dict[str, tuple[Any, Any]]
    """Column of the session → before and after, where they differ."""
    accepted: str | None = None
    """The reason for which the difference is accepted."""

    @property
    def why(self) -> str:
        """What is told otherwise, in one line."""
        return why(self.before, self.after, self.fields)


def changes(
    was: Told, now: Told, *, open_kfid: str, external_userid: str | None, names: Names
) -> Iterator[SessionChange]:
    """Yield the sessions of a conversation that are not told alike, by id."""
    before = {session.session_id: session for session in was.sessions}
    after = {session.session_id: session for session in now.sessions}
    first = _first(was, now)
    for id_ in sorted(before.keys() | after.keys()):
        old, new = before.get(id_), after.get(id_)
        fields = _fields(old, new, names)
        if id_ not in first and not fields:
            continue
        session = old or new
        assert session is not None  # noqa: S101 (one of the two has it)
        step, other = first.get(id_, (None, None))
        entry = step.entry if step is not None else other.entry if other is not None else None
        yield SessionChange(
            change="new" if old is None else "gone" if new is None else "changed",
            open_kfid=open_kfid,
            external_userid=external_userid,
            session_id=id_,
            session=session.number,
            opened_at=at_second(session.opened),
            position=None if entry is None else entry.position,
            at=None if entry is None else at_second(entry.sort_second),
            kind=None if entry is None else entry.as_kind or entry.kind,
            before=None if step is None else folded_as(step, names),
            after=None if other is None else folded_as(other, names),
            fields=fields if old is not None and new is not None else {},
        )


def why(before: FoldedAs | None, after: FoldedAs | None, fields: Mapping[str, tuple[Any, Any]]) -> str:
    """Return how two tellings of an entry differ, in one line."""
    if before is None and after is None:
        return "; ".join(f"{name}: {_word(was)} → {_word(now)}" for name, (was, now) in fields.items())
    if before is None or after is None:
        told = before or after
        return f"{'only before' if after is None else 'only after'}: {told and _sentence(told)}"
    if before.transition != after.transition or before.says != after.says:
        return f"{_sentence(before)} → {_sentence(after)}"
    names = [name for name in shown(FoldedAs) if getattr(before, name) != getattr(after, name)]
    pairs = (f"{name}: {_word(getattr(before, name))} → {_word(getattr(after, name))}" for name in names)
    return f"{before.transition}: {'; '.join(pairs)}"


def _sentence(told: FoldedAs) -> str:
    return f"{told.transition} ({told.after}{', ' + told.says if told.says else ''})"


def _word(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def folded_as(step: Step, names: Names) -> FoldedAs:
    """Return a step as people see it."""
    state = step.state
    named = step._replace(
        servicer_before=names.get(step.servicer_before),
        entry=step.entry._replace(
            servicer_to=names.get(step.entry.servicer_to), servicer_from=names.get(step.entry.servicer_from)
        ),
    )
    return FoldedAs(
        transition=step.row.name,
        outcome=step.row.outcome,
        before=KfServiceState(step.before).word,
        after=step.state_after.word,
        servicer_userid=names.get(state.servicer),
        session=state.session,
        evidence=state.evidence,
        doubt=state.doubt,
        expired_at=at_second(step.expired_at),
        says=named.says,
    )


def _first(was: Told, now: Told) -> dict[int, tuple[Step | None, Step | None]]:
    """Return session id → the first of its entries, in the order of the fold, that is folded otherwise."""
    found: dict[int, tuple[Step | None, Step | None]] = {}
    for step, other in _pairs(was, now):
        if step is not None and other is not None and seen(was, step) == seen(now, other):
            continue
        for told, its in ((was, step), (now, other)):
            id_ = None if its is None else told.session_of(its)
            if id_ is not None:
                found.setdefault(id_, (step, other))
    return found


def _pairs(was: Told, now: Told) -> Iterable[tuple[Step | None, Step | None]]:
    """Return what became of each entry in both tellings, in the order of the fold."""
    if [step.entry.position for step in was.steps] == [step.entry.position for step in now.steps]:
        return zip(was.steps, now.steps, strict=True)
    old = {step.entry.position: step for step in was.steps}
    new = {step.entry.position: step for step in now.steps}
    only_old = [step for step in was.steps if step.entry.position not in new]
    every = sorted([*only_old, *now.steps], key=lambda step: step.entry.sort_second)
    return ((old.get(one.entry.position), new.get(one.entry.position)) for one in every)


def seen(told: Told, step: Step) -> tuple[Any, ...]:
    """Return what a step says, but the name of the row that took it."""
    return (
        step.row.outcome, step.before, step.folded[0], step.servicer_before, step.folded[1], told.session_of(step),
        step.folded[_EVIDENCE], step.folded[_DOUBT], step.missing, step.expired_at,
    )  # fmt: skip


def _fields(old: Session | None, new: Session | None, names: Names) -> dict[str, tuple[Any, Any]]:
    if old is None or new is None:
        return {"session_id": (old and old.session_id, new and new.session_id)}
    if _values(old) == _values(new):
        return {}
    pairs = zip(_FIELDS, _values(old), _values(new), strict=True)
    return {name: (_shown(name, a, names), _shown(name, b, names)) for name, a, b in pairs if a != b}


def _shown(name: str, value: Any, names: Names) -> Any:
    if name == "servicer":
        return names.get(value)
    moment = at_second(value) if name in _TIMES else None
    return value if moment is None else moment.isoformat().replace("+00:00", "Z")
