"""The report of one conversation that an auditor keeps: one file of HTML, with everything in it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import attrs

from kfstate.audit.history import page
from kfstate.audit.history.report_words import SAID, WORDS
from kfstate.audit.history.timeline import BEIJING, Stretch, Timeline, lasting
from kfstate.audit.history.words import Lang
from kfstate.queries.entries import EntryView, said
from kfstate.queries.views import SessionView, StepView
from kfstate.service_state import KfServiceState
from kfstate.store.verify import Verified

__all__ = ["Sealed", "report"]

_FINISHED = KfServiceState.FINISHED.word


@attrs.frozen
class Sealed:
    """What shows that a report tells what was stored: the verification of the log, and the leaf of each entry."""

    log_id: str
    verified: Verified | None
    """None: it was not asked for."""
    head: str | None
    """What stands for the whole log then: ``kfstate audit check`` expects it. None as for ``verified``."""
    leaves: Mapping[int, str]


def report(
    timeline: Timeline,
    entries: Mapping[int, EntryView],
    sealed: Sealed,
    *,
    words: Mapping[int, tuple[str, str]],
    payloads: bool,
    made_at: datetime | None,
    lang: Lang,
) -> str:
    """Return the page. ``words`` has position → why, in English and Chinese; ``payloads``: with what people said."""
    writer = _Writer(lang)
    who = f"{timeline.open_kfid} / {timeline.external_userid or writer('erased')}"
    parts = [
        page.section(writer("question"), page.facts(writer.question(timeline, made_at))),
        page.section(writer("answer"), page.facts(writer.answer(timeline))),
        page.section(writer("states over time"), *writer.drawings(timeline)),
        page.section(writer("sessions"), writer.sessions(timeline.sessions)),
        page.section(writer("servicers"), writer.servicers(timeline.sessions)),
        page.section(writer("what did not fit"), writer.steps(timeline.anomalies, words, {}, payloads=False)),
        page.section(writer("every step"), writer.steps(timeline.steps, words, entries, payloads=payloads)),
        page.section(writer("proof"), *writer.proof(sealed, entries)),
    ]
    return page.page(f"{writer('report')}: {who}", parts, lang="zh-CN" if lang == "zh" else "en")


@attrs.frozen
class _Writer:
    """Says things in one language."""

    lang: Lang

    def __call__(self, word: str) -> str:
        return (WORDS if self.lang == "zh" else SAID).get(word, word)

    def state(self, word: str) -> str:
        return KfServiceState[word.upper()].label if self.lang == "zh" else word

    def time(self, value: datetime | None) -> str | None:
        return None if value is None else f"{value.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"

    def question(self, timeline: Timeline, made_at: datetime | None) -> dict[str, object]:
        return {
            self("account"): timeline.open_kfid,
            self("customer"): timeline.external_userid or self("erased"),
            self("until"): self.time(timeline.at),
            self("known up to position"): timeline.known_at,
            self("stored by"): self.time(timeline.known_until),
            self("machine"): timeline.machine,
            self("made"): self.time(made_at),
            self("times"): f"{BEIJING} ({self('Beijing time')})",
        }

    def answer(self, timeline: Timeline) -> dict[str, object]:
        view = timeline.state
        if view is None:
            return {self("state"): self("not known then")}
        return {
            self("state"): self.state(view.state),
            self("since"): self.time(view.since),
            self("servicer"): view.servicer_userid,
            self("session"): view.session,
            self("evidence"): self(view.evidence),
            self("doubt"): self(view.doubt),
            self("deciding entry"): view.position,
        }

    def drawings(self, timeline: Timeline) -> Iterable[str]:
        sessions: dict[int, list[Stretch]] = {}
        for stretch in timeline.stretches:
            if stretch.state != _FINISHED and stretch.began_at is not None:
                sessions.setdefault(stretch.session, []).append(stretch)
        yield page.legend({state.word: self.state(state.word) for state in KfServiceState})
        for number, stretches in sessions.items():
            spans = []
            for one in stretches:
                began = int(one.began_at.timestamp()) if one.began_at else 0
                says = f"{self.state(one.state)} {one.servicer_userid or ''} {self.time(one.began_at)} "
                spans.append((one.state, began, began + one.seconds, says + lasting(one.seconds)))
            yield f"<p>{self('session')} {number}</p>"
            yield page.bars(spans)
        yield page.table(
            [self(word) for word in ("session", "state", "servicer", "from", "to", "lasted", "entry")],
            (
                (
                    (
                        one.session, self.state(one.state), one.servicer_userid, self.time(one.began_at),
                        self.time(one.ended_at), None if one.state == _FINISHED else lasting(one.seconds),
                        one.position or self("presumed"),
                    ),
                    one.position is None,
                )
                for one in timeline.stretches
            ),
        )  # fmt: skip

    def sessions(self, sessions: Sequence[SessionView]) -> str:
        headings = (
            "session", "opened", "opened by", "queued at", "waited", "abandoned", "taken", "first robot reply", "ended",
            "ended by", "transfers", "customer's messages", "servicers' messages", "sends", "last message by",
            "repairs",
        )  # fmt: skip
        rows = (
            (
                (
                    one.session, self.time(one.opened_at), self(one.opened_by), self.time(one.queued_at),
                    lasting(one.queue_seconds) if one.queued_at else None, self("yes" if one.abandoned else "no"),
                    self.time(one.taken_at), self.time(one.first_reply_at), self.time(one.ended_at),
                    one.ended_by and self(one.ended_by), one.transfers, one.messages_in, one.messages_out, one.sends,
                    one.last_message_by and self(one.last_message_by), one.repairs,
                ),
                one.abandoned or one.repairs > 0,
            )
            for one in sessions
        )  # fmt: skip
        return page.table([self(heading) for heading in headings], rows)

    def servicers(self, sessions: Sequence[SessionView]) -> str:
        headings = (
            "session", "servicer", "from", "to", "customer's first message", "first reply", "customer's messages",
            "servicers' messages",
        )  # fmt: skip
        rows = (
            (
                (
                    session.session, span.servicer_userid, self.time(span.began_at), self.time(span.ended_at),
                    self.time(span.first_customer_message_at), self.time(span.first_reply_at), span.messages_in,
                    span.messages_out,
                ),
                span.messages_out == 0,
            )
            for session in sessions
            for span in session.servicers
        )  # fmt: skip
        return page.table([self(heading) for heading in headings], rows)

    def steps(
        self,
        steps: Sequence[StepView],
        words: Mapping[int, tuple[str, str]],
        entries: Mapping[int, EntryView],
        *,
        payloads: bool,
    ) -> str:
        headings = ["entry", "happened", "stored", "kind", "by whom", "outcome", "state", "servicer", "why"]
        rows = []
        for one in steps:
            entry = entries.get(one.position or 0)
            why = words.get(one.position or 0, (one.reason or "", one.reason or ""))[self.lang == "zh"]
            if one.position is None:
                why = self("presumed end")
            way = self.state(one.after)
            if one.before != one.after:
                way = f"{self.state(one.before)} → {way}"
            cells: list[object] = [
                one.position, self.time(one.occurred_at), self.time(one.recorded_at), one.kind,
                entry and (entry.servicer_userid or entry.actor), self(one.outcome), way, one.servicer_after, why,
            ]  # fmt: skip
            if payloads:
                cells.append(_said(entry))
            rows.append((cells, one.outcome in {"repaired", "refused", "unknown"} or one.position is None))
        return page.table([self(heading) for heading in [*headings, *(["said"] if payloads else [])]], rows)

    def proof(self, sealed: Sealed, entries: Mapping[int, EntryView]) -> Iterable[str]:
        verified = sealed.verified
        found: dict[str, object] = {self("log"): sealed.log_id}
        classes = {self("verification"): "ok"}
        if verified is None:
            found[self("verification")] = self("not asked for")
        elif verified.damage is not None:
            classes[self("verification")] = "broken"
            damage = verified.damage
            found[self("verification")] = f"{self('broken at position')} {damage.position}: {damage.reason}"
        else:
            found[self("verification")] = f"{self('whole, positions')} {verified.first}–{verified.last}"
        if verified is not None:
            found[self("anchor")] = verified.anchor
            found[self("published head")] = sealed.head
            found[self("payloads erased")] = len([position for position in verified.erased if position in entries])
        yield page.facts(found, classes=classes)
        yield f"<p>{self('how to check')}</p>"
        yield page.table(
            [self("entry"), self("leaf"), self("chain")],
            (((position, sealed.leaves[position], entry.chain), False) for position, entry in entries.items()),
        )


def _said(entry: EntryView | None) -> str | None:
    """Return what an entry says in words, where it says any: a text, or what kind of message it was."""
    if entry is None or not isinstance(entry.payload, dict):
        return None
    msgtype, text = said(entry)
    if text is not None:
        return text
    reason = entry.payload.get("reason")
    return str(reason) if reason else f"[{msgtype}]" if msgtype and msgtype != "event" else None
