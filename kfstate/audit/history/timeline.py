"""One conversation over time: the stretches of its states, its sessions, steps, and what did not fit."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone

import attrs

from kfstate.audit.history.as_of import StateThen
from kfstate.audit.history.stories import Names
from kfstate.audit.history.words import Lang
from kfstate.machine import Machine, Step
from kfstate.machine.fold import expire
from kfstate.machine.state import initial
from kfstate.queries.views import SessionView, StepView, at_second
from kfstate.service_state import KfServiceState

__all__ = ["BEIJING", "Stretch", "Timeline", "lasting", "stretches_of"]

BEIJING = timezone(timedelta(hours=8), "UTC+08:00")
"""The zone of what is printed for people to keep: WeCom's own, on whatever machine it is printed."""
_FINISHED = KfServiceState.FINISHED
_UNDRAWN = re.compile(r"[^\w .+-]")
_ANOMALOUS = frozenset({"repaired", "refused", "unknown"})


@attrs.frozen
class Stretch:
    """A time in which state, servicer and session were the same."""

    state: str
    servicer_userid: str | None
    session: int
    began_at: datetime | None
    ended_at: datetime | None
    """None: it went on at the time that was asked about."""
    seconds: int
    """Until the end, or until that time."""
    position: int | None
    """Of the entry with which it began; None: an end that was presumed."""


@attrs.frozen
class Timeline:
    """One conversation until a time, as it was known at a place of the log."""

    open_kfid: str
    external_userid: str | None
    at: datetime | None
    known_at: int
    known_until: datetime | None
    machine: str
    state: StateThen | None
    stretches: tuple[Stretch, ...]
    sessions: tuple[SessionView, ...]
    steps: tuple[StepView, ...]

    @property
    def anomalies(self) -> tuple[StepView, ...]:
        """The steps that did not fit, and the ends that were presumed."""
        return tuple(step for step in self.steps if step.outcome in _ANOMALOUS or step.position is None)

    def text(self, lang: Lang = "en") -> str:
        """Return the stretches as lines for people, in Beijing time."""
        return "".join(f"{line}\n" for line in _lines(self, lang))

    def mermaid(self, lang: Lang = "en") -> str:
        """Return the stretches of the sessions as a Mermaid ``gantt``; its times are seconds since 1970."""
        return "".join(f"{line}\n" for line in _gantt(self, lang))


def stretches_of(steps: Sequence[Step], second: int, machine: Machine, names: Names) -> tuple[Stretch, ...]:
    """Return the stretches until a second; steps that change nothing make none."""
    marks: list[tuple[int, int, object, int, int | None]] = []
    state = initial()
    for step in steps:
        if step.expired_at is not None:
            marks.append((step.expired_at, _FINISHED, None, state.session, None))
        state = step.state
        mark = (step.entry.sort_second, state.service_state, state.servicer, state.session, step.entry.position)
        if not marks or marks[-1][1:4] != mark[1:4]:
            marks.append(mark)
    due = expire(machine, state.copy(), second)
    if due is not None:
        marks.append((due, _FINISHED, None, state.session, None))
    ends: list[int | None] = [mark[0] for mark in marks[1:]]
    return tuple(
        Stretch(
            KfServiceState(number).word, names.get(servicer), session, at_second(began), at_second(end),
            (second if end is None else end) - began, position,
        )
        for (began, number, servicer, session, position), end in zip(marks, [*ends, None], strict=False)
    )  # fmt: skip


def lasting(seconds: int) -> str:
    """Return a span as people say it."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    first = next((at for at, (number, _) in enumerate(parts) if number), 3)
    return " ".join(f"{number}{unit}" for number, unit in parts[first : first + 2])


def _word(state: str, lang: Lang) -> str:
    return KfServiceState[state.upper()].label if lang == "zh" else state


def _lines(timeline: Timeline, lang: Lang) -> Iterator[str]:
    yield f"{timeline.open_kfid} / {timeline.external_userid or '–'}  ({BEIJING})"
    session = None
    for stretch in timeline.stretches:
        if stretch.session != session:
            session = stretch.session
            yield f"会话 {session}" if lang == "zh" else f"session {session}"
        began = "–" if stretch.began_at is None else f"{stretch.began_at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
        who = f" {stretch.servicer_userid}" if stretch.servicer_userid else ""
        by = f"#{stretch.position}" if stretch.position else ("推定" if lang == "zh" else "presumed")
        more = "" if stretch.ended_at else (" …" if stretch.state != _FINISHED.word else "")
        span = "" if stretch.state == _FINISHED.word else f"  {lasting(stretch.seconds)}{more}"
        yield f"  {began}  {_word(stretch.state, lang)}{who}{span}  ({by})"


def _gantt(timeline: Timeline, lang: Lang) -> Iterator[str]:
    yield "gantt"
    yield f"    title {_drawn(timeline.open_kfid)} {_drawn(timeline.external_userid or '')}".rstrip()
    yield "    dateFormat X"
    yield "    axisFormat %m-%d %H:%M"
    session = None
    for stretch in timeline.stretches:
        if stretch.state == _FINISHED.word or stretch.began_at is None:
            continue
        if stretch.session != session:
            session = stretch.session
            yield f"    section {'会话' if lang == 'zh' else 'session'} {session}"
        began = int(stretch.began_at.timestamp())
        label = _drawn(f"{_word(stretch.state, lang)} {stretch.servicer_userid or ''}").strip()
        active = "" if stretch.ended_at else "active, "
        yield f"    {label} :{active}{began}, {began + max(stretch.seconds, 1)}"


def _drawn(text: str) -> str:
    """Return a text without the signs that mean something in a diagram."""
    return _UNDRAWN.sub(" ", text)
