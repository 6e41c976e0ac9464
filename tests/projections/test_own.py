"""Users' own projections: kept at the head like the shipped ones, and never in the way of an append."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from kfstate.engine import Engine
from kfstate.errors import ProjectionError
from kfstate.feed import own as own_projections
from kfstate.feed.events import Event
from kfstate.store.dialect import query
from kfstate.testing import FrozenClock
from tests.engine.story import Teller, own, said
from tests.engine.tables import dump

__all__: list[str] = []

METADATA = sa.MetaData()
KINDS = sa.Table(
    "shop_kinds",
    METADATA,
    sa.Column("kind", sa.String(40), primary_key=True),
    sa.Column("entries", sa.Integer, nullable=False),
    sa.Column("moves", sa.Integer, nullable=False),
    sa.Index("ix_shop_kinds_entries", "entries"),
)


@attrs.define
class Kinds:
    """Counts entries by kind, and how many of them moved a state."""

    name: str = "kinds"
    version: int = 1
    inline: bool = True
    tables: Sequence[sa.Table] = (KINDS,)
    poison: set[int] = attrs.Factory(set)
    times: int = 1

    def project(self, conn: Connection, events: Sequence[Event], tables: Mapping[str, sa.Table]) -> None:
        """Count."""
        table = tables["shop_kinds"]
        for event in events:
            moves = sum(step.before != step.after for step in event.steps)
            mine = table.c.kind == event.entry.kind
            values = {"entries": table.c.entries + self.times, "moves": table.c.moves + moves}
            if conn.execute(table.update().where(mine).values(values)).rowcount == 0:
                conn.execute(table.insert().values(kind=event.entry.kind, entries=self.times, moves=moves))
            if event.position in self.poison:
                raise ValueError("no good")


def counted(engine: Engine, version: int = 1) -> dict[str, int]:
    """Return kind → entries of a build."""
    suffix = "" if version == 1 else f"_v{version}"
    with engine._reading() as conn:
        found = conn.execute(sa.text(f"SELECT kind, entries FROM shop_kinds{suffix}"))
        return {kind: int(count) for kind, count in found}


def status(engine: Engine, version: int = 1) -> tuple[Any, ...]:
    """Return status, position and lag of a build."""
    view = next(view for view in engine.projections.list("kinds") if view.version == version)
    return view.status, view.position, view.lag


@pytest.mark.parametrize("inline", [True, False])
def test_from_the_beginning(url: str, clock: FrozenClock, *, inline: bool) -> None:
    """A projection that is new gets its tables, and what is in the log already."""
    with Engine(url, clock=clock) as engine:
        Teller(engine, clock)(said(0), said(1), own(5, "state_changed", service_state=2))
    with Engine(url, clock=clock, projections=[Kinds(inline=inline)]) as engine:
        if not inline:
            assert ({}, ("live", 0, 4)) == (counted(engine), status(engine))
            assert ("live", 4, 0) == attrs.astuple(engine.projections.run("kinds"))[2:5]
        assert {"machine_activated": 1, "customer_message": 2, "state_changed": 1} == counted(engine)
        with engine._reading() as conn:
            assert [("customer_message", 1)] == query(
                conn, "SELECT kind, moves FROM shop_kinds WHERE kind = 'customer_message'"
            )


def test_in_a_new_database(clock: FrozenClock) -> None:
    """A projection may be there from the first entry on."""
    with Engine("sqlite://", clock=clock, projections=[Kinds()]) as engine:
        Teller(engine, clock)(said(0))
        assert {"machine_activated": 1, "customer_message": 1} == counted(engine)


def test_inline(url: str, clock: FrozenClock) -> None:
    """An inline projection is at the head after every append; the others wait until they are run."""
    table = sa.Table("shop_later", sa.MetaData(), sa.Column("kind", sa.String(40), primary_key=True))
    later = Kinds(name="later", inline=False, tables=[table])
    with Engine(url, clock=clock, projections=[Kinds(), later]) as engine:
        tell = Teller(engine, clock)
        for number in range(3):
            tell(said(number))
            assert {"machine_activated": 1, "customer_message": number + 1} == counted(engine)
            assert ("live", number + 2, 0) == status(engine)
        assert [0] == [view.position for view in engine.projections.list("later")]


def test_failure_is_isolated(url: str, clock: FrozenClock) -> None:
    """An error fails the projection, not the append: what the event did is undone, error and position are told."""
    kinds = Kinds(poison={4})
    with Engine(url, clock=clock, projections=[kinds]) as engine:
        tell = Teller(engine, clock)
        tell(said(0), said(1), said(2), said(3))
        assert (5, 0) == (engine.position(), engine.behind())
        (view,) = engine.projections.list("kinds")
        assert ("failed", 3, "position 4: ValueError: no good") == (view.status, view.position, view.error)
        assert {"machine_activated": 1, "customer_message": 2} == counted(engine)
        with pytest.raises(ProjectionError, match="position 4"):
            engine.projections.run("kinds")
        kinds.poison.clear()
        engine.projections.run("kinds")
        assert (("live", 5, 0), 4) == (status(engine), counted(engine)["customer_message"])
        tell(said(9))
        assert (("live", 6, 0), 5) == (status(engine), counted(engine)["customer_message"])


def test_failure_inside_a_page(url: str, clock: FrozenClock) -> None:
    """Of many entries in one append, those before the one that fails are projected."""
    with Engine(url, clock=clock, projections=[Kinds(poison={6})]) as engine:
        from kfstate.testing import page

        engine.ingest(page([said(number) for number in range(9)]))
        assert (10, ("failed", 5, 5)) == (engine.position(), status(engine))
        assert {"machine_activated": 1, "customer_message": 4} == counted(engine)


def test_failure_in_catch_up(url: str, clock: FrozenClock) -> None:
    """One that follows is marked as failed, too, at the entry where it fails; the log and the others go on."""
    kinds = Kinds(inline=False, poison={3})
    with Engine(url, clock=clock, projections=[kinds]) as engine:
        Teller(engine, clock)(said(0), said(1), said(2))
        with pytest.raises(ProjectionError, match="position 3"):
            engine.projections.run("kinds")
        assert (("failed", 2, 2), 1) == (status(engine), counted(engine)["customer_message"])
        kinds.poison.clear()
        assert "live" == engine.projections.run("kinds").status
        assert ("live", 4, 0) == status(engine)


def test_process_that_does_not_know_it(url: str, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of a process without the projection are projected by the next append of one that has it, in order."""
    with Engine(url, clock=clock, projections=[Kinds()]) as engine, Engine(url, clock=clock) as stranger:
        Teller(engine, clock)(said(0))
        Teller(stranger, clock)(*(said(1 + number) for number in range(5)))
        assert ("live", 2, 5) == status(engine)
        (view,) = stranger.projections.list("kinds")
        assert (True, 5) == (view.outdated, view.lag)
        Teller(engine, clock)(said(9))
        assert (("live", 8, 0), 7) == (status(engine), counted(engine)["customer_message"])
        monkeypatch.setattr(own_projections, "_NEAR", 3)
        Teller(stranger, clock)(*(said(20 + number) for number in range(5)))
        Teller(engine, clock)(said(30))
        assert (("live", 8, 6), 7) == (status(engine), counted(engine)["customer_message"])
        engine.projections.run("kinds")
        Teller(engine, clock)(said(31))
        assert (("live", 15, 0), 14) == (status(engine), counted(engine)["customer_message"])


