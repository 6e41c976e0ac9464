"""The columnar fold: entries in, the last state of every conversation out, both as Arrow tables.

Needs the extra ``columnar``. Equal to :func:`kfstate.machine.fold` for any entries and any machine; a conversation
whose order inside a second the compiled fold cannot tell goes to ``machine.fold`` itself.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from kfstate.archive.arrow import np, pa, pc
from kfstate.archive.briefs import Briefs
from kfstate.archive.columnar.bits import REDECODES, SHAPE_SIZE, VOIDS
from kfstate.archive.columnar.packing import pack_shapes
from kfstate.archive.columnar.room import room
from kfstate.archive.columnar.rules import NONE, STATES, Ints, rules
from kfstate.archive.columnar.scan import FIELDS, habits, scan
from kfstate.archive.schema import BRIEFS, spread
from kfstate.machine import MACHINE, Machine, SessionState
from kfstate.machine.entry import Entry
from kfstate.machine.fold import fold
from kfstate.machine.state import DOUBTS, EVIDENCE, OPENINGS, pack

__all__ = ["FINAL", "fold_briefs", "fold_table", "joined", "without"]

_WORDS = {"opened_by": OPENINGS, "evidence": EVIDENCE, "doubt": DOUBTS}
_SMALL = {"service_state": pa.int8(), "kept": pa.int8(), "session": pa.int32(), "sends": pa.int32()}
_WIDTHS = _SMALL | dict.fromkeys(_WORDS, pa.int8())
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
    stream, second, position, tie = (table.column(name).to_numpy() for name in BRIEFS.names[1:-1])
    briefs = Briefs(stream, second, position, tie, np.arange(table.num_rows, dtype=np.int32))
    return fold_briefs(briefs, pack_shapes(table), lambda stream: _rows(table, stream), machine)


def fold_briefs(briefs: Briefs, shapes: Ints, look_up: Callable[[int], list[Entry]], machine: Machine = MACHINE) -> Any:
    """Fold entries in brief; ``look_up`` returns those of a conversation whose order they do not tell.

    There is at least one entry.
    """
    size = briefs.stream.size
    runs, count = _runs(briefs.stream)
    table = rules(machine)
    does = np.empty((len(shapes), STATES), np.int8)
    habits(table, shapes, len(shapes), VOIDS | REDECODES, does)
    columns = (*(room(name, size) for name in ("second'", "position'", "tie'")), room("shape'", size, np.int32))
    ordered = tuple(_sealed(column) for column in columns)
    own = (np.empty((size, SHAPE_SIZE), np.int64), np.empty((size, STATES), np.int8))
    lists = (room("one", size), room("two", size), room("state", FIELDS), room("trial", FIELDS))
    out = (np.empty(count, np.int64), np.empty((FIELDS, count), np.int64), np.empty(count, np.bool_))
    rows = (_sealed(briefs.second), _sealed(briefs.position), _sealed(briefs.tie), _sealed(briefs.shape))
    scan(table, shapes, does, _sealed(briefs.stream), rows, runs, (ordered, columns, *own, *lists), out)
    streams, states, folded = out
    for at in np.flatnonzero(~folded):
        states[:, at] = _folded(look_up(int(streams[at])), machine)
    return _final(streams, states)


def joined(pieces: Iterable[tuple[Briefs, Ints]], size: int) -> tuple[Briefs, Ints]:
    """Return as one what are entries in brief and shapes of their own; ``size`` is how many entries at the most.

    There is at least one piece. Each is copied once, and can go before the next one is read; one that is all stays.
    What is returned is in use until the next call.
    """
    stream, second, position, tie = (room(name, size) for name in ("stream", "second", "position", "tie"))
    shape = room("shape", size, np.int32)
    shapes: list[Ints] = []
    end = known = 0
    for part, said in pieces:
        if part.stream.size == size:
            return part, said
        begin, end = end, end + part.stream.size
        stream[begin:end], second[begin:end] = part.stream, part.second
        position[begin:end], tie[begin:end] = part.position, part.tie
        np.add(part.shape, np.int32(known), out=shape[begin:end])
        known += len(said)
        shapes.append(said)
    return Briefs(stream[:end], second[:end], position[:end], tie[:end], shape[:end]), np.concatenate(shapes)


def without(states: Any, streams: Sequence[int]) -> Any:
    """Return the states of all but these streams."""
    kept = ~np.isin(states["stream"].to_numpy(), np.array(streams, np.int64))
    return states if kept.all() else states.filter(pa.array(kept))


def _sealed(array: Ints) -> Ints:
    """Return an array that cannot be written to, as columns of Arrow are: one type, compiled once."""
    view = array.view()
    view.flags.writeable = False
    return view


def _runs(stream: Ints) -> tuple[tuple[Ints, Ints], int]:
    """Return where the runs of one stream begin and end, those of a stream together, and how many streams there are."""
    cuts = np.flatnonzero(stream[1:] != stream[:-1]) + 1
    begins, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [stream.size]])
    named = spread(stream[begins])
    order = np.argsort(named, kind="stable")
    named = named[order]
    count = 1 + int(np.count_nonzero(named[1:] != named[:-1]))
    if count < begins.size:  # as they stand where they can: memory is read in its order
        begins, ends = begins[order], ends[order]
    return (begins, ends), count


def _rows(table: Any, stream: int) -> list[Entry]:
    rows = table.filter(pc.equal(table.column("stream"), stream)).select(Entry._fields).to_pylist()
    return [Entry(**row) for row in rows]


def _folded(entries: list[Entry], machine: Machine) -> list[int]:
    """Fold one conversation by ``machine.fold``."""
    words = dict(zip(_NAMES, pack(fold(entries, machine=machine)[-1].state), strict=True))
    for name, known in _WORDS.items():
        words[name] = None if words[name] is None else known.index(words[name])
    return [NONE if value is None else value for value in words.values()]


def _final(streams: Ints, states: Ints) -> Any:
    made = [pa.array(streams)]
    for values, field in zip(states, list(FINAL)[1:], strict=True):
        valid, missing = None, 0
        if field.nullable:
            known = values != NONE
            missing = values.size - int(np.count_nonzero(known))
            valid = pa.py_buffer(np.packbits(known, bitorder="little")) if missing else None
        small = _WIDTHS.get(field.name)
        data = pa.py_buffer(values if small is None else values.astype(small.to_pandas_dtype()))
        array = pa.Array.from_buffers(small or field.type, values.size, [valid, data], missing)
        if field.name in _WORDS:
            array = pa.DictionaryArray.from_arrays(array, pa.array(_WORDS[field.name]))
        made.append(array)
    return pa.Table.from_arrays(made, schema=FINAL)
