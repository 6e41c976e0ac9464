"""The columnar fold: entries in, the last state of every conversation out, both as Arrow tables.

Needs the extra ``columnar``. Equal to :func:`kfstate.machine.fold` for any entries and any machine; a conversation
whose order inside a second the compiled fold cannot tell goes to ``machine.fold`` itself.
"""

from typing import Any

import attrs

from kfstate.archive.arrow import np, pa, pc
from kfstate.archive.columnar.bits import ENTRY_SIZE
from kfstate.archive.columnar.packing import raw_of
from kfstate.archive.columnar.rules import NONE, Ints, rules
from kfstate.archive.columnar.scan import FIELDS, scan
from kfstate.machine import MACHINE, Machine, SessionState
from kfstate.machine.entry import Entry
from kfstate.machine.fold import fold
from kfstate.machine.state import DOUBTS, EVIDENCE, OPENINGS, pack

__all__ = ["FINAL", "fold_table"]

_WORDS = {"opened_by": OPENINGS, "evidence": EVIDENCE, "doubt": DOUBTS}
_SMALL = {"service_state": pa.int8(), "kept": pa.int8(), "session": pa.int32(), "sends": pa.int32()}
_NAMES = tuple(field.name for field in attrs.fields(SessionState))
_ALWAYS = frozenset({"service_state", "session", "sends", "evidence", "doubt", "second"})
FINAL = pa.schema(
    [pa.field("stream", pa.int64(), nullable=False)]
    + [
        pa.field(
            name,
            pa.dictionary(pa.int8(), pa.string()) if name in _WORDS else _SMALL.get(name, pa.int64()),
            nullable=name not in _ALWAYS,
        )
        for name in _NAMES
    ]
)
"""What :func:`fold_table` returns: the stream, then the fields of ``SessionState``."""


def fold_table(table: Any, machine: Machine = MACHINE) -> Any:
    """Fold entries to the last state of each conversation, one row each, in the order of ``FINAL``.

    ``table`` has the columns of ``schema.FOLDED``, and all entries of each of its conversations. The order of its rows
    does not matter, but is fastest where a conversation stands in one piece, by ``sort_second``.
    """
    if table.num_rows == 0:
        return FINAL.empty_table()
    raw = raw_of(table)
    runs, count = _runs(raw[0][0])
    streams = np.empty(count, np.int64)
    states = np.empty((count + 1, FIELDS), np.int64)
    fast = np.empty(count, np.bool_)
    rows = table.num_rows
    room = (np.empty((rows, ENTRY_SIZE), np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64))
    scan(rules(machine), raw, runs, room, streams, states, fast)
    for at in np.flatnonzero(~fast):
        states[at] = _folded(table, streams[at], machine)
    return _final(streams, states[:-1])


def _runs(stream: Ints) -> tuple[tuple[Ints, Ints], int]:
    """Return where the runs of one stream begin and end, in order of streams, and how many streams there are."""
    cuts = np.flatnonzero(stream[1:] != stream[:-1]) + 1
    begins, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [stream.size]])
    order = np.argsort(stream[begins], kind="stable")
    begins, ends = begins[order], ends[order]
    named = stream[begins]
    return (begins, ends), 1 + int(np.count_nonzero(named[1:] != named[:-1]))


def _folded(table: Any, stream: Any, machine: Machine) -> list[int]:
    """Fold one conversation by ``machine.fold``."""
    rows = table.filter(pc.equal(table.column("stream"), stream)).select(Entry._fields).to_pylist()
    words = dict(zip(_NAMES, pack(fold([Entry(**row) for row in rows], machine=machine)[-1].state), strict=True))
    for name, known in _WORDS.items():
        words[name] = None if words[name] is None else known.index(words[name])
    return [NONE if value is None else value for value in words.values()]


def _final(streams: Ints, states: Ints) -> Any:
    made = [pa.array(streams)]
    for number, field in enumerate(list(FINAL)[1:]):
        values = np.ascontiguousarray(states[:, number])
        mask = values == NONE if field.nullable else None
        if field.name in _WORDS:
            codes = pa.array(np.where(values == NONE, 0, values).astype(np.int8), mask=mask)
            made.append(pa.DictionaryArray.from_arrays(codes, pa.array(_WORDS[field.name])))
        else:
            made.append(pa.array(values if mask is None else np.where(mask, 0, values), mask=mask).cast(field.type))
    return pa.Table.from_arrays(made, schema=FINAL)
