"""``kfstate reconcile``: what WeCom says of states that may be behind."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kfstate.cli.context import Context, Given
from kfstate.cli.exits import Exit
from kfstate.cli.listing import at_least
from kfstate.cli.live import opened
from kfstate.cli.tables import DRIFTS, FAILURES

if TYPE_CHECKING:
    from kfstate.wecom import Sweep

__all__ = ["reconcile"]


def reconcile(
    *,
    settings: Path | None = None,
    readings: int | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    ctx: Given,
) -> int:
    """Read states back from WeCom that may be behind, repair what was missed, and show it.

    The most pressing come first: those in doubt, then sessions with a servicer who says nothing, then the pool. Leaves
    with 1 when a reading failed, or when the sweep could not go on.

    Args:
        settings: A TOML file with settings; the environment goes before it.
        readings: At most so many (default: reconcile.readings of the settings).
        everything: Every session that runs, and every conversation of the last 48 hours, however sure its state is.
        ctx: The settings of this run.
    """
    at_least(1, "--readings", readings)
    with opened(ctx, settings) as live:
        done = live.reconcile(readings=readings, everything=everything)
    _show(ctx, done)
    return Exit.OK if done.outcome == "complete" and not done.failed else Exit.REJECTED


def _show(ctx: Context, done: "Sweep") -> None:
    from kfstate.queries.views import as_json

    if ctx.out.json:
        ctx.out.line(as_json(done))
        return
    if done.repaired:
        ctx.out.table(DRIFTS, done.repaired)
    if done.failed:
        ctx.out.table(FAILURES, done.failed)
    ctx.out.facts(
        {"outcome": done.outcome, "read": done.read, "confirmed": done.confirmed, "repaired": len(done.repaired),
         "failed": len(done.failed), "not read": done.left}
    )  # fmt: skip
    sys.stdout.flush()
