"""``kfstate history`` and ``explain``: how things came to be as they are."""

import json
from typing import Annotated

from cyclopts import Parameter

from kfstate.cli.accessing import accessing
from kfstate.cli.context import Context, Given
from kfstate.cli.listing import show_all
from kfstate.cli.tables import STEPS
from kfstate.cli.times import place_of

__all__ = ["explain", "history", "show_explanation"]


def history(
    open_kfid: str,
    external_userid: str,
    *,
    as_of_log: Annotated[bool, Parameter(negative="")] = False,
    at: str | None = None,
    known_at: str | None = None,
    ctx: Given,
) -> None:
    """Show what each entry of a conversation did, in the order of the fold.

    Args:
        open_kfid: The account.
        external_userid: The customer.
        as_of_log: As of the last entry: without an expiry that is due now and that no entry has met yet.
        at: Until this time, as 2026-11-22T10:00:00+08:00; without a zone it is the machine's.
        known_at: As it was known then: what was stored by this time, or up to this position.
        ctx: The settings of this run.
    """
    place = place_of(at, known_at, as_of_log=as_of_log)
    with ctx.reader() as engine, accessing(engine, "history", open_kfid, external_userid):
        if place is not None:
            steps = engine.audit.history(open_kfid, external_userid, **place)
        else:
            steps = engine.history(open_kfid, external_userid, as_of_log=as_of_log)
    show_all(ctx, STEPS, steps)


def explain(
    open_kfid: str,
    external_userid: str,
    *,
    as_of_log: Annotated[bool, Parameter(negative="")] = False,
    ctx: Given,
) -> None:
    """Explain why a conversation is in its state: the deciding entry, the transition, what is missing or doubtful.

    Args:
        open_kfid: The account.
        external_userid: The customer.
        as_of_log: The state as of the last entry, instead of now (when the session may have expired).
        ctx: The settings of this run.
    """
    from kfstate.queries.views import as_json

    with ctx.reader() as engine, accessing(engine, "explain", open_kfid, external_userid):
        found = engine.explain(open_kfid, external_userid, as_of_log=as_of_log)
    explanation = as_json(found)
    if ctx.out.json:
        ctx.out.line(explanation)
    else:
        show_explanation(ctx, explanation)


def show_explanation(ctx: Context, explanation: dict[str, object]) -> None:
    """Print an explanation (as JSON data) as a table."""
    entry, transition, missing = (explanation[name] for name in ("entry", "transition", "missing"))
    facts: dict[str, object] = {"reason": explanation["reason"], "doubt": explanation["doubt"]}
    if isinstance(transition, dict):
        way = f"{transition['before']} → {transition['after']}"
        facts["transition"] = f"{transition['name']} ({transition['trigger']}: {way}, {transition['outcome']})"
    if isinstance(missing, list) and missing:
        facts["missing"] = " → ".join(map(str, missing))
    if isinstance(entry, dict):
        facts["deciding entry"] = f"{entry['position']}: {entry['kind']}, {entry['occurred_at']}"
        facts["payload"] = json.dumps(entry["payload"], ensure_ascii=False)
    ctx.out.facts(facts)
