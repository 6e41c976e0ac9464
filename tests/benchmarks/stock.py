"""``eventsourcing`` as it comes: declared aggregates, events as JSON, ids of type UUID, its own settings.

As in ``tuned`` a page is one ``save`` and the projection is written by the recorder; the aggregates of a page are read
from the repository, which keeps none in memory unless it is told to.
"""

from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.utils import get_topic

from tests.benchmarks import using
from tests.benchmarks.subject import Stopwatch
from tests.benchmarks.talk import Recorder, Said, Talk, elements

__all__ = ["Commanded", "Conversation", "Conversations", "command", "ingest", "replay", "state"]


Facts = tuple[str, str, int, int, str]
"""The fields of ``Said``, but the body."""


class Conversation(Talk, Aggregate):
    """One conversation. Its events have the parameters of its methods as fields."""

    @event("Opened")
    def __init__(self, *, name: str, facts: Facts, body: str) -> None:  # noqa: ARG002
        """Begin a conversation with its first element."""
        self.begin()
        self.take(*facts)

    @staticmethod
    def create_id(name: str) -> UUID:
        """Return the id of the conversation of that name."""
        return uuid5(NAMESPACE_URL, name)

    @event("Spoke")
    def hear(self, *, facts: Facts, body: str) -> None:  # noqa: ARG002
        """Add an element."""
        self.take(*facts)


class Conversations(Application[UUID]):
    """Takes pages in."""

    def take(self, page: bytes) -> int:
        """Store a page in one transaction, and return how many elements it has."""
        touched: dict[str, Conversation] = {}
        read = elements(page)
        for name, said in read:
            touched[name] = self.told(touched.get(name) or self.known(name), name, said)
        self.save(*touched.values(), rows=[known.row(name) for name, known in touched.items()])
        return len(read)

    def told(self, known: Conversation | None, name: str, said: Said) -> Conversation:
        """Add an element to its conversation, which it may begin."""
        if known is None:
            return Conversation(name=name, facts=said[:5], body=said.body.decode())
        if not known.knows(said):
            known.hear(facts=said[:5], body=said.body.decode())
        return known

    def known(self, name: str) -> Conversation | None:
        """Return a conversation, or None where there is none."""
        try:
            found: Conversation = self.repository.get(Conversation.create_id(name))
        except AggregateNotFoundError:
            return None
        return found

    def one(self, name: str) -> int:
        """Get one conversation, and return how many elements it has."""
        found: Conversation = self.repository.get(Conversation.create_id(name))
        return found.version


class Commanded(Conversations):
    """Takes elements in as the tutorial takes commands: get the aggregate, tell it, save it."""

    def take(self, page: bytes) -> int:
        """Store a page, each element in a transaction, and return how many it has."""
        read = elements(page)
        for name, said in read:
            known = self.told(self.known(name), name, said)
            self.save(known, rows=[known.row(name)])
        return len(read)


def application(path: Path, *, keep: bool) -> Conversations:  # noqa: ARG001 (it comes without a cache)
    """Open a database."""
    return Conversations(_environment(path))


def _commanded(path: Path, *, keep: bool) -> Conversations:  # noqa: ARG001
    return Commanded(_environment(path))


def _environment(path: Path) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "SQLITE_DBNAME": str(path),
        "APPLICATION_RECORDER_TOPIC": get_topic(Recorder),
    }


def ingest(folder: Path, watch: Stopwatch) -> int:
    """Decode and append pages, with one projection."""
    return using.ingest(application, folder, watch)


def command(folder: Path, watch: Stopwatch) -> int:
    """Decode and append the elements of the first few pages one by one, with one projection."""
    return using.ingest(_commanded, folder, watch, pages=2)


def replay(folder: Path, watch: Stopwatch) -> int:
    """Get every aggregate from the repository."""
    return using.replay(application, folder, watch, name="stock.db")


def state(folder: Path, watch: Stopwatch) -> int:
    """Get one aggregate from the repository, again and again."""
    return using.state(application, folder, watch, name="stock.db")
