"""`events tail`, `subscriptions`, `dead-letters`, `projections`: following the log, and what is made of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table

from kfstate.engine import Engine
from kfstate.feed import Event
from tests.cli.runner import ROOT, kfstate
from tests.cli.test_care import copied, spoiled

__all__: list[str] = []

ROWS = Table("counted", MetaData(), Column("id", Integer, primary_key=True), Column("entries", Integer, nullable=False))


class Counted:
    """A projection of one's own: how many entries there are."""

    name, version, inline, tables = "counted", 1, False, (ROWS,)

    def project(self, conn: Connection, events: list[Event], tables: dict[str, Table]) -> None:
        """Count."""
        row = tables["counted"]
        if not conn.execute(row.update().values(entries=row.c.entries + len(events))).rowcount:
            conn.execute(row.insert().values(id=1, entries=len(events)))


OWN = ("--own", f"{__name__}:Counted")


def poisoned(path: Path) -> None:
    """Let a subscription meet one entry that it cannot handle."""

    def handle(event: Event) -> None:
        if event.entry.position == 7:
            raise ValueError("seven")

    with Engine(f"sqlite:///{path}") as engine:
        engine.subscribe("mails", handle, attempts=1).run(until_idle=True)


def test_tail(sampled: Path) -> None:
    """`events tail` shows the last ten entries, or what comes after a position or a checkpoint."""
    last = kfstate("--db", sampled, "events").lines[-12:]
    assert last[2:] == kfstate("--db", sampled, "events", "tail").lines
    assert last[-3:] == kfstate("--db", sampled, "events", "tail", "--after", last[-4]["position"]).lines
    checkpoint = f"{last[0]['position']}:{last[0]['chain']}"
    assert last[1:] == kfstate("--db", sampled, "events", "tail", "--after", checkpoint).lines
    told = kfstate("--db", sampled, "events", "tail", terminal=True).out.splitlines()
    assert [str(entry["position"]) for entry in last[2:]] == [line.split()[0] for line in told]


def test_a_checkpoint_of_another_log(sampled: Path) -> None:
    """A checkpoint whose chain is another one is refused, and so is what is none."""
    assert 4 == kfstate("--db", sampled, "events", "tail", "--after", f"5:{'00' * 32}").code
    assert 2 == kfstate("--db", sampled, "events", "tail", "--after", "5:x").code
    assert 2 == kfstate("--db", sampled, "events", "--after", "five").code
    assert 2 == kfstate("--db", sampled, "events", "tail", "--poll", "0").code


def test_tail_follows(sampled: Path) -> None:
    """`events tail --follow` prints what others append, until Ctrl-C, and leaves with 130 then."""
    path = copied(sampled)
    command = [sys.executable, "-m", "kfstate", "--db", str(path), "events", "tail", "--follow", "--poll", "0.05"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        for _ in range(10):
            child.stdout.readline()
        own = {"kind": "own_action", "via": "recall_msg", "open_kfid": "wk1", "external_userid": "wm1", "actor": "me"}
        with Engine(f"sqlite:///{path}") as engine:
            recorded = engine.record(own)
        assert f'{{"position":{recorded.position},"kind":"own_action"' in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=20)
    assert 130 == child.returncode


def test_dead_letters(sampled: Path) -> None:
    """What a handler could not handle is listed, shown with its entry, and handled again once it is requeued."""
    path = copied(sampled)
    poisoned(path)
    (subscription,) = kfstate("--db", path, "subscriptions").lines
    assert ("mails", 0, 1) == tuple(subscription[name] for name in ("name", "lag", "dead_letters"))
    listed = kfstate("--db", path, "dead-letters", "list")
    assert (1, "mails:7", "dead") == (listed.code, listed.one["id"], listed.one["status"])
    assert [] == kfstate("--db", path, "dead-letters", "list", "others").lines
    shown = kfstate("--db", path, "dead-letters", "show", "mails:7").one
    assert (7, "seven") == (shown["entry"]["position"], shown["message"])
    assert "Traceback" in kfstate("--db", path, "dead-letters", "show", "mails:7", terminal=True).out
    assert {"requeued": 1} == kfstate("--db", path, "dead-letters", "requeue", "mails:7").one
    assert "requeued" == kfstate("--db", path, "dead-letters", "list").one["status"]
    with Engine(f"sqlite:///{path}") as engine:
        engine.subscribe("mails", lambda _: None).run(until_idle=True)
    again = kfstate("--db", path, "dead-letters", "list")
    assert (0, []) == (again.code, again.lines)


