"""The simulator: realistic, seeded, streaming."""

import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from typing import Any

import pytest

from kfstate.clock import SystemClock
from kfstate.engine import Engine
from kfstate.machine.kinds import EVENT_KINDS
from kfstate.testing import Profile, World, pages, simulate, write_ndjson
from tests.testing import truth

SEED = 7
GOLDEN_PAGES = "77f46b071f354cb759dc6370738593fc1c305371c978f163598cca9bd1554ea6"
GOLDEN_SHUFFLED = "9ef874a5e4bfa4f605c06b98a1d971b4e2fbfd6af3cd85ae685b3036160a82eb"

OWN_ENTRIES = {
    "correction",
    "message_intended",
    "message_refused",
    "message_sent",
    "reply_lost",
    "state_change_refused",
    "state_changed",
    "state_reading",
}

EXPECTED: list[truth.Met] = [
    *(("message:3", state) for state in (0, 1, 2, 3, 4, -1)),
    *(("message:5", state) for state in (0, 1, 2, 3, 4, -1)),
    *(("session_status_change:1", state) for state in (0, 1, 2)),
    *(("session_status_change:2", state) for state in (0, 1, 2, 3, 4)),
    *(("session_status_change:3", state) for state in (0, 1, 2, 3, 4)),
    *(("session_status_change:4", state) for state in (0, 1, 2, 3, 4)),
    *(("session_status_change:5", state) for state in (0, 1, 3)),
    *(("state_changed:1", state) for state in (0, 1, 2, 3)),
    *(("state_changed:2", state) for state in (0, 1, 2)),
    *(("state_changed:3", state) for state in (0, 1, 2, 3)),
    *(("state_changed:4", state) for state in (0, 1, 2, 3)),
    *(("state_reading:2", state) for state in (0, 1, 2)),
    *(("state_reading:3", state) for state in (0, 3)),
    *(("message_sent:send_msg", state) for state in (0, 1, 2, 3, 4)),
    *(("message_sent:send_msg_on_event", state) for state in (2, 4)),
    *(("message_refused:95018", state) for state in (0, 1, 2, 3)),
    *(("state_change_refused:1", state) for state in (0, 2, 3, 4)),
    *(("state_change_refused:3", state) for state in (0, 1, 2, 3)),
    *(("user_recall_msg", state) for state in (0, 1, 2, 3, 4)),
    ("message_refused:95001", 1),
    ("message_refused:95013", 4),
    ("enter_session", 4),
    ("hologram:3", 3),
]


def lines(items: list[dict[str, Any]]) -> Counter[str]:
    """Return how often each entry occurs."""
    return Counter(json.dumps(item, sort_keys=True) for item in items)


def delivered(seed: int, conversations: int, **more: Any) -> list[dict[str, Any]]:
    """Return what all pages brought, own entries included."""
    found: list[dict[str, Any]] = []
    for item in pages(seed, conversations, **more):
        found.extend(item.get("msg_list", [item]))
    return found


def test_same_seed_same_bytes() -> None:
    """The first 200 pages of a seed are the same bytes on every machine and every Python."""
    file = io.StringIO()
    write_ndjson(file, itertools.islice(pages(SEED, 1_000, page_size=100, own_entries=False), 200))
    assert GOLDEN_PAGES == hashlib.sha256(file.getvalue().encode()).hexdigest()


def test_same_seed_same_bytes_with_own_entries_and_shuffled() -> None:
    """The order of a shuffled world and its own entries are decided by the seed as well."""
    file = io.StringIO()
    write_ndjson(file, pages(SEED, 50, shuffled=True, window=500))
    assert GOLDEN_SHUFFLED == hashlib.sha256(file.getvalue().encode()).hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_other_processes_simulate_the_same(hash_seed: str) -> None:
    """Nothing depends on the process, its hash seed included."""
    program = "import sys; from kfstate.testing import pages, write_ndjson; write_ndjson(sys.stdout, pages(3, 20))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONUTF8": "1"}
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env=environment)
    file = io.StringIO()
    write_ndjson(file, pages(3, 20))
    assert file.getvalue().splitlines() == ran.stdout.decode().splitlines()


def test_other_seeds_are_other_worlds() -> None:
    """Two seeds share no msgid and no customer."""
    first, second = ({truth.conversation_of(item) for item in simulate(seed, 20)} - {None} for seed in (1, 2))
    assert not first & second


def test_every_conversation_writes() -> None:
    """There are as many conversations as asked for, and no more."""
    conversations = {truth.conversation_of(item) for item in simulate(SEED, 60)} - {None}
    assert 60 == len(conversations)


