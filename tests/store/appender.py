"""Append pages for ever, until killed: ``python appender.py URL``."""

import json
import sys

from kfstate.store import dialect
from kfstate.store.append import append
from kfstate.store.cursor import advance, claim
from kfstate.store.facts import draft_elements


def main(url: str) -> None:
    """Append pages that overlap by half, each with its cursor, and say how far it got."""
    engine = dialect.open_database(url)
    with dialect.begin(engine, write=True) as conn:
        held = claim(conn, "wkA")
    page = int(held.cursor or 0)
    while True:
        elements = [
            json.dumps(
                {
                    "msgid": f"m{number}",
                    "open_kfid": "wkA",
                    "external_userid": f"wm{number % 17}",
                    "send_time": 1_760_000_000 + number,
                    "origin": 3,
                    "msgtype": "text",
                    "text": {"content": "x" * 300},
                }
            ).encode()
            for number in range(page * 10, page * 10 + 20)
        ]
        with dialect.begin(engine, write=True) as conn:
            append(conn, draft_elements(elements), now=1_760_000_000_000_000)
            advance(conn, "wkA", expected=str(page or ""), new=str(page + 1), epoch=held.epoch)
        page += 1
        sys.stdout.write(f"{page}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
