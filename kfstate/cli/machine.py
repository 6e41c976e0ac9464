"""``kfstate machine``: the table that decides states."""

from operator import itemgetter

from cyclopts import App

from kfstate.cli.context import Given
from kfstate.cli.exits import Exit
from kfstate.cli.output import Column

__all__ = ["app", "check", "diagram", "show"]

app = App(name="machine", help="The session state machine of this release: its table, whether it is sound, a diagram.")

_RAW = {"name", "trigger", "guard", "from", "to"}
_COLUMNS = tuple(
    Column(name, itemgetter(name), raw=name in _RAW)
    for name in ("name", "trigger", "from", "guard", "to", "outcome", "evidence", "doubt")
)


@app.command
def show(*, ctx: Given) -> None:
    """Show the table: which entry takes a conversation from which state to which.

    Args:
        ctx: The settings of this run.
    """
    from kfstate.machine import MACHINE
    from kfstate.machine.diagram import table

    rows = table(MACHINE.spec)
    if not ctx.out.json:
        ctx.out.table(_COLUMNS, rows, foot=f"{MACHINE.spec.version} {MACHINE.fingerprint}")
        return
    for row in rows:
        ctx.out.line(row)


@app.command
def check(*, ctx: Given) -> int:
    """Check that the table is sound: nothing unknown, unhandled, shadowed or unreachable.

    Args:
        ctx: The settings of this run.
    """
    from kfstate.machine import MACHINE
    from kfstate.machine.check import problems

    found = problems(MACHINE.spec)
    facts: dict[str, object] = {"machine": MACHINE.spec.version, "fingerprint": MACHINE.fingerprint}
    if ctx.out.json:
        ctx.out.line({**facts, "problems": found})
    else:
        ctx.out.facts({**facts, "problems": "\n".join(found)})
    return Exit.REJECTED if found else Exit.OK


@app.command
def diagram(*, ctx: Given) -> None:
    """Print the machine as a Mermaid state diagram.

    Args:
        ctx: The settings of this run.
    """
    from kfstate.machine import MACHINE
    from kfstate.machine.diagram import mermaid

    ctx.out.text(mermaid(MACHINE.spec))
