"""``kfstate machine``: the table that decides states."""

from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from kfstate.cli.context import Given
from kfstate.cli.exits import Exit, UsageError
from kfstate.cli.output import Column

if TYPE_CHECKING:
    from kfstate.machine import MachineSpec

__all__ = ["app", "check", "diagram", "export", "schema", "show"]

app = App(name="machine", help="The session state machine: its table, whether it is sound, a diagram, as a file.")

_RAW = {"name", "trigger", "guard", "from", "to"}
_COLUMNS = tuple(
    Column(name, itemgetter(name), raw=name in _RAW)
    for name in ("name", "trigger", "from", "guard", "to", "outcome", "evidence", "doubt")
)


File = Annotated[Path | None, Parameter(show_default=False)]
"""A definition, in place of the machine of this release."""


@app.command
def show(file: File = None, *, ctx: Given) -> None:
    """Show the table: which entry takes a conversation from which state to which.

    Args:
        file: A TOML or JSON file with a machine (default: the machine of this release).
        ctx: The settings of this run.
    """
    from kfstate.machine.diagram import table
    from kfstate.machine.spec import fingerprint

    spec = _spec(file)
    rows = table(spec)
    if not ctx.out.json:
        ctx.out.table(_COLUMNS, rows, foot=f"{spec.version} {fingerprint(spec)}")
        return
    for row in rows:
        ctx.out.line(row)


@app.command
def check(file: File = None, *, ctx: Given) -> int:
    """Check that the table is sound: nothing unknown, unhandled, shadowed or unreachable.

    Args:
        file: A TOML or JSON file with a machine (default: the machine of this release).
        ctx: The settings of this run.
    """
    from kfstate.errors import MachineError
    from kfstate.machine.check import problems
    from kfstate.machine.spec import fingerprint

    facts: dict[str, object] = {"machine": None, "fingerprint": None}
    try:
        spec = _spec(file)
    except MachineError as error:
        found = error.problems
    else:
        found = problems(spec)
        facts = {"machine": spec.version, "fingerprint": fingerprint(spec)}
    if ctx.out.json:
        ctx.out.line({**facts, "problems": found})
    else:
        ctx.out.facts({**facts, "problems": "\n".join(found)})
    return Exit.REJECTED if found else Exit.OK


@app.command
def diagram(file: File = None, *, ctx: Given) -> None:
    """Print the machine as a Mermaid state diagram.

    Args:
        file: A TOML or JSON file with a machine (default: the machine of this release).
        ctx: The settings of this run.
    """
    from kfstate.machine.diagram import mermaid

    ctx.out.text(mermaid(_spec(file)))


@app.command
def export(*, form: Literal["toml", "json"] = "toml", ctx: Given) -> None:
    """Print the machine of this release as a file, to change it and to ask `audit gate` about it.

    Args:
        form: TOML or JSON.
        ctx: The settings of this run.
    """
    from kfstate.audit.definition import to_json, to_toml
    from kfstate.machine.table import SPEC

    ctx.out.text(to_json(SPEC) if form == "json" else to_toml(SPEC))


@app.command
def schema(*, ctx: Given) -> None:
    """Print the JSON Schema of such a file, for editors.

    Args:
        ctx: The settings of this run.
    """
    import json

    from kfstate.audit.definition import schema as made

    ctx.out.text(json.dumps(made(), ensure_ascii=False, indent=1))


def _spec(file: Path | None) -> "MachineSpec":
    from kfstate.audit.definition import load
    from kfstate.machine.table import SPEC

    if file is None:
        return SPEC
    try:
        return load(file)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
