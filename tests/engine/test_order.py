"""Arrival order does not matter (P3), through the whole engine: pages in, views out."""

import itertools
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from kfstate.engine import Engine
from kfstate.queries.views import as_json
from kfstate.testing import FrozenClock, Profile, page, pages
from tests.engine.conftest import Fresh
from tests.engine.tables import rows
from tests.engine.worlds import ASIDE, NOW, PEOPLE, TALK, Item, element, histories, pages_of, seeded, tales

__all__: list[str] = []

GAPS = (0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 9, 5_000, 48 * 3600)
WORDS = tuple(word for word in ASIDE if word != "homeless")
PAIRS = {
    "message and end": ("customer", "change 3 a -"),
    "transfer and end": ("change 2 a b", "change 3 b -"),
    "farewell and end": ("servicer a", "change 3 a -"),
    "pick and end": ("change 1 - a", "change 3 a -"),
    "end and taking back": ("change 3 a -", "change 4 a b"),
}
LATER = 4_000_000_000_000_000
"""After all that happens, in microseconds: no time is too far ahead to be believed."""
PLACES = ("position", "session_id", "reopens", "recorded_at", "version", "synced_until")


def seen(engine: Engine) -> dict[str, Any]:
    """Return all that people see of the conversations, positions and recording times apart."""
    found: dict[str, Any] = {
        "conversations": [told(view) for view in engine.conversations(as_of_log=True)],
        "sessions": [told(view) for view in engine.sessions(as_of_log=True)],
        "load": [told(view) for view in engine.load()],
    }
    for view in engine.conversations(as_of_log=True):
        pair = (view.open_kfid, view.external_userid or "")
        found["/".join(pair)] = [told(step) for step in engine.history(*pair, as_of_log=True)]
    for name in ("rejected", "rejected_second"):
        sql = f"SELECT c.open_kfid, n.value, c.{name} FROM kf_conversation c JOIN kf_name n ON n.id = c.customer"
        found[name] = sorted(map(repr, rows(engine, sql)))
    return found


def told(view: Any) -> Any:
    """Return a view as JSON data, without what depends on when it was recorded."""
    data = as_json(view)
    return {name: value for name, value in data.items() if name not in PLACES}


def shared(items: Sequence[Item]) -> float:
    """Return the share of neighbours in a conversation that have the same second."""
    by_person: dict[int, list[int]] = {}
    for _, second, item in tales(items):
        by_person.setdefault(item.who, []).append(second)
    pairs = [pair for seconds in by_person.values() for pair in itertools.pairwise(seconds)]
    return sum(one == other for one, other in pairs) / max(1, len(pairs))


def arrive(fresh: Fresh, elements: Iterable[Any], chance: random.Random | None) -> dict[str, Any]:
    """Ingest elements in pages: in order, or shuffled and cut anywhere, some pages overlapping the one before."""
    with fresh("arrival") as (engine, clock):
        clock.set(LATER)
        left = list(elements)
        if chance is None:
            engine.ingest(page(left))
        else:
            chance.shuffle(left)
            at = 0
            while at < len(left):
                size = chance.choice((1, 1, 2, 5, 20))
                engine.ingest(page(left[max(0, at - chance.randrange(3)) : at + size]))
                at += size
        return seen(engine)


@settings(max_examples=40)
@given(items=histories(WORDS, gaps=GAPS, max_size=18), chance=st.randoms(use_true_random=False))
def test_any_arrival_gives_the_same(fresh: Fresh, items: list[Item], chance: random.Random) -> None:
    """However the same entries come in, and in whatever pages, people see the same; ties and conflicts included."""
    assume(shared(items) >= 0.2)
    event(f"{shared(items):.1f} of neighbours share a second")
    elements = pages_of(items)
    in_order = arrive(fresh, elements, None)
    assert in_order == arrive(fresh, elements, chance)
    assert in_order == arrive(fresh, reversed(elements), chance)


def test_any_arrival_at_volume(fresh: Fresh) -> None:
    """The same for long seeded histories of several conversations."""
    shares = []
    for seed in range(12):
        chance = random.Random(seed)
        items = seeded(chance, 80, TALK + TALK + WORDS, gaps=GAPS)
        shares.append(shared(items))
        elements = pages_of(items)
        in_order = arrive(fresh, elements, None)
        assert in_order == arrive(fresh, elements, chance)
        assert in_order == arrive(fresh, elements, chance)
    assert min(shares) >= 0.2


@pytest.mark.parametrize("before", ["", "change 1 - a", "change 1 - b"], ids=["pool", "with a", "with b"])
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_two_in_one_second(fresh: Fresh, before: str, pair: tuple[str, str]) -> None:
    """Two entries of one second give the same whichever comes first, whatever their msgids."""
    words = ["customer", *([before] if before else [])]
    items = [Item(who=0, word=word, gap=30) for word in words] + [Item(0, pair[0], 30), Item(0, pair[1], 0)]
    for swap in range(4):
        elements = pages_of(items)
        for made in elements:
            made["msgid"] += f"x{swap}"
        in_order = arrive(fresh, elements, None)
        assert in_order == arrive(fresh, [*elements[:-2], elements[-1], elements[-2]], random.Random(0))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("change 1 - a", "change 3 a -"), ("change 2 a b", "change 2 a c"), ("customer", "click"),
        ("servicer a", "servicer b"), ("reject a 1", "reject a 0"), ("status a 1", "status a 2"),
    ],
)  # fmt: skip
def test_conflict_in_one_second(fresh: Fresh, one: str, other: str) -> None:
    """Entries that share msgid and second and say different things give the same whichever comes first."""
    start = [
        element(number, NOW + number, Item(0, word, 0)) for number, word in enumerate(["customer", "change 1 - a"])
    ]
    conflicting = [element(9, NOW + 60, Item(0, word, 0)) for word in (one, other)]
    after = element(10, NOW + 90, Item(0, "customer", 0))
    found = []
    for arrival in itertools.permutations([*conflicting, after]):
        with fresh("conflict") as (engine, _):
            for made in (*start, *arrival):
                report = engine.ingest(page([made]))
                assert 1 == report.appended
            found.append(seen(engine))
    assert [found[0]] * len(found) == found


def _ingested(fresh: Fresh, items: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], int]:
    with fresh("simulated") as (engine, clock):
        clock.set(LATER)
        report = engine.ingest(items)
        assert 0 == report.rejected
        return seen(engine), report.appended


@pytest.mark.parametrize("seed", [3, 14])
def test_simulated_world_shuffled(fresh: Fresh, seed: int) -> None:
    """200 simulated conversations in shuffled, overlapping pages give the same as in order."""
    profile = Profile()
    in_order, appended = _ingested(fresh, pages(seed, 200, profile=profile, own_entries=False))
    world = list(pages(seed, 200, profile=profile, own_entries=False, shuffled=True, window=None, page_size=97))
    shuffled, again = _ingested(fresh, world)
    assert appended == again
    assert len(in_order["conversations"]) >= 200
    for name, views in in_order.items():
        assert views == shuffled[name], name
    assert json.dumps(in_order) == json.dumps(shuffled)


def test_clock_of_the_frozen_world() -> None:
    """Histories begin when the clock of the tests says; both sides of a comparison see the same now."""
    assert NOW * 1_000_000 == FrozenClock.at(NOW).now()
    assert len(PEOPLE) == len(set(PEOPLE))
