"""The heavy packages, in one place: whoever lacks them is told which extra to install."""

from kfstate.errors import ExtraError

try:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError as error:
    raise ExtraError(needed=error.name or "pyarrow", remedy='pip install "kfstate[archive]"') from error

__all__ = ["np", "pa", "pc", "pq"]
