"""Where pages are run: in a new folder, on a terminal 200 columns wide, in English, with UTC as the zone."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import Page
from tests.docs.exports import export

__all__: list[str] = []

_TERMINAL = {"LC_ALL": "C.UTF-8", "TERM": "xterm", "COLUMNS": "200", "NO_COLOR": "1", "TZ": "UTC"}


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Give a page that can be run."""
    for name in ("KFSTATE_DB", "KFSTATE_JSON", "KFSTATE_LANG", "KFSTATE_CORP_ID"):
        monkeypatch.delenv(name, raising=False)
    with monkeypatch.context() as patch:
        for name, value in _TERMINAL.items():
            patch.setenv(name, value)
        patch.chdir(tmp_path)
        time.tzset()
        yield Page(tmp_path)
    time.tzset()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """Give the anchor of a log, and its export, line by line: to be copied before it is changed."""
    return export(tmp_path_factory.mktemp("exported"))
