"""The whole log as NDJSON, and back."""

import io
import json

import pytest

from kfstate.archive import ndjson
from kfstate.archive.restoring import restore
from kfstate.archive.results import Restored
from kfstate.engine import Engine
from kfstate.errors import ArchiveError, CorruptLogError
from kfstate.store.database import Database
from tests.archive.world import dump, live, make
from tests.servers import EMPTY_ENGINE, Databases

__all__: list[str] = []


def written(log: Database, *, until: int | None = None, size: int = 40) -> bytes:
    """Return a log as NDJSON."""
    target = io.BytesIO()
    ndjson.write_log(log.reading, target, until=until, size=size)
    return target.getvalue()


def taken(url: str, text: bytes, *, size: int = 70) -> Restored:
    """Put NDJSON into a database."""
    source = io.BytesIO(text)
    header = ndjson.read_header(source, "file")
    return restore(url, header, ndjson.read_pieces(source, "file", size=size))


def test_there_and_back(log: Database, source: str, empty: str) -> None:
    """Every row of every table of the log comes back as it was, what was erased included; then it goes on."""
    done = taken(empty, written(log))
    assert dump(source) == dump(empty)
    with Engine(source) as theirs, Engine(empty) as ours:
        assert theirs.verify().anchor == ours.verify().anchor == f"{done.position}:{done.chain}"
        assert None is ours.verify().damage
        assert list(theirs.conversations()) == list(ours.conversations())
    live(empty, size=5, seed=8)
    with Engine(empty) as ours:
        assert ours.position() > done.position
        assert None is ours.verify().damage


def test_every_database(database: Databases) -> None:
    """The same from and to every database."""
    source, target = database.new(EMPTY_ENGINE), database.new()
    make(source, size=40)
    log = Database(source)
    text = written(log)
    log.close()
    taken(target, text)
    assert dump(source) == dump(target)


def test_it_goes_on_where_it_ended(log: Database, source: str, empty: str) -> None:
    """A part of the log first, then all of it, in pieces of another size; a third time brings nothing."""
    assert 61 == taken(empty, written(log, until=61)).entries
    rest = taken(empty, written(log), size=50)
    assert dump(source) == dump(empty)
    again = taken(empty, written(log))
    assert (0, rest.position, rest.chain) == (again.entries, again.position, again.chain)


def test_damage_is_named(log: Database, empty: str) -> None:
    """An entry that was changed, left out or moved is refused at its position; what is before it stays."""
    lines = written(log).splitlines(keepends=True)
    places = {json.loads(line)["kf_entry"]["position"]: at for at, line in enumerate(lines) if b'"kf_entry"' in line}
    changed = [*lines]
    changed[places[90]] = changed[places[90]].replace(b'"version":', b'"version":1')
    with pytest.raises(CorruptLogError) as refused:
        taken(empty, b"".join(changed), size=30)
    assert 90 == refused.value.position
    with pytest.raises(ArchiveError, match="piece begins"):
        taken(empty, b"".join(line for at, line in enumerate(lines) if at != places[91] and at != places[61]), size=30)
    for broken, reason in (
        (b"".join(lines[:-1]), "cut off"),
        (b"".join(lines[: places[90]]) + lines[-1], "it ends at 89"),
        (b"".join(lines).replace(b'"kf_entry"', b'"kf_other"', 1), "line"),
        (b"".join(lines).replace(b'"kind":"', b'"sort":"', 1), "no row of"),
        (b"{}\n", "no log"),
        (b"", "no log"),
    ):
        with pytest.raises(ArchiveError, match=reason):
            taken(empty, broken, size=30)


def test_another_log_is_refused(log: Database, url: str) -> None:
    """A database with a log of its own keeps it."""
    text = written(log)
    before = dump(url)
    with pytest.raises(ArchiveError, match="another log"):
        taken(url, text)
    with pytest.raises(ArchiveError, match="another log"):
        taken(url, b"".join(text.splitlines(keepends=True)[::10_000]) + b'{"end":0,"chain":""}\n')
    assert before == dump(url)
