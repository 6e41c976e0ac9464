"""An empty log on every database, a builder of elements, and the fixed randomness that golden values need."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from kfstate.store import dialect
from kfstate.store.append import append
from kfstate.store.facts import draft_elements
from tests.servers import EMPTY_LOG, Databases
from tests.servers.databases import entropy

__all__ = ["NOW", "SECOND", "SIZE", "Build", "entropy"]

NOW = 1_760_000_000_000_000
SECOND = 1_000_000
SIZE = 6
"""Entries of the log that is tampered with."""


@pytest.fixture
def url(database: Databases) -> str:
    """Where the log is."""
    return database.new(EMPTY_LOG)


@pytest.fixture
def path(url: str) -> Path:
    """The file that the log is in, on SQLite."""
    return Path(url.removeprefix("sqlite:///"))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An empty log."""
    made = dialect.open_database(url, lock_timeout=0.2)
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


@pytest.fixture
def log(engine: Engine, element: Build) -> Engine:
    """A log of six entries of three streams."""
    page = [
        element(msgid=f"m{n}", origin=5, servicer_userid="li", external_userid=f"wm{n % 3}") for n in range(1, SIZE + 1)
    ]
    page[3] = element(
        msgid="m4",
        msgtype="event",
        origin=4,
        text=None,
        event={
            "event_type": "session_status_change",
            "open_kfid": "wkA",
            "external_userid": "wm1",
            "change_type": 2,
            "old_servicer_userid": "li",
            "new_servicer_userid": "wang",
            "msg_code": "code",
        },
    )
    with dialect.begin(engine, write=True) as conn:
        append(conn, draft_elements(page), now=NOW)
    return engine
