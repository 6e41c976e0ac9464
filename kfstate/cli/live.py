"""What the commands that talk with WeCom share: the settings, and a live side on the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from kfstate.cli.context import Context
from kfstate.cli.exits import UsageError

if TYPE_CHECKING:
    from kfstate.wecom import Live, Settings

__all__ = ["opened", "settings_of"]


def settings_of(ctx: Context, path: Path | None, **given: Any) -> "Settings":
    """Return the settings of a file and the environment; an option of the command line goes before both."""
    try:
        from kfstate.wecom import Settings
    except ImportError as error:
        raise UsageError("this needs an extra: pip install 'kfstate[wecom]'") from error
    if ctx.sources["corp-id"] == "option":
        given["corp_id"] = ctx.corp_id
    return Settings.load(path, **given)


@contextmanager
def opened(ctx: Context, path: Path | None, *, creates: bool = False, **options: Any) -> "Iterator[Live]":
    """Open the database and the live side on it, and close both; ``creates``: the database, too.

    ``options`` go to :class:`~kfstate.wecom.Live`. The database is that of ``--db``, or else of the settings.
    """
    settings = settings_of(ctx, path)
    settings.need("corp_id", "secret")
    from kfstate.wecom import Live

    if ctx.sources["db"] == "default":
        ctx = attrs.evolve(ctx, db=settings.db.reveal())
    with ctx.writer() if creates else ctx.reader() as engine, Live(engine, settings, **options) as made:
        yield made
