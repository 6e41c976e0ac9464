"""The archive's tables are those of the log, and a stream's slice never changes."""

import numpy as np

from kfstate.archive import schema
from kfstate.store.tables import kf_entry, kf_name, kf_pull, kf_stream

__all__: list[str] = []


def test_columns_are_those_of_the_log() -> None:
    """Every column of the log is in the archive, NULL where the log allows NULL."""
    for arrow, table in (
        (schema.STREAMS, kf_stream),
        (schema.NAMES, kf_name),
        (schema.PULLS, kf_pull),
    ):
        assert [(column.name, column.nullable) for column in table.columns] == [(f.name, f.nullable) for f in arrow]
    entries = [(column.name, bool(column.nullable)) for column in kf_entry.columns]
    assert [("slice", False), *entries] == [(field.name, field.nullable) for field in schema.ENTRIES]


def test_slices_never_change() -> None:
    """The slice of a stream is the same in every release: archives that are there are read by it."""
    streams = [0, 1, 2, 3, 1000, 2**31, 2**62]
    assert [0, 632, 241, 874, 34, 766, 256] == [schema.slice_of(stream) for stream in streams]
    assert schema.slices_of(streams).tolist() == [schema.slice_of(stream) for stream in streams]


def test_slices_are_even() -> None:
    """Streams that follow each other are dealt evenly."""
    counts = np.bincount(schema.slices_of(np.arange(1, 1024 * 20 + 1)), minlength=schema.SLICES)
    assert counts.min() >= 18
    assert counts.max() <= 22
