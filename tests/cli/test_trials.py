"""`audit gate`, `compare`, `what-if`, and machines as files: exit codes, JSON, tables, and what is refused."""

import json
import os
from pathlib import Path

import pytest

from kfstate import samples
from kfstate.audit.definition import schema
from kfstate.engine import Engine
from tests.cli.runner import Result, kfstate

__all__: list[str] = []


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """Return the file of a machine whose sessions expire after a minute."""
    text = kfstate("machine", "export").out.replace("expires_after = 172800", "expires_after = 60")
    path = tmp_path / "machine.toml"
    path.write_text(text.replace('version = "1"', 'version = "minute"'), encoding="utf-8")
    return path


def audit(sampled: Path, *arguments: object, terminal: bool = False) -> Result:
    """Run a command of `audit` on the samples."""
    return kfstate("--db", sampled, "audit", *arguments, terminal=terminal)


def test_gate(sampled: Path, candidate: Path, tmp_path: Path) -> None:
    """It leaves with 1 where a session changes, and with 0 where that is accepted, or where nothing does."""
    Path("1").write_text("a file of that name: a number is a version")
    same = audit(sampled, "gate", "--machine", "1")
    assert (0, True, []) == (same.code, same.one["passed"], same.one["changed"])
    found = audit(sampled, "gate", "--machine", candidate)
    assert (1, False) == (found.code, found.one["passed"])
    assert found.one["changed"]
    assert found.one["before"]["ends"] != found.one["after"]["ends"]
    assert all(change["why"] for change in found.one["changed"])
    accepted, journal = tmp_path / "accepted.toml", tmp_path / "journal"
    accepted.write_text("".join(
        f'[[accept]]\nreason = "meant"\nchange = "{word}"\n' for word in ("changed", "gone", "new")
    ))  # fmt: skip
    for _ in range(2):
        done = audit(
            sampled, "gate", "--machine", candidate, "--accepted", accepted, "--journal", journal, "--baseline", "1"
        )
        assert (0, {"meant"}) == (done.code, {change["accepted"] for change in done.one["changed"]})
    shown = audit(sampled, "gate", "--machine", candidate, terminal=True)
    assert 1 == shown.code
    assert "minute" not in shown.out
    assert "wait_p90" in shown.out
    assert "known up to" in shown.out
    chinese = kfstate("--db", sampled, "--lang", "zh", "audit", "gate", "--machine", candidate, terminal=True)
    assert "接受原因" in chinese.out


def test_compare(sampled: Path, candidate: Path, tmp_path: Path) -> None:
    """The projections are as the fold makes them; two machines and two databases may not be alike."""
    assert (0, True) == ((found := audit(sampled, "compare")).code, found.one["equal"])
    assert 0 == audit(sampled, "compare", terminal=True).code
    assert 1 == audit(sampled, "compare", "--machine", candidate).code
    assert 0 == audit(sampled, "compare", "--machine", candidate, "--baseline", candidate).code
    other = tmp_path / "other.db"
    with Engine(f"sqlite:///{other}") as engine:
        engine.ingest(samples.paths()[:1])
    found = audit(sampled, "compare", "--database", other)
    assert 1 == found.code
    assert {"missing"} == {apart["what"] for apart in found.one["apart"]}
    assert 0 == audit(sampled, "compare", "--database", sampled).code


def test_what_if(sampled: Path, candidate: Path, tmp_path: Path) -> None:
    """A branch has other figures; the log is as it was."""
    before = kfstate("--db", sampled, "verify").one
    inject = tmp_path / "inject.ndjson"
    entry = {
        "kind": "state_changed", "actor": "auditor", "service_state": 4, "open_kfid": "wkNEW",
        "external_userid": "wmNEW", "occurred_at": "2025-03-03T13:00:00+08:00",
    }  # fmt: skip
    opened = entry | {"service_state": 1, "occurred_at": "2025-03-03T12:00:00+08:00"}
    inject.write_text(f"{json.dumps(opened)}\n\n{json.dumps(entry)}\n")
    found = audit(sampled, "what-if", "--inject", inject).one
    assert (2, ["new"]) == (found["injected"], [change["change"] for change in found["changed"]])
    found = audit(sampled, "what-if", "--machine", candidate).one
    gate = audit(sampled, "gate", "--machine", candidate).one
    assert (gate["changed"], gate["after"]) == (found["changed"], found["after"])
    late = audit(sampled, "what-if", "--machine", candidate, "--since", "2099-01-01T00:00:00Z")
    assert (0, []) == (late.code, late.one["changed"])
    first = gate["changed"][0]
    one = audit(sampled, "what-if", first["open_kfid"], first["external_userid"], "--machine", candidate)
    assert 1 == one.one["conversations"]
    assert 0 == audit(sampled, "what-if", "--machine", candidate, terminal=True).code
    assert before == kfstate("--db", sampled, "verify").one


