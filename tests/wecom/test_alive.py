"""Which processes have ended for certain, and which may only be hidden."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kfstate.wecom import alive
from kfstate.wecom.alive import is_gone, this_process

__all__: list[str] = []

pytestmark = pytest.mark.skipif(not this_process(), reason="this system gives processes no names")
NAME = "from kfstate.wecom.alive import this_process; print(this_process(), flush=True); input()"


def test_alive_then_gone() -> None:
    """A process is there until it has ended, and is gone even before anybody has asked how it ended."""
    child = subprocess.Popen([sys.executable, "-c", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    assert not is_gone(name)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(name)
    child.communicate()
    assert is_gone(name)


def test_names() -> None:
    """Nobody is gone who is not of this machine, or has no proper name; another one with the same number is another."""
    here, pid, started = this_process().split(":")
    for name in ("", "::", f"other:{pid}:1", f"{here}:x:1", this_process()):
        assert not is_gone(name)
    assert is_gone(f"{here}:{pid}:{int(started) + 1}")
    assert is_gone(f"{here}:{2**22 + 1}:1")
    assert is_gone(f"{here}:{10**30}:1")


def test_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where /proc hides the processes of others (hidepid, ProtectProc), the kernel is asked whether there is one."""
    here, _, started = this_process().split(":")
    monkeypatch.setattr(alive, "_PROC", tmp_path)
    assert not is_gone(f"{here}:{os.getpid()}:{started}")
    assert not is_gone(f"{here}:1:{started}")  # of another user, it may be
    assert is_gone(f"{here}:{2**22 + 1}:1")
