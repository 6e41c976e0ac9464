"""The heavy packages, in one place: whoever lacks them is told which extra to install."""

from typing import Any

from kfstate.errors import ExtraError

try:
    import numpy as np
    import pyarrow  # noqa: ICN001 (pa is the same, of type Any)
    import pyarrow.compute
    import pyarrow.parquet
except ImportError as error:
    raise ExtraError(needed=error.name or "pyarrow", remedy='pip install "kfstate[archive]"') from error

pa: Any = pyarrow
"""Any, as the next ones: pyarrow ships no types, and what checkers guess of it is wrong."""
pc: Any = pyarrow.compute
pq: Any = pyarrow.parquet

__all__ = ["np", "pa", "pc", "pq"]
