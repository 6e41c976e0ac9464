"""``eventsourcing`` as fast as its guides can make it.

A conversation is an aggregate, an element of a page one of its events, a page one ``save``. Events are msgspec structs
behind a mapper of their own, ids are text, the repository keeps every aggregate in memory, without copies and without
looking for news; the connection has kfstate's settings. What kfstate does beside (a hash chain, the exact order of late
and tied entries, sessions, steps and the rest of its nine tables) it does not do.
"""

from datetime import datetime
from pathlib import Path
from typing import Any, cast

import msgspec
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import (
    BaseAggregate,
    CanInitAggregate,
    CanMutateAggregate,
    DomainEventProtocol,
    datetime_now_with_tzinfo,
)
from eventsourcing.persistence import Mapper, StoredEvent
from eventsourcing.sqlite import SQLiteFactory
from eventsourcing.utils import get_topic, resolve_topic

from tests.benchmarks import using
from tests.benchmarks.raw import PRAGMAS
from tests.benchmarks.subject import Stopwatch
from tests.benchmarks.talk import Recorder, Said, Talk, elements

__all__ = ["Conversation", "Conversations", "StructMapper", "ingest", "replay", "state"]

_pack = msgspec.msgpack.Encoder().encode


class Conversation(Talk, BaseAggregate[str]):
    """One conversation."""

    class Event(msgspec.Struct, CanMutateAggregate[str], frozen=True):
        """An element of a page."""

        originator_id: str
        originator_version: int
        said: Said
        timestamp: datetime = msgspec.field(default_factory=datetime_now_with_tzinfo)

        def apply(self, aggregate: "Conversation") -> None:
            """Take what was said."""
            aggregate.take(*self.said[:5])

        def _as_dict(self) -> dict[str, Any]:
            return {name: getattr(self, name) for name in self.__struct_fields__}

    class Spoke(Event, frozen=True):
        """An element of a conversation that is known."""

    class Opened(Event, CanInitAggregate[str], frozen=True, kw_only=True):
        """The first element of a conversation."""

        originator_topic: str

        def apply(self, aggregate: "Conversation") -> None:
            """Begin with what was said."""
            aggregate.begin()
            aggregate.take(*self.said[:5])

    @classmethod
    def open(cls, name: str, said: Said) -> "Conversation":
        """Begin a conversation with its first element."""
        return cls._create(cls.Opened, id=name, said=said)

    def hear(self, said: Said) -> None:
        """Add an element."""
        self.trigger_event(self.Spoke, said=said)


class StructMapper(Mapper[str]):
    """Stores an event as the MessagePack of its struct."""

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Encode."""
        name, version = domain_event.originator_id, domain_event.originator_version
        return StoredEvent(name, version, get_topic(domain_event.__class__), _pack(domain_event))

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        """Decode."""
        found = msgspec.msgpack.decode(stored_event.state, type=resolve_topic(stored_event.topic))
        return cast("DomainEventProtocol[str]", found)


class Conversations(Application[str]):
    """Takes pages in."""

    def take(self, page: bytes) -> int:
        """Store a page in one transaction, and return how many elements it has."""
        touched: dict[str, Conversation] = {}
        read = elements(page)
        for name, said in read:
            known = touched.get(name) or self.known(name)
            if known is None:
                known = Conversation.open(name, said)
            elif not known.knows(said):
                known.hear(said)
            touched[name] = known
        self.save(*touched.values(), rows=[known.row(name) for name, known in touched.items()])
        return len(read)

    def known(self, name: str) -> Conversation | None:
        """Return a conversation, or None where there is none."""
        try:
            found: Conversation = self.repository.get(name)
        except AggregateNotFoundError:
            return None
        return found

    def one(self, name: str) -> int:
        """Get one conversation, and return how many elements it has."""
        found: Conversation = self.repository.get(name)
        return found.version


def application(path: Path, *, keep: bool) -> Conversations:
    """Open a database; ``keep`` every aggregate in memory, or none."""
    found = Conversations(
        {
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(path),
            "ORIGINATOR_ID_TYPE": "text",
            "APPLICATION_RECORDER_TOPIC": get_topic(Recorder),
            "MAPPER_TOPIC": get_topic(StructMapper),
            "AGGREGATE_CACHE_MAXSIZE": "0" if keep else "",
            "AGGREGATE_CACHE_FASTFORWARD": "n",
            "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
        }
    )
    factory = cast("SQLiteFactory", found.factory)
    with factory.datastore.get_connection(commit=True) as connection, connection.cursor() as cursor:
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
    return found


def ingest(folder: Path, watch: Stopwatch) -> int:
    """Decode and append pages, with one projection."""
    return using.ingest(application, folder, watch)


def replay(folder: Path, watch: Stopwatch) -> int:
    """Get every aggregate from the repository."""
    return using.replay(application, folder, watch, name="tuned.db")


def state(folder: Path, watch: Stopwatch) -> int:
    """Get one aggregate from the repository, again and again."""
    return using.state(application, folder, watch, name="tuned.db")