@pytest.mark.parametrize("letter", ["mails:8", "mails", "mails:x", ":7"])
def test_no_such_letter(sampled: Path, letter: str) -> None:
    """An id that is none, and one that is not there, are named."""
    path = copied(sampled)
    poisoned(path)
    for command in ("show", "requeue"):
        done = kfstate("--db", path, "dead-letters", command, letter)
        assert done.code in {1, 2, 4}
        assert letter in done.err


def test_doctor_of_subscriptions(sampled: Path) -> None:
    """`doctor` names a subscription that lags with nobody running it, and one with dead letters."""
    path = copied(sampled)
    poisoned(path)
    with Engine(f"sqlite:///{path}") as engine:
        engine.subscribe("sleeping", lambda _: None)
    failed = {
        line["check"]: line["detail"] for line in kfstate("--db", path, "doctor").lines if line["status"] == "FAIL"
    }
    assert {"subscription mails", "subscription sleeping"} == set(failed)
    assert "1 dead letter" in failed["subscription mails"]
    assert "not moving" in failed["subscription sleeping"]


def test_rebuild_switch_and_back(sampled: Path) -> None:
    """A build beside the live one differs where that was spoiled; switching makes it live, and back undoes it."""
    path = spoiled(sampled, "UPDATE kf_conversation SET service_state = 1 WHERE stream = 2")
    before = kfstate("--db", path, "conversations").lines
    made = kfstate("--db", path, "projections", "rebuild", "--stay").one
    assert (2, "ready", 1) == (made["version"], made["status"], made["different"])
    assert before == kfstate("--db", path, "conversations").lines
    assert 2 == kfstate("--db", path, "projections", "switch").one["version"]
    after = kfstate("--db", path, "conversations").lines
    assert after == kfstate("--db", sampled, "conversations").lines != before
    assert 1 == kfstate("--db", path, "projections", "back").one["version"]
    assert before == kfstate("--db", path, "conversations").lines
    assert 0 == kfstate("--db", path, "projections", "status").code


def test_rebuild_switches(sampled: Path) -> None:
    """Without --stay it switches by itself where something differs, and stays where nothing does."""
    path = spoiled(sampled, "UPDATE kf_conversation SET service_state = 1 WHERE stream = 2")
    assert kfstate("--db", path, "projections", "rebuild").one["switched"]
    assert not kfstate("--db", path, "projections", "rebuild").one["switched"]
    assert "different" in kfstate("--db", path, "projections", "rebuild", terminal=True).out


def test_own_projections(sampled: Path) -> None:
    """A projection of one's own is named by its module, run to the head, and listed."""
    path = copied(sampled)
    assert 0 == kfstate("--db", path, "projections", "run", "counted", *OWN).one["lag"]
    listed = {line["name"]: line for line in kfstate("--db", path, "projections", "list", *OWN).lines}
    assert ("live", 0) == (listed["counted"]["status"], listed["counted"]["lag"])
    assert "counted" in kfstate("--db", path, "projections", "list", terminal=True).out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("list", "--own", "os"), 2),
        (("list", "--own", "os:nothing"), 2),
        (("list", "--own", "no.such.module:It"), 2),
        (("status", "nothing"), 2),
        (("run", "nothing"), 4),
        (("switch",), 4),
        (("back",), 4),
    ],
)
def test_what_cannot_be(sampled: Path, arguments: tuple[str, ...], code: int) -> None:
    """A projection that is not there, and a switch with nothing to switch to, are named in one line."""
    done = kfstate("--db", copied(sampled), "projections", *arguments)
    assert (code, 1) == (done.code, len(done.err.splitlines()))
