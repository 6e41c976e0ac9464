"""``kill -9`` during appends: what was reported committed is there, nothing is there twice, the log verifies."""

import random
import signal
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Engine

from kfstate.store import dialect
from kfstate.store.cursor import read_cursor
from kfstate.store.verify import verify

ROOT = Path(__file__).resolve().parents[2]


def test_kill_9_leaves_a_whole_log(engine: Engine, url: str) -> None:
    """Killed at any moment, many times: positions are gapless, entries and cursor agree, the next run goes on."""
    engine.dispose()
    rng = random.Random(7)
    for _ in range(8):
        reported = run_and_kill(url, lines=rng.randrange(1, 12), more=rng.randrange(0, 4000))
        with dialect.begin(engine, write=False) as conn:
            found, cursor = verify(conn), read_cursor(conn, "wkA")
            distinct = dialect.query(conn, "SELECT COUNT(*), COUNT(DISTINCT entry_key) FROM kf_identity")[0]
        engine.dispose()
        assert found.damage is None
        assert cursor is not None
        pages = int(cursor.cursor)
        assert reported <= pages
        assert pages * 10 + 10 == found.entries
        assert (found.entries, found.entries) == distinct


def run_and_kill(url: str, *, lines: int, more: int) -> int:
    """Run the appender until it reported some pages, let it go on a little, kill it; return the last page reported."""
    command = [sys.executable, str(Path(__file__).with_name("appender.py")), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}) as child:
        assert child.stdout is not None
        for _ in range(lines):
            last = child.stdout.readline()
        for _ in range(more * 10):  # the moment of the kill is anywhere in a page, not where a page ends
            pass
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split("\n")
    whole = [line for line in rest[:-1] if line]
    return int(whole[-1] if whole else last)
