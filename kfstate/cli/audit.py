"""``kfstate audit``: what was known when, and why."""

from cyclopts import App

from kfstate.cli.context import Given
from kfstate.cli.tables import CHANGES, ENTRIES, then_facts
from kfstate.cli.times import Place, place_of

__all__ = ["app", "as_of"]

app = App(name="audit", help="Audits: what the state was, as it was known then, and why.")


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
    with ctx.reader() as engine:
        found = engine.audit.as_of(open_kfid, external_userid, **place, machine=machine)
    if ctx.out.json:
        ctx.out.line(as_json(found))
        return
    ctx.out.facts(then_facts(found))
    if found.changes:
        ctx.out.table(CHANGES, found.changes)
    if found.learned:
        ctx.out.table(ENTRIES, found.learned)
