"""The archive on the command line."""

import json
from pathlib import Path

import pytest

from kfstate.engine import Engine
from kfstate.errors import WorkerLostError
from tests.cli.runner import kfstate

__all__: list[str] = []


@pytest.mark.parametrize("form", ["parquet", "ndjson"])
def test_there_and_back(sampled: Path, tmp_path: Path, form: str) -> None:
    """A log goes out and comes back with its chain and its states; a second export has nothing to do."""
    place = tmp_path / form
    log = ("--db", str(sampled))
    if form == "parquet":
        done = json.loads(kfstate(*log, "archive", "export", str(place), "--json").out)
        again = json.loads(kfstate(*log, "archive", "export", str(place), "--json").out)
        assert (0, 0, done["chain"]) == (again["parts"], again["entries"], again["chain"])
        assert {"names": 0, "payloads": 0, "files": 0} == json.loads(
            kfstate(*log, "archive", "follow", str(place), "--json").out
        )
    else:
        assert 0 == kfstate(*log, "export", "ndjson", str(place)).code
        done = json.loads(place.read_text().splitlines()[-1])
    back = kfstate("--db", str(tmp_path / "back.db"), "archive", "import", str(place), "--json")
    assert done["chain"] == json.loads(back.out)["chain"]
    with Engine(f"sqlite:///{sampled}") as theirs, Engine(f"sqlite:///{tmp_path / 'back.db'}") as ours:
        assert list(theirs.sessions(as_of_log=True)) == list(ours.sessions(as_of_log=True))
        assert theirs.verify() == ours.verify()


def test_tables(sampled: Path, tmp_path: Path) -> None:
    """Tables for people go to a file or a pipe; a file is whole or not there."""
    log = ("--db", str(sampled))
    told = kfstate(*log, "export", "csv", "--table", "messages")
    assert told.out.lstrip("\ufeff").startswith("序号,时间,客服账号")
    assert 0 == kfstate(*log, "export", "xlsx", str(tmp_path / "all.xlsx")).code
    assert [] == list(tmp_path.glob(".*"))
    assert 0 == kfstate(*log, "export", "csv", str(tmp_path / "sessions.csv")).code
    with Engine(f"sqlite:///{sampled}") as engine:
        assert {"csv messages", "csv sessions"} <= {seen.detail for seen in engine.audit.accesses(action="export")}
    assert "开始方式" in (tmp_path / "sessions.csv").read_text("utf-8-sig")


@pytest.mark.parametrize(
    "end",
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 141, "BrokenPipeError"),
        (WorkerLostError(2), 4, "WorkerLostError"),
    ],
    ids=lambda end: end[2],
)
def test_broken_off(
    sampled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: tuple[BaseException, int, str]
) -> None:
    """The access log has how it ended, and nothing half written is there."""
    error, code, told = end

    def fails(*_: object, **__: object) -> None:
        raise error

    for name, command in (("write", "export ndjson"), ("export", "archive export")):
        monkeypatch.setattr(f"kfstate.archive.face.Archive.{name}", fails)
        done = kfstate("--db", str(sampled), *command.split(), tmp_path / "log")
        assert (code, code != 141) == (done.code, bool(done.err)), done
    with Engine(f"sqlite:///{sampled}") as engine:
        assert [told] * 2 == [seen.result for seen in engine.audit.accesses(action="export")][-2:]
    assert [] == list(tmp_path.iterdir())


def test_errors(sampled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no archive, and what is not there, is said in one line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no.ndjson").write_text("nonsense\n")
    back = ("--db", str(tmp_path / "back.db"))
    for words in (("no.ndjson",), (str(tmp_path),), ("nowhere",)):
        done = kfstate(*back, "archive", "import", *words)
        assert (1, 1) == (done.code, len(done.err.splitlines())), done
    log = ("--db", str(sampled))
    for command in ("export", "follow", "import"):
        assert 2 == kfstate(*log, "archive", command, "").code
    assert [] == list(tmp_path.glob("part-*"))
    assert 1 == kfstate(*log, "archive", "import", "no.ndjson").code
    assert 1 == kfstate(*log, "archive", "export", "no.ndjson").code
    for call in (("export", "ndjson", "nowhere/log"), ("export", "csv", ".")):
        done = kfstate(*log, *call)
        assert (2, 1) == (done.code, len(done.err.splitlines())), done