WRONG = [
    (("gate", "--machine", "nowhere.toml"), 2, "No such file"),
    (("gate", "--machine", "7"), 2, "7"),
    (("gate", "--machine", "bad.toml"), 2, "unknown field"),
    (("gate", "--machine", "1", "--accepted", "nowhere"), 2, "No such file"),
    (("gate", "--machine", "1", "--accepted", "bad.toml"), 2, "accept"),
    (("gate", "--machine", "1", "--accepted", "deep.toml"), 2, "[[accept]]"),
    (("gate", "--machine", "1", "--journal", os.devnull), 2, "no file"),
    (("gate", "--machine", "1", "--sample", "2"), 2, "sample"),
    (("gate", "--machine", "1", "--processes", "0"), 2, "processes"),
    (("gate", "--machine", "1", "--journal", "bad.toml"), 2, "journal"),
    (("gate", "--machine", "1", "--journal", "no/folder/j"), 2, "No such file"),
    (("gate", "--machine", "1", "--sample", "0.0000001"), 2, "sample"),
    (("gate", "--machine", "1", "--corp-id", "another"), 2, "corp-id"),
    (("compare", "--corp-id", "another"), 2, "corp-id"),
    (("gate", "--machine", "1", "--accepted", "words.toml"), 2, "zzz"),
    (("compare", "--sample", "0.0000001"), 2, "sample"),
    (("compare", "--machine", "1", "--database", "x.db"), 2, "two comparisons"),
    (("compare", "--baseline", "1"), 2, "--machine"),
    (("compare", "--database", "nowhere.db"), 2, "database that is there"),
    (("what-if",), 2, "--inject"),
    (("what-if", "wk1", "--machine", "1"), 2, "EXTERNAL_USERID"),
    (("what-if", "wk1", "wm1", "--machine", "1"), 3, "wm1"),
    (("what-if", "--inject", "bad.toml"), 2, "line 1"),
    (("what-if", "--inject", "list.json"), 2, "no object"),
    (("what-if", "--inject", "kind.json"), 2, "line 3"),
    (("what-if", "--inject", "deep.json"), 2, "line 1"),
    (("what-if", "--machine", "1", "--since", "soon"), 2, "--since"),
    (("what-if", "--machine", "1", "--since", "0001-01-01T00:00:00+08:00"), 2, "since"),
]


@pytest.mark.parametrize(("arguments", "code", "told"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_refused(sampled: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, told: str) -> None:
    """What is wrong is said in one line, with the exit code that the documents give."""
    (tmp_path / "bad.toml").write_text(kfstate("machine", "export").out.replace("[clockwork]", "[clockwork]\nhook = 1"))
    (tmp_path / "list.json").write_text("[1]\n")
    (tmp_path / "kind.json").write_text('\n\n{"kind": "nothing"}\n')
    (tmp_path / "deep.json").write_text('{"a":' * 99_999)
    (tmp_path / "deep.toml").write_text("accept = " + "[" * 20_000)
    (tmp_path / "words.toml").write_text('[[accept]]\nreason = "r"\nonly = ["zzz"]\n')
    done = audit(sampled, *arguments)
    assert (code, 1) == (done.code, len(done.err.splitlines())), done.err
    assert told in done.err


def test_machine_files(candidate: Path, tmp_path: Path) -> None:
    """Files of machines are checked, shown and drawn as the machine of this release is."""
    assert ("minute", []) == ((found := kfstate("machine", "check", candidate)).one["machine"], found.one["problems"])
    assert kfstate("machine", "show").out == kfstate("machine", "show", candidate).out
    assert kfstate("machine", "diagram").out == kfstate("machine", "diagram", candidate).out
    assert schema() == json.loads(kfstate("machine", "schema").out)
    written = tmp_path / "machine.json"
    written.write_text(kfstate("machine", "export", "--form", "json").out, encoding="utf-8")
    assert kfstate("machine", "check").one == kfstate("machine", "check", written).one
    written.write_text("{}")
    bad = kfstate("machine", "check", written)
    assert (1, None) == (bad.code, bad.one["machine"])
    assert bad.one["problems"]
    assert 2 == kfstate("machine", "check", tmp_path / "nowhere.json").code
    candidate.write_text(candidate.read_text().replace('name = "ended.again"', 'name = "ended"'))
    unsound = kfstate("machine", "check", candidate)
    assert ["row ended: the name is used twice"] == unsound.one["problems"]
