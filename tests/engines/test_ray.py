"""Ray Data gives the states of the single process: `nox -s engines`."""

from pathlib import Path
from typing import Any

import pytest

from kfstate.archive.columnar import digest, fold_archive, with_ray

__all__: list[str] = []


@pytest.mark.filterwarnings("default")  # Ray warns of itself
def test_ray(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same states as a dataset, whoever of the workers folded them."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    wanted = digest(fold_archive(archive))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        found: list[Any] = list(with_ray(archive).iter_batches(batch_size=None, batch_format="pyarrow"))
    finally:
        ray.shutdown()
    assert sum(table.num_rows for table in found) > 0
    assert wanted == digest(found)
