"""``kfstate record`` and ``tick``: what our own side did or saw, and what time did."""

import json
import sys
from pathlib import Path
from typing import Any

from kfstate.cli.context import Given
from kfstate.cli.exits import UsageError

__all__ = ["record", "tick"]

_STDIN = ("-", "./-")
_VERSIONS = ("any", "new", "exists")


def record(entry: str = "-", *, expected: str = "any", ctx: Given) -> None:
    """Record one own entry: what the service that embeds kfstate did or saw.

    Leaves with 1 when the entry is refused, with 5 when its stream is not at the expected version. For many own
    entries at once, `kfstate ingest` reads them as NDJSON.

    Args:
        entry: The own entry as JSON; or a file with it; or - for standard input.
        expected: The version of its stream that was decided on: any, new, exists, or a number.
        ctx: The settings of this run.
    """
    if expected not in _VERSIONS and not expected.isdecimal():
        raise UsageError(f'--expected: "{expected}" is none of {", ".join(_VERSIONS)}, nor a number')
    own = _parsed(*_read(entry))
    wanted: Any = int(expected) if expected.isdecimal() else expected
    with ctx.writer() as engine:
        done = engine.record(own, expected=wanted)
    found = {"position": done.position, "duplicate": done.duplicate}
    if ctx.out.json:
        ctx.out.line(found)
    else:
        ctx.out.facts({"position": done.position, "duplicates": done.duplicate})


def tick(*, ctx: Given) -> None:
    """Record the sessions that have expired by now, so that readers of the log see it.

    No state depends on it: the expiry is part of the fold.

    Args:
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        expired = engine.tick()
    if ctx.out.json:
        ctx.out.line({"expired": expired})
    else:
        ctx.out.facts({"expired": expired})


def _read(entry: str) -> tuple[str, str]:
    """Return the name of the source and its text."""
    if entry.lstrip()[:1] == "{":
        return "<argument>", entry
    if entry in _STDIN:
        if sys.stdin.isatty():
            raise UsageError("record: give the own entry as JSON, name a file, or pipe it in")
        return "<stdin>", sys.stdin.read()
    from kfstate.errors import WireError

    try:
        return entry, Path(entry).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise WireError(path=entry, value=entry, reason=f"cannot be read ({told})") from error


def _parsed(source: str, text: str) -> dict[str, Any]:
    from kfstate.errors import EnvelopeError

    try:
        own = json.loads(text)
    except ValueError as error:
        raise EnvelopeError(path=source, value=text.strip()[:200], reason=f"no JSON ({error})") from error
    if not isinstance(own, dict):
        raise EnvelopeError(path=source, value=text.strip()[:200], reason="no JSON object")
    return own
