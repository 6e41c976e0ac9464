"""What both ways to use ``eventsourcing`` share: reading elements, a state machine of a few lines, a projection."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteCursor

__all__ = ["Recorder", "Said", "Talk", "elements", "ids", "read"]


class Page(msgspec.Struct):
    """A page, its elements as exact bytes."""

    msg_list: list[msgspec.Raw]


_page = msgspec.json.Decoder(Page).decode
_element = msgspec.json.Decoder(dict[str, Any]).decode


class Said(NamedTuple):
    """What an element of a page says about its conversation."""

    msgid: str
    kind: str
    second: int
    change_type: int
    servicer: str
    body: bytes


def elements(page: bytes) -> list[tuple[str, Said]]:
    """Return what the elements of a page say, each with the name of its conversation."""
    return [read(bytes(raw)) for raw in _page(page).msg_list]


def read(body: bytes) -> tuple[str, Said]:
    """Return what an element says, with the name of its conversation."""
    element = _element(body)
    event = element.get("event") or {}
    open_kfid = element.get("open_kfid") or event.get("open_kfid")
    customer = element.get("external_userid") or event.get("external_userid")
    kind = "event" if element.get("msgtype") == "event" else "customer" if element.get("origin") == 3 else "servicer"
    second = element.get("send_time")
    servicer = element.get("servicer_userid") or event.get("new_servicer_userid") or ""
    return f"{open_kfid}/{customer}", Said(
        element.get("msgid") or "",
        kind,
        second if isinstance(second, int) else 0,
        event.get("change_type") or 0,
        servicer,
        body,
    )


class Talk:
    """Where a conversation is, and with whom."""

    service_state: int
    servicer: str
    session: int
    since: int
    last_customer_message: int
    seen: set[str]

    def begin(self) -> None:
        """Set what a conversation is before its first element."""
        self.service_state, self.servicer, self.session, self.since, self.last_customer_message = 4, "", 0, 0, 0
        self.seen = set()

    def knows(self, said: Said) -> bool:
        """Tell whether this element came before."""
        return bool(said.msgid) and said.msgid in self.seen

    def take(self, msgid: str, kind: str, second: int, change_type: int, servicer: str) -> None:
        """Change what one element changes."""
        self.seen.add(msgid)
        if kind == "customer":
            self.last_customer_message = second
            if self.service_state == 4:
                self.to(0, "", second, opens=True)
        elif kind == "servicer":
            if self.service_state < 3:
                self.to(3, servicer, second)
        elif change_type in {1, 2}:
            self.to(3, servicer, second)
        elif change_type == 3:
            self.to(4, "", second)
        elif change_type == 4:
            self.to(3, servicer, second, opens=True)

    def to(self, state: int, servicer: str, second: int, *, opens: bool = False) -> None:
        """Go to a state."""
        self.service_state, self.servicer, self.since = state, servicer, second
        self.session += opens

    def row(self, name: str) -> tuple[Any, ...]:
        """Return the conversation as a row of the projection."""
        return (name, self.service_state, self.servicer, self.session, self.since, self.last_customer_message)


class Recorder(SQLiteApplicationRecorder):
    """Writes the projection, one row per changed conversation, in the transaction of the events."""

    def construct_create_table_statements(self) -> list[str]:
        """Add the projection's table."""
        table = (
            "CREATE TABLE IF NOT EXISTS conversation (name TEXT PRIMARY KEY, service_state INTEGER, servicer TEXT, "
            "session INTEGER, since INTEGER, last_customer_message INTEGER) WITHOUT ROWID"
        )
        return [*super().construct_create_table_statements(), table]

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], rows: Sequence[tuple[Any, ...]] = (), **kwargs: Any
    ) -> Sequence[int] | None:
        c.executemany("INSERT OR REPLACE INTO conversation VALUES (?, ?, ?, ?, ?, ?)", rows)
        return super()._insert_events(c, stored_events, **kwargs)


def ids(path: Path) -> list[str]:
    """Return the names of all conversations."""
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT name FROM conversation ORDER BY name")]
    connection.close()
    return found
