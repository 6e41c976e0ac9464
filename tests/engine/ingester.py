"""Ingest a file of pages and own entries, a few entries to a transaction: ``python ingester.py DATABASE FILE``."""

import sys
from pathlib import Path

from kfstate.engine import Engine
from kfstate.intake import batches
from kfstate.testing import FrozenClock


def main(database: str, file: str) -> None:
    """Say after each transaction that it is done; leave with 0 at the end."""
    batches._BATCH = 20
    with Engine(f"sqlite:///{database}", clock=FrozenClock.at(4_000_000_000)) as engine:
        engine.ingest(Path(file), progress=lambda further: print(further, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
