"""``kfstate audit erase`` and its neighbours, and the access log that the commands write."""

import json
from pathlib import Path

import pytest

from kfstate import Engine
from kfstate.feed import Event
from kfstate.machine import MACHINE
from kfstate.testing import customer_message, page
from tests.cli.runner import Result, kfstate

__all__: list[str] = []

GROUND = ("--basis", "PIPL art. 47", "--actor", "dpo")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Return a log in which two customers wrote."""
    path = tmp_path / "kf.db"
    said = [customer_message("wkA", user, 1_767_225_600 + at) for at, user in enumerate(("wmOne", "wmTwo"))]
    with Engine(f"sqlite:///{path}") as engine:
        engine.ingest(page(said))
    return path


def audit(db: Path, *words: object, terminal: bool = False) -> Result:
    """Run a command of ``kfstate audit`` that does something."""
    done = kfstate("--db", db, "audit", *words, terminal=terminal)
    assert (0, "") == (done.code, done.err)
    return done


def test_erase_hold_release(db: Path, tmp_path: Path) -> None:
    """Each does what the engine does, and prints the receipt; what cannot be done says why."""
    held = audit(db, "hold", "wmOne", "--until", "2999-01-01T00:00:00+08:00", *GROUND).one
    assert ("hold_placed", 1) == (held["action"], held["hold"])
    erased = audit(db, "erase", "wmOne", "--request-id", "T-1", *GROUND).one
    assert ("erased", "T-1", 1, 1) == (erased["action"], erased["request_id"], erased["payloads"], erased["sealed"])
    assert 3 == kfstate("--db", db, "audit", "erase", "wmOne", *GROUND).code
    assert 3 == kfstate("--db", db, "show", "wkA", "wmOne").code
    (hold,) = audit(db, "holds").lines
    assert (True, None, 1) == (hold["in_force"], hold["external_userid"], hold["sealed"])
    assert ["name", "payload"] == [one["kind"] for one in audit(db, "sealed", 1, *GROUND).lines]
    assert "hold_released" == audit(db, "release", 1, *GROUND).one["action"]
    assert 1 == kfstate("--db", db, "audit", "release", 1, *GROUND).code
    assert 0 == audit(db, "retain", "--payloads", "180d", *GROUND).one["payloads"]

    receipts = audit(db, "receipts")
    assert ["hold_placed", "erased", "hold_released"] == [one["action"] for one in receipts.lines]
    (tmp_path / "receipts.ndjson").write_text(receipts.out, "utf-8")
    erased = receipts.lines[1]["position"]
    again = audit(db, "repeat", tmp_path / "receipts.ndjson", *GROUND).one
    assert {"receipts": [], "gone": [erased], "unknown": []} == again
    assert "PIPL art. 47" in audit(db, "receipts", terminal=True).out
    assert "dpo" in audit(db, "retain", "--payloads", "180d", *GROUND, terminal=True).out + audit(db, "holds").out


def test_wrong_words(db: Path, tmp_path: Path) -> None:
    """What nobody can mean leaves with 2 and does nothing."""
    (tmp_path / "none.ndjson").write_text("{", "utf-8")
    for words in (
        ("retain", "--payloads", "soon"), ("hold",), ("hold", "wmOne", "--everybody"),
        ("repeat", tmp_path / "none.ndjson"), ("repeat", tmp_path / "absent"),
    ):  # fmt: skip
        done = kfstate("--db", db, "audit", *words, *GROUND)
        assert (2, "") == (done.code, done.out), words
    (tmp_path / "none.ndjson").write_text(json.dumps({"position": 1}), "utf-8")
    assert 2 == kfstate("--db", db, "audit", "repeat", tmp_path / "none.ndjson", *GROUND).code
    assert [] == audit(db, "receipts").lines


def test_looking_is_noted(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who shows a conversation, or verifies, stands in the access log, with what came of it, and without ids."""
    monkeypatch.setenv("KFSTATE_ACTOR", "ann")
    for words in (("show",), ("history",), ("explain",), ("audit", "as-of")):
        assert 0 == kfstate("--db", db, *words, "wkA", "wmTwo").code
    monkeypatch.delenv("KFSTATE_ACTOR")
    monkeypatch.setenv("LOGNAME", "bob")
    assert 3 == kfstate("--db", db, "show", "wkA", "wmNobody").code
    verified = kfstate("--db", db, "verify").one
    found = audit(db, "access").lines
    assert ["show", "history", "explain", "as-of", "show", "verify"] == [one["action"] for one in found]
    assert ["ann"] * 4 + ["bob"] * 2 == [one["actor"] for one in found]
    assert ["wmTwo"] * 4 + [None] * 2 == [one["external_userid"] for one in found]
    assert ["ok"] * 4 + ["UnknownConversationError", verified["anchor"]] == [one["result"] for one in found]
    assert "wmNobody" not in str(found)
    number = found[0]["customer"]
    assert 4 == len(audit(db, "access", "--by", "ann", "--customer", number).lines)
    assert "ann" in audit(db, "access", terminal=True).out


