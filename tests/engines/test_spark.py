"""PySpark gives the states of the single process: `nox -s engines`; it needs Java."""

import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from kfstate.archive.columnar import digest, fold_archive, with_spark

__all__: list[str] = []


@pytest.mark.filterwarnings("default")  # PySpark warns of itself
def test_spark(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same states through `mapInArrow`."""
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    wanted = digest(fold_archive(archive))
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        found = with_spark(session, archive).toArrow()
    finally:
        session.stop()
    assert found.num_rows > 0
    assert wanted == digest([found])