@pytest.mark.parametrize("own_entries", [True, False])
@pytest.mark.parametrize("ties", [0.2, 0.4, 0.6])
def test_as_many_ties_as_asked_for(ties: float, own_entries: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """At least the share asked for of all neighbours carry the same second, with own entries and without."""
    profile = Profile(ties=ties, late=0, duplicates=0, conflicts=0)
    items = list(simulate(SEED, 200, profile=profile, own_entries=own_entries))
    assert ties <= truth.share_of_ties(items) <= ties + 0.15


def test_no_ties_when_none_are_asked_for() -> None:
    """Without ties no two neighbours carry the same second."""
    items = list(simulate(SEED, 100, profile=Profile(ties=0, conflicts=0)))
    assert 0 == truth.share_of_ties(items)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("message:5", "session_status_change:3"),
        ("session_status_change:2", "session_status_change:3"),
        ("session_status_change:3", "message:5"),
        ("session_status_change:1", "session_status_change:3"),
        ("message:3", "session_status_change:3"),
        ("session_status_change:3", "message:3"),
    ],
)
def test_ends_tie_with_what_is_around_them(first: str, second: str) -> None:
    """A message, transfer, farewell or pick shares the second of an end, one way round and the other."""
    tied = {
        (truth.kind_of(a), truth.kind_of(b))
        for history in truth.histories(list(simulate(SEED, 400, own_entries=False)))
        for a, b in itertools.pairwise(history)
        if truth.second_of(a) == truth.second_of(b)
    }
    assert (first, second) in tied


def test_every_change_and_every_misfit_happens() -> None:
    """In a thousand conversations each kind of change meets each state that the table of the machine speaks about."""
    met = truth.met(list(simulate(SEED, 1_000)))
    assert not sorted(set(EXPECTED) - met)


def test_every_kind_of_entry_happens() -> None:
    """A thousand conversations hold all seven events and every own entry of a routing service."""
    kinds = {truth.kind_of(item).partition(":")[0] for item in simulate(SEED, 1_000)}
    assert not sorted((EVENT_KINDS | OWN_ENTRIES) - kinds)


def test_disturbances_have_their_shares() -> None:
    """Late, repeated and conflicting elements and elements without msgid come about as often as the profile says."""
    profile = Profile(late=0.05, duplicates=0.05, conflicts=0.05, no_msgid=0.05)
    items = list(simulate(SEED, 300, profile=profile, own_entries=False))
    contents: defaultdict[str, set[str]] = defaultdict(set)
    for item in items:
        contents[item.get("msgid", "")].add(json.dumps(item, sort_keys=True))
    times = [item["send_time"] for item in items]
    shares = {
        "behind": sum(at < reached - 60 for at, reached in zip(times, itertools.accumulate(times, max), strict=True)),
        "again": sum(lines(items).values()) - len(lines(items)),
        "conflicts": sum(len(found) > 1 for msgid, found in contents.items() if msgid),
        "no_msgid": sum("msgid" not in item for item in items),
    }
    expected = {"behind": 0.15, "again": 0.05, "conflicts": 0.05, "no_msgid": 0.05}
    assert expected == pytest.approx({name: count / len(items) for name, count in shares.items()}, rel=0.3)


def test_a_calm_profile_is_in_time_order() -> None:
    """Without disturbances entries come in the order in which they happened, each once."""
    items = list(simulate(SEED, 100, profile=Profile(late=0, duplicates=0, conflicts=0, no_msgid=0)))
    seconds = [truth.second_of(item) for item in items]
    assert sorted(seconds) == seconds
    assert 1 == max(lines(items).values())


def test_own_entries_change_nothing_else() -> None:
    """Without own entries the elements of pages are the same."""
    expected = [item for item in simulate(SEED, 100) if "kind" not in item]
    assert expected == list(simulate(SEED, 100, own_entries=False))


def test_own_entries_have_keys_of_their_own() -> None:
    """Each own entry carries an idempotency key, so that it can be delivered again."""
    keys = [item["key"] for item in simulate(SEED, 100) if "kind" in item]
    assert len(keys) == len(set(keys)) > 100


def test_entries_bounds_the_stream() -> None:
    """``entries`` stops the stream, and what came before is the same as without it."""
    expected = list(itertools.islice(simulate(SEED, 100), 750))
    assert expected == list(simulate(SEED, 100, entries=750))
    assert [] == list(simulate(SEED, 100, entries=0))