def test_other_code(url: str, clock: FrozenClock) -> None:
    """A new version of the code leaves the old build alone, and becomes live together with the shipped one."""
    with Engine(url, clock=clock, projections=[Kinds()]) as engine:
        Teller(engine, clock)(said(0))
    with Engine(url, clock=clock, projections=[Kinds(version=2, times=10)]) as engine:
        tell = Teller(engine, clock)
        tell(said(1))
        (view,) = engine.projections.list("kinds")
        assert (True, 1, "live") == (view.outdated, view.lag, view.status)
        with pytest.raises(ProjectionError, match="other code"):
            engine.projections.run("kinds")
        engine.projections.build("kinds")
        assert (1, 20) == (counted(engine)["customer_message"], counted(engine, 2)["customer_message"])
        tell(said(2))
        assert 30 == counted(engine, 2)["customer_message"]
        with pytest.raises(ProjectionError, match="shipped"):
            engine.projections.switch(["kinds", "shipped"])
        assert ["live", "ready"] == [view.status for view in engine.projections.list("kinds")]
        engine.projections.build()
        engine.projections.switch(["kinds", "shipped"])
        assert ["kept", "live"] * 2 == [view.status for view in engine.projections.list()]
        tell(said(3))
        assert (("live", 5, 0), 40) == (status(engine, 2), counted(engine, 2)["customer_message"])
        engine.projections.drop("kinds", 1)
    with Engine(url, clock=clock, projections=[Kinds()]) as old:
        Teller(old, clock)(said(4))
        assert 40 == counted(old, 2)["customer_message"]


