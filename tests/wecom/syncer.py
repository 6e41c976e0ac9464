"""A process that keeps a database in step: ``python -m tests.wecom.syncer DATABASE WECOM CORP SECRET``.

It says ``ready`` and goes on until its input ends; then it stops, and says how often it pulled.
"""

import sys

from kfstate import Engine
from kfstate.wecom import Client, HttpTransport, Live, Pace, Secret, Settings, Timeouts
from tests.wecom.living import QUICK

__all__ = ["LEASE"]

LEASE = 1.0
"""Seconds."""


def main() -> None:
    """Keep in step."""
    url, wecom_url, corp_id, secret = sys.argv[1:]
    engine = Engine(url)
    transport = HttpTransport(wecom_url, timeouts=Timeouts(connect=5, silence=5, body=10))
    client = Client(corp_id, Secret(secret), transport=transport, database=engine._database, retries=QUICK)
    pace = Pace(interval=0.2, limit=5, lease=LEASE)
    live = Live(engine, Settings(corp_id=corp_id, secret=Secret(secret)), client=client, pace=pace)
    live.start()
    print("ready", flush=True)
    sys.stdin.read()
    live.close()
    client.close()
    engine.close()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
