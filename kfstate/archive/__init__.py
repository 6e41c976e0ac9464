"""The log in files: Parquet for machines, NDJSON for everybody, CSV and XLSX for people.

Parquet needs the extra ``archive`` (pyarrow, numpy), XLSX too; NDJSON and CSV need nothing.
"""

from kfstate.archive.face import Archive, import_log
from kfstate.archive.results import Erased, Exported, Restored

__all__ = ["Archive", "Erased", "Exported", "Restored", "import_log"]
