"""`kfstate simulate` and `demo`: the same lines every time, as a stream, and a tour that tells the truth."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kfstate.testing import pages
from kfstate.testing.simulation import Profile
from tests.cli.runner import ROOT, kfstate

__all__: list[str] = []


def states(database: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return conversations as of the log, without what depends on the order of arrival."""
    found = kfstate("--db", database, "conversations", "--as-of-log", "--json").lines
    return {
        (view["open_kfid"], view["external_userid"]): {
            name: value for name, value in view.items() if name not in {"position", "session_id", "synced_until"}
        }
        for view in found
    }


def test_the_same_options_give_the_same_lines() -> None:
    """`simulate` is decided by its options, and is what the library gives."""
    first = kfstate("simulate", "--seed", 3, "--conversations", 10)
    assert (0, first.out) == (0, kfstate("simulate", "--seed", 3, "--conversations", 10).out)
    assert list(pages(3, 10)) == first.lines
    assert first.out != kfstate("simulate", "--seed", 4, "--conversations", 10).out


def test_options_of_the_profile() -> None:
    """The knobs of the simulated world are options."""
    options = ("--ties", 0, "--late", 0, "--duplicates", 0, "--conflicts", 0, "--accounts", 1)
    calm = kfstate("simulate", "--conversations", 20, "--no-own-entries", *options).lines
    assert (
        list(pages(1, 20, profile=Profile(ties=0, late=0, duplicates=0, conflicts=0, accounts=1), own_entries=False))
        == calm
    )
    assert 0 == kfstate("ingest", "-", stdin=json.dumps(calm[0]).encode()).one["duplicates"]


@pytest.mark.parametrize(("options", "entries"), [(("--conversations", 50), 123), ((), 7_000)])
def test_entries_bound(options: tuple[object, ...], entries: int) -> None:
    """`--entries` stops after so many, and alone brings as many customers as that takes."""
    found = kfstate("simulate", *options, "--entries", entries).lines
    assert entries == sum(len(line["msg_list"]) if "msg_list" in line else 1 for line in found)


@pytest.mark.parametrize(
    "options",
    [
        ("--ties", "2"), ("--page-size", "0"), ("--tie", "0.1"), ("--overlap", "-1"), ("--entries", "0"),
        ("--conversations", "-1"), ("--window", "-1"),
    ],
)  # fmt: skip
def test_wrong_options(options: tuple[str, str]) -> None:
    """Knobs out of range leave with 2 and one line."""
    done = kfstate("simulate", *options)
    assert (2, "", 1) == (done.code, done.out, len(done.err.splitlines()))


def test_streams() -> None:
    """Ten million entries begin to come at once, and nobody complains when the reader goes away."""
    command = [sys.executable, "-W", "error", "-m", "kfstate", "simulate", "--conversations", "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        first = json.loads(run.stdout.readline())
        run.stdout.close()
        complaint = run.stderr.read()
    assert (141, b"") == (run.wait(), complaint)
    assert {"msg_list", "kind"} & set(first)


def test_round_trip_through_a_pipe(tmp_path: Path) -> None:
    """`simulate | ingest -` stores everything; the same again appends nothing."""
    call = [sys.executable, "-W", "error", "-m", "kfstate"]
    lines = subprocess.run(
        [*call, "simulate", "--conversations", "20"], check=True, capture_output=True, cwd=ROOT
    ).stdout
    store = [*call, "--db", str(tmp_path / "a.db"), "ingest", "-"]
    first, again = (
        json.loads(subprocess.run(store, check=True, capture_output=True, cwd=ROOT, input=lines).stdout)
        for _ in range(2)
    )
    assert (0, first["entries"], 0) == (first["rejected"], again["duplicates"], again["appended"])
    assert 20 == len(kfstate("--db", tmp_path / "a.db", "conversations").lines)


def test_order_of_arrival_does_not_matter() -> None:
    """200 conversations as shuffled, overlapping pages, ties included, give the states that they give in order."""
    world = ("simulate", "--seed", 11, "--conversations", 200, "--ties", 0.3)
    in_order, shuffled = kfstate(*world), kfstate(*world, "--shuffled", "--overlap", 0.3)
    assert in_order.out != shuffled.out
    assert 0 == kfstate("--db", "order.db", "ingest", "-", stdin=in_order.out.encode()).code
    report = kfstate("--db", "shuffled.db", "ingest", "-", stdin=shuffled.out.encode()).one
    assert report["late"] > 0
    assert report["duplicates"] > 0
    expected = states("order.db")
    assert 200 == len(expected)
    assert expected == states("shuffled.db")


def test_demo() -> None:
    """The demo is a tour of what the engine knows; nothing differs, the log verifies, and no file is left."""
    stops = kfstate("demo", "--json").lines
    answers = {line["command"].split()[0]: line["answer"] for line in stops}
    assert {"conversations", "history", "explain", "queue", "load", "sessions", "rebuild", "verify"} <= set(answers)
    assert {"finished", "manual"} <= {view["state"] for view in answers["conversations"]}
    assert "repaired" in {step["outcome"] for step in answers["history"]}
    assert answers["queue"]
    assert (0, "OK") == (answers["rebuild"]["different"], answers["verify"]["status"])
    first, again = stops[0]["answer"], answers["ingest"]
    assert (0, first["entries"]) == (again["appended"], again["duplicates"])
    assert [] == list(Path().iterdir())


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_demo_for_people(lang: str) -> None:
    """In a pipe and on a terminal the demo is text, and each stop says which command shows it."""
    told = kfstate("demo", "--lang", lang)
    assert 0 == told.code
    assert 11 == told.out.count("   $ kfstate --db ")


def test_demo_into_a_database() -> None:
    """With --db the demo's database stays, and must be new: a second time leaves with 4."""
    assert 0 == kfstate("--db", "demo.db", "demo").code
    assert kfstate("--db", "demo.db", "conversations").lines
    assert 4 == kfstate("--db", "demo.db", "demo").code


def test_demo_leaves_the_configured_database_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database from the environment is not what the demo fills."""
    monkeypatch.setenv("KFSTATE_DB", "production.db")
    assert 0 == kfstate("demo").code
    assert not Path("production.db").exists()
