"""A process that asks for the shared token: ``python -m tests.wecom.asking URL CORP PORT COUNT``.

It waits for a line on its input, asks from ``COUNT`` threads at once, and writes a digest of each token that it got.
"""

import hashlib
import sys
import threading

from kfstate.clock import SystemClock
from kfstate.store.database import Database
from kfstate.wecom.http import HttpTransport
from kfstate.wecom.rates import Rates
from kfstate.wecom.secret import Secret
from kfstate.wecom.shared import SharedTokens
from kfstate.wecom.tokens import Tokens, fetcher
from tests.wecom.scripted import SECRET

__all__ = ["LEASE", "digest"]

LEASE = 3.0
"""Seconds."""


def digest(token: str) -> str:
    """Return what stands for a token in the output."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def main() -> None:
    """Ask."""
    url, corp_id, port, count = sys.argv[1:]
    database = Database(url)
    secret, clock = Secret(SECRET), SystemClock()
    transport = HttpTransport(f"http://127.0.0.1:{port}")
    fetch = fetcher(transport, corp_id, secret, clock=clock, rates=Rates(clock))
    shared = SharedTokens(database=database, corp_id=corp_id, secret=secret, fetch=fetch, clock=clock, lease=LEASE)
    tokens = Tokens(shared, clock=clock)
    print("ready", flush=True)
    sys.stdin.readline()

    def ask() -> None:
        sys.stdout.write(f"{digest(tokens.get().reveal())}\n")

    threads = [threading.Thread(target=ask) for _ in range(int(count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transport.close()
    database.close()


if __name__ == "__main__":
    main()
