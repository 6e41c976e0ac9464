"""Which process recorded an intent, and whether it still runs: told for processes of this machine only."""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["is_gone", "this_process"]

_PROC = Path("/proc")
_STARTED = 19
"""The place of ``starttime`` among the fields after the name in ``/proc/PID/stat``."""


def this_process() -> str:
    """Return a name that no other process has or ever had, '' where the system gives none (it needs Linux)."""
    pid = _pid()
    return f"{_here()}:{pid}:{_started(pid)}" if pid and _here() else ""


def is_gone(process: str) -> bool:
    """Tell whether a process has certainly ended; one of another machine, or another container, may be alive."""
    here, _, rest = process.partition(":")
    pid, _, started = rest.partition(":")
    if not here or here != _here() or not pid.isdecimal():
        return False
    found = _started(pid)
    return found != started and (bool(found) or not _is_there(int(pid)))


@cache
def _here() -> str:
    """Return the name of what gives process ids here: this boot of the machine, and the namespace of the container."""
    with suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}.{(_PROC / 'self/ns/pid').readlink().name.strip('pid:[]')}"
    return ""


def _pid() -> str:
    with suppress(OSError):
        return (_PROC / "self").readlink().name
    return ""


def _started(pid: str) -> str:
    """Return when a process was started, in ticks since the boot, ``ended``, or '' where it is not shown."""
    with suppress(OSError):
        fields = (_PROC / pid / "stat").read_text().rpartition(")")[2].split()
        return "ended" if fields[0] in "ZX" else fields[_STARTED]
    return ""


def _is_there(pid: int) -> bool:
    """Ask the kernel for a process that is not shown: ``/proc`` may hide those of other users (``hidepid``)."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
