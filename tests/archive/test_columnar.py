"""The columnar fold is `machine.fold`, for any entries, any machine, and rows in any order."""

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfstate.archive.arrow import pa
from kfstate.archive.columnar import FINAL, digest, fold_table
from kfstate.archive.columnar.compiling import STAMP, jit
from kfstate.archive.columnar.rules import GUARD_NUMBERS
from kfstate.archive.columnar.scan import scan
from kfstate.archive.schema import ENTRIES, FOLDED
from kfstate.machine import MACHINE, Clockwork, Entry, Machine, SessionState, compiled, fold
from kfstate.machine.guards import GUARDS
from kfstate.machine.kinds import KINDS
from kfstate.machine.table import SPEC
from tests.machine.random_histories import log, stories

__all__: list[str] = []

SERVICERS = {"a": 9, "b": 10, "c": 2, None: None}
"""Ids as the log has them; 10 comes before 9 where they are compared as text."""
SCHEMA = pa.schema([ENTRIES.field(name) for name in FOLDED])
OPENING = compiled(
    attrs.evolve(SPEC, clockwork=Clockwork(expiry_anchor="opening", expires_after=90_000, straggler=3, send_limit=2))
)
MACHINES = pytest.mark.parametrize("machine", [MACHINE, OPENING], ids=["live", "other"])


def numbered(entries: Sequence[Entry]) -> list[Entry]:
    """Give the servicers of a story their ids."""
    return [
        made._replace(servicer_from=SERVICERS[made.servicer_from], servicer_to=SERVICERS[made.servicer_to])  # type: ignore[index]
        for made in entries
    ]


def table(entries: Sequence[Entry]) -> Any:
    """Return entries as the archive's columns."""
    return pa.Table.from_pylist([entry._asdict() for entry in entries], SCHEMA)


def columnar(entries: Any, machine: Machine = MACHINE) -> dict[int, SessionState]:
    """Fold by columns."""
    rows = fold_table(entries, machine).to_pylist()
    return {row.pop("stream"): SessionState(**row) for row in rows}


def folded(entries: Sequence[Entry], machine: Machine = MACHINE) -> dict[int, SessionState]:
    """Fold one by one."""
    streams = {entry.stream for entry in entries}
    return {
        stream: fold([entry for entry in entries if entry.stream == stream], machine=machine)[-1].state
        for stream in streams
    }


@MACHINES
@pytest.mark.parametrize("seed", range(3))
def test_logs(seed: int, machine: Machine) -> None:
    """Logs with ties, late entries, repeats, voids and decodings: by position, sorted, shuffled, and in pieces."""
    chance = random.Random(seed)
    entries = numbered(log(chance, streams=12, size=60))
    expected = folded(entries, machine)
    whole = table(entries)
    assert expected == columnar(whole, machine)
    assert expected == columnar(whole.sort_by([("stream", "ascending"), ("sort_second", "ascending")]), machine)
    cuts = sorted(chance.sample(range(len(entries)), 3))
    pieces = [whole.slice(begin, end - begin) for begin, end in pairwise([0, *cuts, len(entries)])]
    assert expected == columnar(pa.concat_tables(chance.sample(pieces, 4)), machine)
    chance.shuffle(entries)
    assert expected == columnar(table(entries), machine)


@given(stories(max_size=40), st.randoms())
def test_any_story(story: list[Entry], chance: random.Random) -> None:
    """Any story, in whatever order it came in."""
    entries = numbered(story)
    chance.shuffle(entries)
    assert folded(entries) == columnar(table(entries))


few = st.sampled_from([None, None, 0, 1, 2, 3, 4, 10, 21])
ANY = st.builds(
    Entry,
    stream=st.integers(1, 2),
    kind=st.sampled_from([*sorted(KINDS), *["redecoded", "correction"] * 4, "unheard_of"]),
    sort_second=st.sampled_from([0, 1, 1, 1, 5, 90_000, 200_000]),
    tie=st.integers(0, 1),
    change_type=st.sampled_from([None, 0, 1, 2, 3, 4, 5, 10, -1]),
    service_state=st.sampled_from([None, None, 0, 1, 2, 3, 4, 5, -1]),
    servicer_from=few,
    servicer_to=few,
    errcode=st.sampled_from([None, 0, 95001, 95002, 95013, 95014, 95016, 95018, 95019, 45009]),
    menu_click=st.sampled_from([None, None, 0, 1, 2, -1]),
    via=st.sampled_from([None, "send_msg", "send_msg_on_event", "other"]),
    counts=st.sampled_from([None, 0, 1, 1, -1, 32767, -32768]),
    again=st.sampled_from([0, 0, 0, 1, 2]),
    target=st.one_of(st.none(), st.integers(1, 14)),
    as_kind=st.sampled_from([None, None, None, "", "customer_message", "session_status_change", "unheard_of"]),
)


@given(st.lists(ANY, min_size=1, max_size=14))
def test_any_entries(made: list[Entry]) -> None:
    """Whatever the columns hold, possible or not."""
    entries = [entry._replace(position=position) for position, entry in enumerate(made, start=1)]
    assert folded(entries) == columnar(table(entries))


def test_text_of_servicers() -> None:
    """Entries that share tie and kind are told apart by servicers as text: 10 before 9."""
    base = Entry(stream=1, kind="session_status_change", change_type=1, sort_second=5, tie=7)
    for ids in ((9, 10), (2, 10), (10, 100), (99, 100), (0, 5)):
        entries = [base._replace(position=at, servicer_to=servicer) for at, servicer in enumerate(ids, start=1)]
        assert folded(entries) == columnar(table(entries))


def test_no_entries() -> None:
    """No entries are no conversations."""
    found = fold_table(SCHEMA.empty_table())
    assert (0, FINAL) == (found.num_rows, found.schema)


def test_every_guard_is_known() -> None:
    """A guard that the compiled fold does not know would be an error at once."""
    assert set(GUARDS) == set(GUARD_NUMBERS) - {""}


def test_compiled_code_is_of_these_sources() -> None:
    """What is kept on the disk is not used once any of the sources is another."""
    assert STAMP == scan._cache._cache_file._source_stamp  # type: ignore[attr-defined]


def test_nowhere_to_keep_it() -> None:
    """Where numba can keep nothing on the disk, it compiles all the same."""
    space: dict[str, Any] = {}
    exec("def double(number):\n    return number * 2\n", space)  # noqa: S102 - it stands in no file
    assert 6 == jit(space["double"])(3)


def test_digest() -> None:
    """The digest knows no order and no pieces, and sees any other value."""
    whole = fold_table(table(numbered(log(random.Random(3), streams=9, size=30))))
    expected = digest([whole])
    assert expected == digest([whole.slice(5), whole.slice(0, 2), whole.slice(2, 3)])
    assert expected == digest([whole.sort_by([("position", "descending")])])
    plain = pa.schema([(field.name, pa.string() if "dict" in str(field.type) else field.type) for field in FINAL])
    assert expected == digest([whole.cast(plain)])
    assert "0" * 32 == digest([])
    for name in FINAL.names:
        at = FINAL.get_field_index(name)
        column = whole.column(name).to_pylist()
        others = [value for value in column if value != column[0]]
        column[0] = others[0] if others else (1 if column[0] is None else None)
        changed = whole.set_column(at, pa.field(name, FINAL.field(at).type), pa.array(column, FINAL.field(at).type))
        assert expected != digest([changed]), name
