"""``kfstate config``: which settings hold, and where each comes from."""

from operator import itemgetter

from cyclopts import App

from kfstate.cli.context import Given
from kfstate.cli.database import masked
from kfstate.cli.output import Column

__all__ = ["app", "show"]

app = App(name="config", help="The settings that hold, and where each comes from.")

_COLUMNS = tuple(Column(name, itemgetter(name), raw=True) for name in ("name", "value", "source", "variable"))


@app.command
def show(*, ctx: Given) -> None:
    """Show every setting with its value and where it comes from: option, environment, locale, terminal or default.

    Args:
        ctx: The settings of this run.
    """
    values = {"db": masked(ctx.url), "corp-id": ctx.corp_id, "json": ctx.out.json, "lang": ctx.out.lang}
    rows = [
        {
            "name": name,
            "value": value,
            "source": ctx.sources[name],
            "variable": "" if name == "corp-id" else f"KFSTATE_{name.upper()}",
        }
        for name, value in values.items()
    ]
    if not ctx.out.json:
        ctx.out.table(_COLUMNS, rows)
        return
    for row in rows:
        ctx.out.line(row)
