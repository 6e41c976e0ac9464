"""A log in a file, a builder of elements, and the fixed randomness that golden values need."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from kfstate.store import dialect, schema

NOW = 1_760_000_000_000_000
SECOND = 1_000_000


def entropy(count: int) -> bytes:
    """Give the same bytes every time."""
    return bytes(number % 251 for number in range(count))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log is."""
    return tmp_path / "log.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    """An empty log."""
    made = dialect.open_database(f"sqlite:///{path}", lock_timeout=0.2)
    with dialect.begin(made, write=True) as conn:
        schema.upgrade(conn, now=NOW, entropy=entropy)
    yield made
    made.dispose()


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    """A write transaction on an empty log."""
    with dialect.begin(engine, write=True) as made:
        yield made


Build = Callable[..., bytes]


@pytest.fixture
def element() -> Build:
    """Build the bytes of a customer's message; keyword arguments override or, with None, remove members."""

    def build(**members: Any) -> bytes:
        base = {
            "msgid": "m1",
            "open_kfid": "wkA",
            "external_userid": "wmA",
            "send_time": NOW // SECOND,
            "origin": 3,
            "msgtype": "text",
            "text": {"content": "hello"},
        }
        merged = {name: value for name, value in {**base, **members}.items() if value is not None}
        return json.dumps(merged, ensure_ascii=False).encode()

    return build
