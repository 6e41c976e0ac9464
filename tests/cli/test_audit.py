"""Questions about then on the command line: ``--at``, ``--known-at``, and ``kfstate audit``."""

import json
from pathlib import Path

import pytest

from kfstate.engine import Engine
from kfstate.testing import customer_message, page
from tests.cli.runner import kfstate

__all__: list[str] = []

KF, USER = "wkSAMPLE0000000000000000000SHOP1", "wmSAMPLE000000000000000ChenNvshi"
QUEUED = "2025-03-03T13:02:00+08:00"


@pytest.fixture
def db(sampled: Path) -> tuple[str, str]:
    """The options that choose the database of samples."""
    return "--db", str(sampled)


def test_questions_about_then(db: tuple[str, str]) -> None:
    """The same commands answer about then, from the log alone; a time without a zone is the machine's."""
    shown = kfstate("show", KF, USER, "--at", QUEUED, *db).one
    assert ("queue", None) == (shown["state"], shown["servicer_userid"])
    (waits,) = kfstate("queue", "--at", QUEUED, *db).lines
    assert (USER, 23) == (waits["external_userid"], waits["waiting_seconds"])
    assert [] == kfstate("queue", "--at", QUEUED, "--known-at", "1", *db).lines
    (session,) = kfstate("sessions", "--customer", USER, "--at", QUEUED, *db).lines
    assert (None, True) == (session["taken_at"], session["queued_at"] is not None)
    assert "queue" == kfstate("history", KF, USER, "--at", QUEUED, *db).lines[-1]["after"]
    known = session["session_id"]
    assert "untreated" == kfstate("show", KF, USER, "--at", QUEUED, "--known-at", known, *db).one["state"]
    assert "finished" == kfstate("show", KF, USER, "--known-at", known, *db).one["state"]
    found = kfstate("audit", "as-of", KF, USER, "--at", QUEUED, "--known-at", known, *db).one
    assert ("untreated", "queue", known) == (found["state"]["state"], found["now"]["state"], found["known_at"])
    for command in (("show", KF, USER), ("queue",), ("sessions",), ("history", KF, USER), ("audit", "as-of", KF, USER)):
        assert 0 == kfstate(*command, "--at", QUEUED, *db, terminal=True).code


def test_explain_timeline_report(db: tuple[str, str], tmp_path: Path) -> None:
    """An entry is explained, a conversation drawn, a report written, in the language of the run."""
    taken = next(line for line in kfstate("history", KF, USER, *db).lines if line["after"] == "manual")
    found = kfstate("audit", "explain", taken["position"], *db).one
    assert "taken.from_queue" == found["transition"]["name"]
    assert (
        "从接待池接入了客户" in kfstate("--lang", "zh", "audit", "explain", taken["position"], *db, terminal=True).out
    )
    assert "untreated" == kfstate("audit", "timeline", KF, USER, *db).one["stretches"][1]["state"]
    assert kfstate("audit", "timeline", KF, USER, "--mermaid", *db).out.startswith("gantt\n")
    assert "由人工接待 TangWei" in kfstate("--lang", "zh", "audit", "timeline", KF, USER, *db, terminal=True).out
    done = kfstate("--lang", "zh", "audit", "report", KF, USER, "r.html", *db).one
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert len(page.encode()) == done["bytes"]
    assert "会话审计报告" in page
    assert 2 == kfstate("audit", "report", KF, USER, "r.html", *db).code
    assert 2 == kfstate("audit", "report", KF, USER, "no/folder/r.html", *db).code


def test_half_an_emoji(tmp_path: Path) -> None:
    """A message may hold what no file can: it is shown as such, wherever it is shown."""
    db = ("--db", "half.db")
    element = customer_message(KF, USER, 1_741_000_000, content="half \ud83d", msgid="half")
    assert 0 == kfstate("ingest", "-", *db, stdin=json.dumps(page([element])).encode()).code
    assert 0 == kfstate("audit", "report", KF, USER, "r.html", *db).code
    assert "<td>half �</td>" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert 0 == kfstate("export", "xlsx", "all.xlsx", *db).code
    for command in ("explain", "show", "history"):
        done = kfstate(command, KF, USER, *db, terminal=True)
        assert 0 == done.code, done.err


def test_a_report_that_failed_leaves_nothing(
    db: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file, no word of what was said, and the access log says so; no file either where that cannot be written."""
    known = set(tmp_path.iterdir())
    monkeypatch.setattr("kfstate.audit.Audit.report", lambda *_, **__: "a secret \ud83d")
    done = kfstate("audit", "report", KF, USER, "r.html", *db)
    assert (70, False) == (done.code, "secret" in done.err)
    assert known == set(tmp_path.iterdir())
    with Engine(f"sqlite:///{db[1]}") as engine:
        assert "UnicodeEncodeError" in {seen.result for seen in engine.audit.accesses(action="report")}
    monkeypatch.setattr("kfstate.audit.Audit.report", lambda *_, **__: "page")
    monkeypatch.setattr("kfstate.audit.Audit.accessed", lambda *_, **__: 1 / 0)
    assert 70 == kfstate("audit", "report", KF, USER, "r.html", *db).code
    assert known == set(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("show", KF, USER, "--at", "yesterday"), 2),
        (("show", KF, USER, "--at", QUEUED, "--as-of-log"), 2),
        (("show", KF, USER, "--known-at", "1"), 3),
        (("show", KF, "nobody", "--at", QUEUED), 3),
        (("sessions", "--at", QUEUED, "--after", f"{USER}/{KF}/1"), 2),
        (("queue", "--known-at", "-"), 2),
        (("queue", "--known-at", "9" * 5_000), 2),
        (("sessions", "--after", f"{USER}/{KF}/{1 << 63}"), 2),
        (("anomalies", "--after", f"{1 << 63}/repaired"), 2),
        (("anomalies", "--after", "9" * 5_000 + "/repaired"), 2),
        (("anomalies", "--after", "7/"), 2),
        (("queue", "--known-at", 1 << 63), 2),
        (("audit", "explain", "99999"), 2),
        (("audit", "explain", 1 << 70), 2),
        (("audit", "release", 1 << 63, "--basis", "over"), 2),
        (("events", "--after", 1 << 70), 2),
        (("verify", "--first", 1 << 70), 2),
        (("verify", "--first", "9", "--last", "3"), 2),
        (("verify", "--last", "-4"), 2),
        (("audit", "as-of", KF, USER, "--machine", "none"), 2),
        (("audit", "as-of", KF, USER, "--at", "0001-01-01T00:00:00+08:00"), 2),
        (("audit", "timeline", KF, USER, "--at", "9999-12-31T23:59:59-10:00"), 2),
        (("audit", "report", KF, USER, "r.html", "--at", "9999-12-31T23:59:59Z"), 2),
    ],
)
def test_what_cannot_be_asked(db: tuple[str, str], command: tuple[object, ...], code: int) -> None:
    """A wrong question is one line, and an exit code."""
    done = kfstate(*command, *db)
    assert code == done.code, done.err
    assert 1 == len(done.err.splitlines())
