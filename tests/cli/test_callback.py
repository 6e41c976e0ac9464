"""`callback serve`: the URL of WeCom, and a line per notice."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx2
import pytest

from kfstate.wecom.crypto import Sealed
from tests.cli.runner import ROOT, kfstate
from tests.wecom.calling import CORP, KEY, SECRETS, TOKEN, event, sealed

__all__: list[str] = []

FILE = f'corp_id = "{CORP}"\n[callback]\ntoken = "{TOKEN}"\naes_key = "{KEY}"\n'


@attrs.frozen
class Served:
    """A server that runs: its process and its URL."""

    child: "subprocess.Popen[str]"
    url: str

    def post(self, envelope: Sealed) -> int:
        """Post a message as WeCom does; return the status."""
        with httpx2.Client() as client:
            answer = client.post(self.url, params=envelope.query, content=envelope.body(to_user_name=CORP))
        return answer.status_code


def fresh(message: bytes) -> Sealed:
    """Return a message signed just now."""
    return sealed(message, at=int(time.time()))


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve the callback in a process of its own."""
    (folder / "kfstate.toml").write_text(FILE, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "kfstate",
        "callback",
        "serve",
        "--settings",
        "kfstate.toml",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "KFSTATE_CALLBACK_PORT": str(port)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment) as child:
        try:
            assert child.stderr is not None
            assert f"listening at http://127.0.0.1:{port}/wecom/callback" in child.stderr.readline()
            for _ in range(1_000):
                with socket.socket() as trial:
                    if trial.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.01)
            yield Served(child, f"http://127.0.0.1:{port}/wecom/callback")
        finally:
            child.kill()


def test_notices_are_printed(tmp_path: Path) -> None:
    """One line each, retries left out, nothing secret; Ctrl-C ends it."""
    first = fresh(event())
    with serving(tmp_path) as served:
        assert [200, 200, 200] == [served.post(one) for one in (first, first, fresh(event()))]
        assert 404 == httpx2.get(served.url + "/x").status_code
        more = "<AuthAddOpenKfId>wk_new</AuthAddOpenKfId>"
        assert 200 == served.post(fresh(event("kf_account_auth_change", more, account="")))
        assert served.child.stdout is not None
        lines = [served.child.stdout.readline() for _ in range(3)]
        served.child.send_signal(signal.SIGINT)
        out, err = served.child.communicate(timeout=20)
    assert (130, "") == (served.child.returncode, out)
    head = '{"created_at":"2025-10-09T08:53:20Z","event":"kf_msg_or_event","open_kfid":"wk_shop","authorized":[]'
    assert all(line.startswith(head) for line in lines[:2])
    assert '"open_kfid":"","authorized":["wk_new"],"revoked":[],"stale":false}' in lines[2]
    assert [] == [secret for secret in SECRETS if secret in "".join(lines) + err]


def test_it_stops_when_nobody_reads(tmp_path: Path) -> None:
    """The reader of the output goes away: the server stops."""
    with serving(tmp_path) as served:
        assert served.child.stdout is not None
        served.child.stdout.close()
        assert 200 == served.post(fresh(event()))
        assert served.child.wait(timeout=20) in {0, 141}


def test_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without token, without a file, with a wrong port: one line, and nothing is served."""
    monkeypatch.chdir(tmp_path)
    done = kfstate("--corp-id", CORP, "callback", "serve")
    assert (2, "kfstate: the environment: callback.token is missing") == (done.code, done.err.partition(";")[0])
    done = kfstate("callback", "serve", "--settings", "none.toml")
    assert "none.toml: the file is No such file" in done.err
    done = kfstate("callback", "serve", "--port", "70000")
    assert "Settings: callback.port is 70000" in done.err
