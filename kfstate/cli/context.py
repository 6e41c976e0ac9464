"""What every command is given: the effective settings, where to print, and a way to the engine."""

import gc
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Parameter

from kfstate.cli.database import must_exist, must_know, url_of
from kfstate.cli.output import Output
from kfstate.cli.words import Lang

if TYPE_CHECKING:
    from kfstate.clock import Clock
    from kfstate.engine import Engine
    from kfstate.feed.own import Projection

__all__ = ["Context", "Given", "language"]


@attrs.frozen
class Context:
    """The settings of this run; ``sources`` says of each where it came from: option, environment, locale, default."""

    db: str
    corp_id: str
    out: Output
    sources: Mapping[str, str]

    @property
    def url(self) -> str:
        """The URL of the database."""
        return url_of(self.db)

    def reader(self, *, projections: "Iterable[Projection]" = ()) -> "Engine":
        """Open the database for a question; raise an error where it is not there, or has nothing of the corporation."""
        must_exist(self.url)
        must_know(self.url, self.corp_id)
        return self.writer(projections=projections)

    def writer(self, *, clock: "Clock | None" = None, projections: "Iterable[Projection]" = ()) -> "Engine":
        """Open the database; create it where there is none."""
        from kfstate.engine import Engine

        engine = Engine(self.url, corp_id=self.corp_id, clock=clock, projections=projections)
        gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again under a long load
        return engine


Given = Annotated[Context, Parameter(parse=False)]
"""How a command asks for its :class:`Context`."""


def language(environment: Mapping[str, str] = os.environ) -> Lang:
    """Return the language of the locale: Chinese, or else English."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return "zh" if environment[name].lower().startswith("zh") else "en"
    return "en"