def test_build_that_fails(url: str, clock: FrozenClock) -> None:
    """A build that meets an error is marked as failed, says where, and goes on from there once that is mended."""
    kinds = Kinds()
    with Engine(url, clock=clock, projections=[kinds]) as engine:
        Teller(engine, clock)(said(0), said(1), said(2))
        kinds.poison.add(3)
        with pytest.raises(ProjectionError, match="position 3"):
            engine.projections.build("kinds")
        assert ("failed", 2, 2) == status(engine, 2)
        assert ("live", 4, 0) == status(engine)
        kinds.poison.clear()
        made = engine.projections.build("kinds")
        assert (2, "ready") == (made.version, made.status)
        assert {} == engine.projections.diff("kinds").tables
        made_again = engine.projections.rebuild("kinds")
        assert (False, 1) == (made_again.switched, made_again.version)


def test_following(url: str, clock: FrozenClock) -> None:
    """One that follows sees what is appended, at once after a commit of its engine, until it is stopped."""
    with Engine(url, clock=clock, projections=[Kinds(inline=False)]) as engine:
        stop, seen = threading.Event(), threading.Event()
        runner = threading.Thread(target=lambda: engine.projections.run("kinds", follow=True, stop=stop, poll=0.05))
        runner.start()
        Teller(engine, clock)(said(0), said(1))
        for _ in range(200):
            if status(engine) == ("live", 3, 0):
                break
            seen.wait(0.05)
        stop.set()
        runner.join(5)
        assert ((("live", 3, 0), 2), False) == (
            (status(engine), counted(engine)["customer_message"]), runner.is_alive(),
        )  # fmt: skip


BAD: dict[str, Kinds] = {
    "name of the shipped": Kinds(name="shipped"),
    "no name": Kinds(name=""),
    "table of ours": Kinds(tables=[sa.Table("kf_mine", sa.MetaData(), sa.Column("a", sa.Integer, primary_key=True))]),
    "no key": Kinds(tables=[sa.Table("mine", sa.MetaData(), sa.Column("a", sa.Integer))]),
    "no tables": Kinds(tables=()),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_cannot_be(bad: Kinds) -> None:
    """What could not be told from ours, or could not be compared, is refused before anything is opened."""
    with pytest.raises(ProjectionError):
        Engine("sqlite://", projections=[bad])


def test_unknown_name(engine: Engine) -> None:
    """What the engine was not opened with cannot be run."""
    with pytest.raises(ProjectionError, match="not opened with"):
        engine.projections.run("kinds")


def test_shipped_ones_are_not_touched(url: str, clock: FrozenClock) -> None:
    """With an own projection that fails, the shipped tables are as without any."""
    with Engine(url, clock=clock, projections=[Kinds(poison={2})]) as engine:
        Teller(engine, clock)(said(0), said(9))
        before = dump(engine)
        assert 0 == engine.check().different
        assert before == dump(engine)


def plain(name: str, *more: sa.Column[Any]) -> sa.Table:
    """Return a table."""
    return sa.Table(name, sa.MetaData(), sa.Column("kind", sa.String(40), primary_key=True), *more)


def test_names_are_told_apart() -> None:
    """Two projections of one name, and a table in two of them, or twice in one, are refused at opening."""
    for pair in (
        [Kinds(tables=[plain("one")]), Kinds(tables=[plain("two")])],
        [Kinds(), Kinds(name="other")],
        [Kinds(tables=[plain("one"), plain("One")])],
    ):
        with pytest.raises(ProjectionError):
            Engine("sqlite://", projections=pair)


def test_names_that_need_quotes(url: str, clock: FrozenClock) -> None:
    """Tables and columns may be called by words that SQL reserves, and with capitals."""

    class Ordered(Kinds):
        def project(self, conn: Connection, events: Sequence[Event], tables: Mapping[str, sa.Table]) -> None:
            for event in events:
                row = {"order": event.position, "Group": event.entry.kind}
                conn.execute(tables["user"].insert().values(row))
                conn.execute(tables["MyTable"].insert().values(kind=f"{event.position}"))

    table = sa.Table(
        "user",
        sa.MetaData(),
        sa.Column("order", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("Group", sa.String(40)),
    )
    with Engine(url, clock=clock, projections=[Ordered(tables=[table, plain("MyTable")])]) as engine:
        Teller(engine, clock)(said(0))
        engine.projections.build("kinds")
        with engine._writing() as conn:
            conn.execute(table.update().where(table.c.order == 1).values(Group="other"))
        found = engine.projections.diff("kinds").tables
        assert {"user": ((1,),)} == {name: one.keys_differing for name, one in found.items()}
        engine.projections.switch(["kinds"])
        engine.projections.drop("kinds", 1)
        assert [(2, "live")] == [(view.version, view.status) for view in engine.projections.list("kinds")]
