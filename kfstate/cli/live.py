"""What the commands that talk with WeCom share: the settings, and the live side of the engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from kfstate.cli.context import Context
from kfstate.cli.exits import UsageError

if TYPE_CHECKING:
    from kfstate.wecom import Live

__all__ = ["opened"]


@contextmanager
def opened(ctx: Context, settings: Path | None, *, creates: bool = False) -> Iterator["Live"]:
    """Open the live side by the settings of a file and the environment; ``creates``: the database, too.

    The database is that of ``--db``; where that is not given, that of the settings.
    """
    try:
        from kfstate.wecom import Live, Settings

        found = Settings.load(settings)
        found.need("corp_id", "secret")
    except ImportError as error:
        raise UsageError("this needs an extra: pip install 'kfstate[wecom]'") from error
    if ctx.sources["db"] == "default":
        ctx = attrs.evolve(ctx, db=found.db.reveal())
    with ctx.writer() if creates else ctx.reader() as engine, Live(engine, found) as live:
        yield live
