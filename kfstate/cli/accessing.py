"""Who looks at the log by a command, written into the access log."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kfstate.audit.people.naming import OwnWords
    from kfstate.cli.context import Context
    from kfstate.engine import Engine

__all__ = ["accessing", "entering", "noted", "who"]


def who() -> "OwnWords":
    """Return who runs this command: KFSTATE_ACTOR, or else the user of the operating system."""
    from kfstate.audit.people.naming import OwnWords

    if named := os.environ.get("KFSTATE_ACTOR", "").strip():
        return OwnWords(named)
    try:
        return OwnWords(getpass.getuser())
    except (OSError, KeyError):  # in a container without a name for its user
        return OwnWords(f"uid {os.getuid()}")


@contextmanager
def accessing(
    engine: "Engine", action: str, open_kfid: str = "", external_userid: str = "", *, detail: str = ""
) -> Iterator[list[str]]:
    """Write what the block looks at into the access log, and how it ended; it may append words about the result.

    Where that cannot be written, nothing is shown. ``detail`` is the command's own words.
    """
    from kfstate.audit.people.naming import OwnWords

    told: list[str] = []
    try:
        yield told
    except BaseException as error:
        told[:] = ["interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__]
        raise
    finally:
        engine.audit.accessed(
            action, actor=who(), open_kfid=open_kfid, external_userid=external_userid, detail=OwnWords(detail),
            result=", ".join(told) or "ok",
        )  # fmt: skip


def entering(engine: "Engine", action: str, detail: str) -> None:
    """Write into the access log what is about to be shown, word for word; where that cannot be written, nothing is."""
    from kfstate.audit.people.naming import OwnWords

    engine.audit.accessed(action, actor=who(), detail=OwnWords(detail))


def noted(
    ctx: "Context",
    engine: "Engine",
    action: str,
    *,
    detail: str,
    result: str = "ok",
    open_kfid: str | None = None,
    external_userid: str | None = None,
) -> None:
    """Write into the access log what shows no words of anybody; where that cannot be written, say so and go on."""
    from sqlalchemy.exc import SQLAlchemyError

    from kfstate.audit.people.naming import OwnWords
    from kfstate.errors import StoreError

    try:
        engine.audit.accessed(
            action, actor=who(), open_kfid=open_kfid or "", external_userid=external_userid or "",
            detail=OwnWords(detail), result=result,
        )  # fmt: skip
    except (SQLAlchemyError, StoreError) as error:
        ctx.out.note(f"kfstate: not in the access log: {error}")
