"""The compiler of the columnar fold, in one place: whoever lacks it is told which extra to install."""

import hashlib
from collections.abc import Callable
from importlib import resources
from typing import Any, TypeVar, cast

from kfstate.errors import ExtraError

try:
    import numba
except ImportError as error:
    raise ExtraError(needed=error.name or "numba", remedy='pip install "kfstate[columnar]"') from error

__all__ = ["STAMP", "inlined", "jit"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _stamp() -> str:
    """Return a digest of all the sources that compiled code is made from, not only of the file that it stands in."""
    digest = hashlib.sha256()
    for folder in (resources.files("kfstate.archive.columnar"), resources.files("kfstate.machine")):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith(".py"):
                digest.update(file.read_bytes())
    return digest.hexdigest()


STAMP = _stamp()
"""What is kept on the disk under another stamp is compiled again."""


def jit(function: _F) -> _F:
    """Compile a function of numbers and arrays when it is first called; keep the result on the disk, where one can."""
    return _compiled(function, inline=False)


def inlined(function: _F) -> _F:
    """Compile a function into each of those that call it.

    A call hands over seven numbers or more for each array, which takes as long as most of these functions.
    """
    return _compiled(function, inline=True)


def _compiled(function: _F, *, inline: bool) -> _F:
    options: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "forceinline": inline}  # _nrt: counts references
    try:
        compiled: Any = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is nowhere to keep it
        return cast("_F", numba.njit(**options)(function))
    compiled._cache._cache_file._source_stamp = STAMP  # noqa: SLF001 - numba looks at one file alone, which may be stale
    return cast("_F", compiled)
