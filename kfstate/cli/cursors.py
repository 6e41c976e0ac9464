"""Cursors of pages: a key of ids and numbers as one word, to be copied from one call into the next."""

import re
from urllib.parse import unquote

from kfstate.cli.exits import UsageError

__all__ = ["join", "split"]


def join(*parts: object) -> str:
    """Return the parts as one word, parted by ``/``."""
    return "/".join(re.sub("[%/ ]", lambda found: f"%{ord(found[0]):02X}", str(part)) for part in parts)


def split(cursor: str, *names: str) -> list[str]:
    """Return the parts of a cursor that :func:`join` made; raise a usage error where they are not these."""
    parts = cursor.split("/")
    if len(parts) != len(names) or not all(parts):
        raise UsageError(f'--after "{cursor}": expected {"/".join(names)}, as the previous page printed it')
    return [unquote(part) for part in parts]
