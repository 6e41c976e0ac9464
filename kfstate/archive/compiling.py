"""The compiler of the columnar fold, in one place: whoever lacks it is told which extra to install."""

from collections.abc import Callable
from typing import Any, TypeVar

from kfstate.errors import ExtraError

try:
    import numba
except ImportError as error:
    raise ExtraError(needed=error.name or "numba", remedy='pip install "kfstate[columnar]"') from error

__all__ = ["jit"]

_F = TypeVar("_F", bound=Callable[..., Any])


def jit(function: _F) -> _F:
    """Compile a function of numbers and arrays when it is first called; keep the result on the disk, where one can."""
    compiled: _F = numba.njit(cache=True)(function)
    return compiled