def test_customers_return_with_recency() -> None:
    """Most conversations hold more than one session, and returning customers were mostly here lately."""
    sessions = Counter(
        truth.conversation_of(item)
        for item in simulate(SEED, 300, own_entries=False)
        if truth.kind_of(item) == "session_status_change:3"
    )
    assert 3 < max(sessions.values())


def test_memory_is_bounded() -> None:
    """However long the stream, few conversations are alive and few entries wait."""
    world = World(SEED, 10**9, profile=Profile(remembered=500), entries=100_000)
    alive = pending = count = 0
    for count, _ in enumerate(world, 1):
        if count % 1_000 == 0:
            alive, pending = max(alive, world.alive), max(pending, world.stage.pending)
    assert 100_000 == count
    assert 2_000 < world.opened
    assert alive < 1_000
    assert pending < 6_000
    assert 500 + 100 > len(world._resting)


@pytest.mark.parametrize("window", [None, 200])
@pytest.mark.parametrize("own_entries", [True, False])
def test_shuffled_holds_the_same_entries(window: int | None, own_entries: bool) -> None:  # noqa: FBT001 - as above
    """Shuffled pages bring every entry of the ordered ones at least once, some again, and nothing else."""
    ordered = delivered(SEED, 100, own_entries=own_entries)
    shuffled = delivered(SEED, 100, own_entries=own_entries, shuffled=True, window=window, page_size=50)
    assert set(lines(ordered)) == set(lines(shuffled))
    assert len(shuffled) > 1.1 * len(ordered)
    assert not lines(ordered) - lines(shuffled)


def test_shuffled_is_in_another_order() -> None:
    """A wholly shuffled world is far from the order in which it happened."""
    seconds = [truth.second_of(item) for item in delivered(SEED, 100, shuffled=True, window=None, page_size=50)]
    backwards = sum(a > b for a, b in itertools.pairwise(seconds))
    assert 0.3 < backwards / len(seconds) < 0.7


def test_ordered_pages_bring_what_simulate_yields() -> None:
    """In order, pages hold the same entries; each conversation's come in the order of ``simulate``."""
    expected = [item for item in simulate(SEED, 60) if truth.conversation_of(item)]
    brought = [item for item in delivered(SEED, 60) if truth.conversation_of(item)]
    by_account = sorted(expected, key=lambda item: str((truth.conversation_of(item) or "")[0]))
    assert by_account == sorted(brought, key=lambda item: str((truth.conversation_of(item) or "")[0]))


def test_pages_follow_each_other() -> None:
    """Pages keep to their size, an account at a time; cursors are unique and ``has_more`` is 0 at the end."""
    found = list(pages(SEED, 200, page_size=100, own_entries=False))
    assert all(len(page["msg_list"]) <= 100 for page in found)
    assert len(found) == len({page["next_cursor"] for page in found})
    assert [0, 0, 0] == [page["has_more"] for page in found[-3:]]
    for page in found:
        bodies = [item.get("event", item) for item in page["msg_list"]]
        assert len({body["open_kfid"] for body in bodies if "open_kfid" in body}) <= 1


def test_write_ndjson_counts_its_lines() -> None:
    """One JSON object per line, Chinese as it is written."""
    file = io.StringIO()
    expected = list(pages(SEED, 5))
    assert len(expected) == write_ndjson(file, expected)
    assert expected == [json.loads(line) for line in file.getvalue().splitlines()]
    assert "\\u" not in file.getvalue()


@pytest.mark.parametrize(
    "wrong", [{"ties": 1.5}, {"late": -0.1}, {"returning": 1}, {"accounts": 0}, {"servicers": 0}, {"per_hour": 0}]
)
def test_a_profile_refuses_nonsense(wrong: dict[str, Any]) -> None:
    """A share outside 0 to 1 or an empty world is refused, by the name of the attribute."""
    with pytest.raises(ValueError, match=f"Profile.{next(iter(wrong))} "):
        Profile(**wrong)


@pytest.mark.parametrize("wrong", [{"page_size": 0}, {"page_size": 1_001}, {"overlap": -1}])
def test_pages_refuse_nonsense(wrong: dict[str, Any]) -> None:
    """A page size that WeCom does not know or a negative overlap is refused at the call."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        pages(SEED, 1, **wrong)


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_engine_takes_every_line(shuffled: bool) -> None:  # noqa: FBT001 - as above
    """No page, element or own entry of a simulated world is rejected."""
    file = io.StringIO()
    write_ndjson(file, pages(SEED, 30, shuffled=shuffled, page_size=50))
    with Engine("sqlite://", clock=SystemClock()) as engine:
        report = engine.ingest(file.getvalue().encode())
    assert 0 == report.rejected
    assert 0 < report.unknown