def dead_letter(db: Path) -> str:
    """Let a handler fail, and return the id of what it could not handle."""

    def fails(event: Event) -> None:
        raise ValueError(event.entry.kind)

    with Engine(f"sqlite:///{db}") as engine:
        engine.subscribe("bot", fails, start="beginning", attempts=1).run(until_idle=True)
        return next(iter(engine.dead_letters())).id


def test_every_look_is_noted(db: Path, tmp_path: Path) -> None:
    """Whatever prints words, or lists ids, stands in the access log: the whole log, dead letters, lists, archives."""
    letter = dead_letter(db)
    folder = tmp_path / "archive"
    looks: dict[tuple[str, ...], tuple[str, str]] = {
        ("events",): ("export", "events"),
        ("events", "tail"): ("export", "events tail"),
        ("dead-letters", "list"): ("show", "dead letters"),
        ("dead-letters", "show", letter): ("show", f"dead letter {letter}"),
        ("archive", "export", str(folder)): ("export", "archive"),
        ("archive", "follow", str(folder)): ("follow", "archive"),
        ("audit", "compare"): ("list", "compare"),
        ("audit", "gate", "--machine", MACHINE.fingerprint): ("list", "gate"),
        ("audit", "what-if", "--machine", MACHINE.fingerprint): ("list", "what-if"),
        ("audit", "holds"): ("list", "holds"),
        ("audit", "access"): ("list", "access"),
        **{(name,): ("list", name) for name in ("conversations", "queue", "anomalies", "fates", "codes")},
        ("sessions", "--customer", "wmTwo"): ("list", "sessions"),
    }
    for words in looks:
        assert kfstate("--db", db, *words).code in {0, 1}, words
    with Engine(f"sqlite:///{db}") as engine:
        found = engine.audit.accesses()
    assert list(looks.values()) == [(one.action, one.detail) for one in found]
    assert "wmTwo" == found[-1].external_userid


def test_nobody_is_called_as_the_words_of_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Customers with ids like words, the account, and the operator's own login stop no command; free words may."""
    monkeypatch.setenv("KFSTATE_ACTOR", "ann")
    words = ("ok", "show", "export", "ndjson", "access", "conversations", "list", "events", "erase", "ann", "wkA")
    db = tmp_path / "kf.db"
    with Engine(f"sqlite:///{db}") as engine:
        engine.ingest(page([customer_message("wkA", user, 1_767_225_600) for user in words]))
    for command in (
        ("show", "wkA", "ok"), ("show", "wkA", "wkA"), ("conversations", "--account", "wkA"), ("audit", "access"),
        ("export", "ndjson", tmp_path / "log.ndjson"), ("events",), ("audit", "erase", "ann", "--basis", "art. 47"),
        ("audit", "hold", "--everybody", "--basis", "art. 47"), ("verify",),
    ):  # fmt: skip
        assert (0, "") == ((done := kfstate("--db", db, *command)).code, done.err), command
    with Engine(f"sqlite:///{db}") as engine:
        assert {"ann"} == {access.actor for access in engine.audit.accesses()}
        assert {"ann"} == {receipt.actor for receipt in engine.audit.receipts()}
    for free in (("--actor", "show"), ("--request-id", "export")):
        done = kfstate("--db", db, "audit", "erase", "ok", "--basis", "art. 47", *free)
        assert (2, True) == (done.code, "(not shown)" in done.err), free
    assert 2 == kfstate("--db", db, "conversations", "--account", "list").code


def test_nothing_is_shown_where_it_cannot_be_noted(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the access log a conversation is not shown; a verification shows nobody, and says what is missing."""
    monkeypatch.setenv("KFSTATE_ACTOR", "x" * 200)
    done = kfstate("--db", db, "show", "wkA", "wmTwo")
    assert (2, "") == (done.code, done.out)
    letter = dead_letter(db)
    with Engine(f"sqlite:///{db}") as engine, engine._database.writing() as conn:
        conn.exec_driver_sql("ALTER TABLE kf_access RENAME COLUMN detail TO details")
    monkeypatch.setenv("KFSTATE_ACTOR", "ann")
    done = kfstate("--db", db, "show", "wkA", "wmTwo")
    assert (4, "") == (done.code, done.out)
    for words in (("events",), ("events", "tail"), ("dead-letters", "list"), ("dead-letters", "show", letter)):
        done = kfstate("--db", db, *words)
        assert (4, "") == (done.code, done.out), words
    listed = kfstate("--db", db, "conversations")
    assert (0, 2, True) == (listed.code, len(listed.lines), "not in the access log" in listed.err)
    verified = kfstate("--db", db, "verify")
    assert (0, True) == (verified.code, verified.one["ok"])
    assert "not in the access log" in verified.err
