"""A process that makes one call: ``python -m tests.wecom.changer JSON``, see :func:`start`.

It says ``ready``, waits for a line on its input, makes the call, and prints what came of it.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kfstate import Engine, KfstateError
from kfstate.testing import FakeWecom, FrozenClock
from kfstate.wecom import Answer, Client, HttpTransport, Live, Settings, Timeouts
from kfstate.wecom.transport import Params

__all__ = ["start"]

ROOT = Path(__file__).parents[2]


def start(wecom: FakeWecom, url: str, now: int, **wanted: Any) -> subprocess.Popen[str]:
    """Start a process; ``wanted``: the ``method`` of Live, its ``arguments``, ``slow`` (seconds that a call takes)."""
    given = {"wecom": wecom.url, "corp": wecom.corp_id, "secret": wecom.secret, "url": url, "now": now, **wanted}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.wecom.changer", json.dumps(given)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    return process


class _Slow(HttpTransport):
    slow = 0.0

    def send(self, method: str, path: str, params: Params, body: bytes | None) -> Answer:
        if path.endswith(("/trans", "/send_msg")):
            time.sleep(self.slow)
        return super().send(method, path, params, body)


def main() -> None:
    """Make the call."""
    given = json.loads(sys.argv[1])
    transport = _Slow(given["wecom"], timeouts=Timeouts(connect=5, silence=60, body=60))
    transport.slow = given.get("slow", 0.0)
    with Engine(given["url"], clock=FrozenClock(given["now"])) as engine:
        client = Client(
            given["corp"], given["secret"], transport=transport, database=engine._database, clock=engine._clock,
        )  # fmt: skip
        live = Live(engine, Settings(), client=client)
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            done = getattr(live, given["method"])(**given["arguments"])
            told = {"done": type(done).__name__, "intent": getattr(done, "intent", None)}
        except KfstateError as error:
            told = {"error": type(error).__name__, "intent": getattr(error, "intent", None), "said": str(error)}
        print(json.dumps(told), flush=True)
        live.close()
        client.close()


if __name__ == "__main__":
    main()
