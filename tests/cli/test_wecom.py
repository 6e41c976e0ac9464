"""`wecom fake` and `wecom demo`: a server in place of WeCom, and the whole loop on one laptop."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kfstate import Engine
from kfstate.testing import FakeWecom
from kfstate.wecom import Live, Settings
from tests.cli.runner import ROOT, kfstate
from tests.wecom.living import eventually

__all__: list[str] = []

CALL = [sys.executable, "-W", "error", "-m", "kfstate", "wecom"]


def test_demo(tmp_path: Path) -> None:
    """Everything together: a line for each change, and in the end every state is the server's; the database stays."""
    path = tmp_path / "demo.db"
    done = kfstate("--db", path, "wecom", "demo", "--deeds", 40, "--pause", 0.02, "--customers", 4, "--seed", "a")
    *changes, end = done.lines
    assert (0, 0, 4) == (done.code, end["different"], end["conversations"])
    assert {"untreated", "robot"} < {change["state"] for change in changes}
    assert min(end["calls"], end["callbacks"], end["entries"]) > 20
    with Engine(f"sqlite:///{path}") as engine:
        assert end["entries"] == engine.position()
        assert {"message_sent", "state_changed"} < {entry.kind for entry in engine.read_all()}
    done = kfstate("--db", path, "wecom", "demo", "--deeds", 1)
    assert (4, True) == (done.code, "a demo wants a new database" in done.err)


def test_demo_goes_wrong_on_purpose() -> None:
    """With mishaps of every kind, the end is the same."""
    done = kfstate("wecom", "demo", "--deeds", 25, "--pause", 0.02, "--misbehave", 0.05, "--seed", "b")
    assert (0, 0) == (done.code, done.lines[-1]["different"])


def test_demo_on_a_terminal() -> None:
    """A table, in words of the language."""
    done = kfstate("--lang", "zh", "wecom", "demo", "--deeds", 8, "--pause", 0.02, "--seed", "c", terminal=True)
    assert 0 == done.code
    assert {word for word in ("服务器上", "一致", "动作", "会话数") if word not in done.out} == set()


def test_demo_ends_on_ctrl_c() -> None:
    """Ctrl-C ends the day, not the comparison."""
    with begun("demo", "--deeds", 100_000, "--pause", 0.01) as child:
        assert child.stdout is not None
        assert '"service_state"' in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert (0, "") == (child.returncode, err)
    assert 0 == json.loads(out.splitlines()[-1])["different"]


def begun(*words: object) -> "subprocess.Popen[str]":
    """Begin a command in a process of its own."""
    pipe, environment = subprocess.PIPE, os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*CALL, *map(str, words)], stdout=pipe, stderr=pipe, text=True, env=environment)


def test_fake(tmp_path: Path) -> None:
    """Whoever takes the settings can pull; deeds and calls are printed; the file is for its owner, and written anew."""
    file = tmp_path / "fake.toml"
    callback = "http://127.0.0.1:9/"
    with begun("fake", "--port", 0, "--pause", 0.02, "--callback", callback, "--settings", file) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        settings = Settings.load(file, environment={})
        assert told["settings"]["corp_id"] == settings.corp_id
        assert told["settings"]["api_url"] == settings.api_url
        assert 0o600 == file.stat().st_mode & 0o777
        with Engine(f"sqlite:///{tmp_path / 'kf.db'}") as engine, Live(engine, settings) as live:
            assert eventually(lambda: live.sync() and engine.position() > 5)
        assert live.callback.token == settings.callback.token
        seen: set[tuple[str, str]] = set()
        while not {("customer", "writes"), ("service", "sync_msg"), ("WeCom", "callback")} <= seen:
            line = json.loads(child.stdout.readline())
            seen.add((line["who"], line["what"]))
        child.send_signal(signal.SIGINT)
        assert 130 == child.wait(timeout=20)
        child.stdout.close()
    before = file.read_text()
    again = kfstate("wecom", "fake", "--port", 0, "--settings", file, "--deeds", 3, "--pause", 0, "--seed", "x")
    assert (0, True) == (again.code, before != file.read_text())
    file.write_text('corp_id = "mine"\n')
    kept = kfstate("wecom", "fake", "--port", 0, "--settings", file, "--deeds", 3, "--pause", 0)
    assert (2, 'corp_id = "mine"\n') == (kept.code, file.read_text())


def test_fake_on_a_terminal() -> None:
    """Settings as TOML to copy, then a line for each deed."""
    done = kfstate("wecom", "fake", "--port", 0, "--deeds", 4, "--pause", 0, "--seed", "y", terminal=True)
    assert 0 == done.code
    assert "[callback]\ntoken = " in done.out
    assert sum(" customer " in line or " servicer " in line for line in done.out.splitlines()) >= 4
    assert "callbacks go to http://127.0.0.1:8080/wecom/callback" in done.err


@pytest.mark.parametrize("option", ["--customers 0", "--servicers 11", "--pause -1", "--misbehave 2"])
@pytest.mark.parametrize("name", ["fake", "demo"])
def test_numbers_that_make_no_sense(name: str, option: str) -> None:
    """They are refused before anything is started."""
    done = kfstate("wecom", name, *option.split())
    assert (2, "") == (done.code, done.out)
    assert option.split(maxsplit=1)[0] in done.err


def test_port_that_is_taken() -> None:
    """Another server listens there."""
    with FakeWecom() as wecom:
        port = urlsplit(wecom.url).port
        done = kfstate("wecom", "fake", "--port", port, "--deeds", 1)
    assert (2, True) == (done.code, f"--port {port}: " in done.err)
