"""``kfstate audit``: what was known when, and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from kfstate.cli import keeping, proving
from kfstate.cli.accessing import accessing
from kfstate.cli.context import Context, Given
from kfstate.cli.files import beside
from kfstate.cli.tables import CHANGES, ENTRIES, KEPT, TRIED, then_facts
from kfstate.cli.times import Place, place_of

if TYPE_CHECKING:
    from kfstate.audit import Explained

__all__ = ["app", "as_of", "explain", "report", "timeline"]

app = App(name="audit", help="Audits: what the state was, as it was known then, why, and a report to keep.")
for _command in (*keeping.COMMANDS, proving.head, proving.prove, proving.check):
    app.command(_command)


@app.command(name="as-of")
def as_of(
    open_kfid: str,
    external_userid: str,
    *,
    at: str | None = None,
    known_at: str | None = None,
    machine: str | None = None,
    ctx: Given,
) -> None:
    """Show the state of a conversation at a time, as it was known at another, and what was learned since.

    Args:
        open_kfid: The account.
        external_userid: The customer.
        at: The time, as 2026-11-22T10:00:00+08:00; without a zone it is the machine's (default: now).
        known_at: What was stored by this time, or up to this position (default: all of the log).
        machine: Version or fingerprint of a machine that the log knows (default: the one that was live then).
        ctx: The settings of this run.
    """
    from kfstate.queries.views import as_json

    place: Place = place_of(at, known_at) or {"at": None, "known_at": None}
    with ctx.reader() as engine, accessing(engine, "as-of", open_kfid, external_userid):
        found = engine.audit.as_of(open_kfid, external_userid, **place, machine=machine)
    if ctx.out.json:
        ctx.out.line(as_json(found))
        return
    ctx.out.facts(then_facts(found))
    if found.changes:
        ctx.out.table(CHANGES, found.changes)
    if found.learned:
        ctx.out.table(ENTRIES, found.learned)


@app.command
def explain(position: int, *, known_at: str | None = None, machine: str | None = None, ctx: Given) -> None:
    """Explain what an entry did, or why it moved nothing: the guards that were asked, the transition, the rows kept.

    Args:
        position: The position of the entry.
        known_at: As it was known then: what was stored by this time, or up to this position (default: all of the log).
        machine: Version or fingerprint of a machine that the log knows (default: the one that was live then).
        ctx: The settings of this run.
    """
    from kfstate.queries.views import as_json

    place = place_of(None, known_at)
    with ctx.reader() as engine, accessing(engine, "explain", detail=f"position {position}"):
        found = engine.audit.explain(position, known_at=place and place["known_at"], machine=machine)
    if ctx.out.json:
        ctx.out.line(as_json(found))
    else:
        _show(ctx, found)


def _show(ctx: Context, found: "Explained") -> None:
    entry, step = found.entry, found.step
    facts: dict[str, object] = {
        "position": entry.position, "kind": entry.kind, "occurred": entry.occurred_at, "recorded": entry.recorded_at,
        "account": entry.open_kfid, "customer": entry.external_userid, "servicer": entry.servicer_userid,
        "actor": entry.actor, "trigger": found.trigger,
    }  # fmt: skip
    if step is not None and found.transition is not None:
        facts |= {
            "transition": f"{found.transition.name}: {step.before} → {step.after}",
            "outcome": step.outcome, "session": step.session, "evidence": step.evidence, "doubt": step.doubt,
        }  # fmt: skip
    if found.expired is not None:
        facts["expired"] = found.expired.occurred_at
    facts["reason"] = found.words_zh if ctx.out.lang == "zh" else found.words
    ctx.out.facts(facts)
    if found.tried:
        ctx.out.table(TRIED[ctx.out.lang], found.tried)
    if found.kept:
        ctx.out.table(KEPT, found.kept)


@app.command
def timeline(
    open_kfid: str,
    external_userid: str,
    *,
    at: str | None = None,
    known_at: str | None = None,
    machine: str | None = None,
    mermaid: Annotated[bool, Parameter(negative="")] = False,
    ctx: Given,
) -> None:
    """Show the states of a conversation over time, in Beijing time.

    Args:
        open_kfid: The account.
        external_userid: The customer.
        at: Until this time, as 2026-11-22T10:00:00+08:00; without a zone it is the machine's (default: now).
        known_at: As it was known then: what was stored by this time, or up to this position (default: all of the log).
        machine: Version or fingerprint of a machine that the log knows (default: the one that was live then).
        mermaid: As a Mermaid gantt, with its times in seconds.
        ctx: The settings of this run.
    """
    from kfstate.queries.views import as_json

    place: Place = place_of(at, known_at) or {"at": None, "known_at": None}
    with ctx.reader() as engine, accessing(engine, "timeline", open_kfid, external_userid):
        found = engine.audit.timeline(open_kfid, external_userid, **place, machine=machine)
    if mermaid:
        ctx.out.text(found.mermaid(ctx.out.lang))
    elif ctx.out.json:
        ctx.out.line(as_json(found))
    else:
        ctx.out.text(found.text(ctx.out.lang))


@app.command
def report(
    open_kfid: str,
    external_userid: str,
    file: Path,
    *,
    at: str | None = None,
    known_at: str | None = None,
    machine: str | None = None,
    payloads: Annotated[bool, Parameter(negative="--no-payloads")] = True,
    verify: Annotated[bool, Parameter(negative="--no-verify")] = True,
    ctx: Given,
) -> None:
    """Write a report of a conversation as one file of HTML, which needs nothing else; --lang is its language.

    Args:
        open_kfid: The account.
        external_userid: The customer.
        file: Where to write it; a file that is there is not overwritten.
        at: Until this time, as 2026-11-22T10:00:00+08:00; without a zone it is the machine's (default: now).
        known_at: As it was known then: what was stored by this time, or up to this position (default: all of the log).
        machine: Version or fingerprint of a machine that the log knows (default: the one that was live then).
        payloads: With what people said, or without.
        verify: Verify the whole log first, or leave that out.
        ctx: The settings of this run.
    """
    from kfstate.store.crew import cores

    place: Place = place_of(at, known_at) or {"at": None, "known_at": None}
    with (
        ctx.reader() as engine,
        beside(file, anew=True) as target,
        accessing(engine, "report", open_kfid, external_userid),
        ctx.out.counting(engine.position()) as done,
    ):
        page = engine.audit.report(
            open_kfid, external_userid, **place, machine=machine, lang=ctx.out.lang, payloads=payloads, verified=verify,
            progress=done, processes=cores(),
        ).encode()  # fmt: skip
        target.write(page)
        target.flush()
    if ctx.out.json:
        ctx.out.line({"file": str(file), "bytes": len(page)})
    else:
        ctx.out.facts({"path": str(file)})
