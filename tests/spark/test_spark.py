"""PySpark gives the states of the single process: ``nox -s spark``, which installs it; it needs Java."""

import os
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from kfstate.archive.columnar import digest, fold_archive, with_spark
from kfstate.archive.exporting import export
from kfstate.store.database import Database
from tests.archive.world import make, sqlite

__all__: list[str] = []


@pytest.mark.filterwarnings("default")  # PySpark warns of itself
def test_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same states through `mapInArrow`."""
    make(sqlite(tmp_path / "log.db"))
    database = Database(sqlite(tmp_path / "log.db"))
    archive = tmp_path / "archive"
    export(database, archive, size=150)
    database.close()
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        found = with_spark(session, archive).toArrow()
    finally:
        session.stop()
    assert found.num_rows > 0
    assert digest(fold_archive(archive)) == digest([found])
