"""What errors say of customers: it goes with the entries it is about, whether it names anybody or not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table

from kfstate import Engine, ProjectionError
from kfstate.feed.events import Event
from kfstate.testing import FrozenClock, customer_message, page
from tests.audit.test_erasing import bytes_in, everything
from tests.audit.test_retaining import DAY, GROUND, HALF_A_YEAR
from tests.engine.worlds import NOW

__all__: list[str] = []

PHONE, OTHER = "13800000000", "13911111111"
TABLES = (Table("desk_calls", MetaData(), Column("position", Integer, primary_key=True)),)


def refuse(event: Event) -> None:
    """Fail on what a customer wrote, with his words in the error, and without his id."""
    if event.entry.kind == "customer_message":
        raise ValueError(f"cannot parse {event.entry.payload['text']}")


@attrs.frozen
class Calls:
    """A projection that cannot read what customers write."""

    name: str
    inline: bool
    version: int = 1
    tables: Sequence[Table] = TABLES

    def project(self, conn: Connection, events: Sequence[Event], tables: Mapping[str, Table]) -> None:  # noqa: ARG002
        """Fail."""
        for event in events:
            refuse(event)


@pytest.fixture
def stopped(url: str, clock: FrozenClock) -> Iterator[Engine]:
    """A log with two customers: on the words of one a subscription, two projections and a build have stopped."""
    tables = [Table(f"desk_{name}", MetaData(), Column("position", Integer, primary_key=True)) for name in "ab"]
    own = [Calls("inline", inline=True, tables=tables[:1]), Calls("later", inline=False, tables=tables[1:])]
    with Engine(url, clock=clock, projections=own) as engine:
        said = {"wmOne": PHONE, "wmTwo": OTHER}
        engine.ingest(page([customer_message("wkA", user, NOW, content=words) for user, words in said.items()]))
        with pytest.raises(ValueError, match=PHONE):
            engine.subscribe("crm", refuse, on_error="stop", attempts=1).run(until_idle=True)
        engine.subscribe("bot", refuse, attempts=1).run(until_idle=True)
        with pytest.raises(ProjectionError):
            engine.projections.run("later")
        with pytest.raises(ProjectionError):
            engine.projections.build("inline")
        yield engine


def errors(engine: Engine) -> list[Any]:
    """Return what is said of the subscription and the builds that stopped."""
    views: list[Any] = [*engine.subscriptions(), *engine.projections.list()]
    return [view.error for view in views if view.error is not None]


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_what_stopped_at_his_words_forgets_them(stopped: Engine) -> None:
    """The text goes, as that of dead letters; what stopped stays so. Others' words stay until they are erased."""
    before = errors(stopped)
    assert 4 == len(before) == sum(PHONE in text for text in before)
    stopped.audit.erase("wmTwo", **GROUND)
    assert before == errors(stopped)
    assert OTHER.encode() not in bytes_in(everything(stopped))
    stopped.audit.erase("wmOne", **GROUND)
    assert ["(erased)"] * 4 == errors(stopped)
    assert PHONE.encode() not in bytes_in(everything(stopped))
    assert {"failed"} == {view.status for view in stopped.subscriptions() if view.error}


@pytest.mark.databases("sqlite")
def test_errors_age_out(stopped: Engine, clock: FrozenClock) -> None:
    """With the payloads of which they tell: the receipt counts the dead letters."""
    clock.set((NOW + 300 * DAY) * 1_000_000)
    (receipt,) = stopped.audit.retain(HALF_A_YEAR, **GROUND).receipts
    assert 2 == next(one.dead_letters for one in stopped.audit.receipts() if one.position == receipt)
    assert ["(erased)"] * 4 == errors(stopped)
    held = bytes_in(everything(stopped))
    assert not any(words.encode() in held for words in (PHONE, OTHER))


@pytest.mark.databases("sqlite")
def test_an_entry_elsewhere_is_forgotten_everywhere(engine: Engine) -> None:
    """What an error says of an entry outside of his conversations, which names him, goes with its payload."""
    engine.ingest(page([customer_message("wkA", "wmOne", NOW)]))
    note = {"kind": "own_action", "via": "note", "actor": "desk", "open_kfid": "wkA"}
    engine.record(note | {"data": {"who": "wmOne", "phone": PHONE}})

    def fails(event: Event) -> None:
        if event.entry.kind == "own_action":
            raise ValueError(f"cannot call {event.entry.payload['data']['phone']}")

    engine.subscribe("bot", fails, attempts=1).run(until_idle=True)
    assert PHONE in next(iter(engine.dead_letters())).message
    engine.audit.erase("wmOne", **GROUND)
    assert PHONE.encode() not in bytes_in(everything(engine))
