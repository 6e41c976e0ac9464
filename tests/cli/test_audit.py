"""Questions about then on the command line: ``--at``, ``--known-at``, and ``kfstate audit``."""

from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("show", KF, USER, "--at", "yesterday"), 2),
        (("show", KF, USER, "--at", QUEUED, "--as-of-log"), 2),
        (("show", KF, USER, "--known-at", "1"), 3),
        (("show", KF, "nobody", "--at", QUEUED), 3),
        (("sessions", "--at", QUEUED, "--after", f"{USER}/{KF}/1"), 2),
        (("queue", "--known-at", "-"), 2),
        (("audit", "explain", "99999"), 1),
        (("audit", "as-of", KF, USER, "--machine", "none"), 1),
    ],
)
def test_what_cannot_be_asked(db: tuple[str, str], command: tuple[str, ...], code: int) -> None:
    """A wrong question is one line, and an exit code."""
    done = kfstate(*command, *db)
    assert code == done.code, done.err
    assert 1 == len(done.err.splitlines())
