"""Whatever people hand to ``ingest`` is read as what it is: pages, entries and own entries, in every wrapping."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfstate.engine import Engine
from kfstate.intake import Problem, sources
from kfstate.testing import customer_message, own_action, page
from tests.engine.test_intake import numbers
from tests.engine.together import Call, wait_for
from tests.engine.worlds import NOW

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite", "pg18")

FIRST, SECOND, THIRD = (customer_message("wkA", f"wm{number}", NOW + number, content="你好") for number in range(3))
PAGE, NEXT = page([FIRST, SECOND]), page([THIRD])
OWN = own_action("wkA", "wm0", NOW + 9, via="recall_msg")
MARK = b"\xef\xbb\xbf"


def line(value: Any) -> bytes:
    """Return one line of JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def pretty(value: Any) -> bytes:
    """Return JSON over many lines."""
    return json.dumps(value, ensure_ascii=False, indent=2).encode()


FILES: dict[str, tuple[bytes, int]] = {
    "one-line page": (line(PAGE), 2),
    "one-line page with its end of line": (line(PAGE) + b"\n", 2),
    "pretty page": (pretty(PAGE), 2),
    "pretty page, CRLF": (pretty(PAGE).replace(b"\n", b"\r\n"), 2),
    "pretty page, one element to a line": (
        b'{"errcode":0,"msg_list":[\n' + line(FIRST) + b",\n" + line(SECOND) + b"\n]}\n", 2,
    ),
    "pretty page, the list on a line of its own": (b'{"errcode":0,"msg_list":\n' + line([FIRST, SECOND]) + b"\n}", 2),
    "pretty page, the brace alone": (b"{\n" + line(PAGE)[1:], 2),
    "pretty entry": (pretty(FIRST), 1),
    "pretty own entry": (pretty(OWN), 1),
    "pretty list": (pretty([FIRST, SECOND, OWN]), 3),
    "NDJSON of pages": (line(PAGE) + b"\n" + line(NEXT) + b"\n", 3),
    "NDJSON of elements": (line(FIRST) + b"\n" + line(SECOND) + b"\n" + line(THIRD), 3),
    "NDJSON of all": (b"\n".join([line(OWN), line(PAGE), line(THIRD), line(OWN | {"via": "other"})]), 5),
    "NDJSON of lists": (line([FIRST]) + b"\n" + line([SECOND, OWN]), 3),
    "list of pages": (line([PAGE, NEXT]), 3),
    "blank lines": (b"\n\n" + line(PAGE) + b"\n \t\n\r\n" + line(NEXT) + b"\n\n", 3),
    "CRLF": (line(PAGE) + b"\r\n" + line(NEXT) + b"\r\n", 3),
    "BOM": (MARK + line(PAGE) + b"\n" + line(NEXT), 3),
    "BOM, pretty": (MARK + pretty(PAGE), 2),
    "BOM on a line of its own": (MARK + b"\n" + line(PAGE), 2),
    "nothing": (b"", 0),
    "only blanks": (b" \n\t\r\n" + MARK, 0),
    "empty page": (line(page([])), 0),
    "empty list": (b"[]", 0),
}  # fmt: skip


def wrapped(data: bytes, folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the same data as everything that can be handed over, with the name that reports give it."""
    file = folder / "file.json"
    file.write_bytes(data)
    text = data.decode()
    yield "<bytes>", data
    yield "<bytes>", bytearray(data)
    yield "<text>", text
    yield str(file), file
    yield "<stream>", io.BytesIO(data)
    yield "<stream>", io.StringIO(text)
    yield "<bytes>", [data]
    yield "<text>", (one for one in (text,))


@pytest.mark.parametrize(("data", "entries"), FILES.values(), ids=FILES.keys())
def test_every_wrapping(engine: Engine, tmp_path: Path, data: bytes, entries: int) -> None:
    """The same data gives the same entries as bytes, text, file and stream; only the first time are they new."""
    for at, (_, source) in enumerate(wrapped(data, tmp_path)):
        report = engine.ingest(source)
        assert [] == report.problems
        assert (entries, 0 if at else entries) == (report.entries, report.appended)
    with (tmp_path / "file.json").open("rb") as file:
        assert (entries, 0) == ((report := engine.ingest(file)).entries, report.appended)
    expected = {"wm0", "wm1", "wm2"} if entries >= 2 else set()
    assert not expected - {"wm2"} - {view.external_userid for view in engine.conversations()}


@pytest.mark.parametrize("data", [b"{", b"nonsense", b"\x89PNG\r\n\x1a\n\0\0\0\r", line(PAGE)[:-5], pretty(PAGE)[:-5]])
def test_what_is_nothing(engine: Engine, tmp_path: Path, data: bytes) -> None:
    """What is no JSON at all, or stops in the middle, is one rejection that names its source; the rest is stored."""
    for name, source in list(wrapped(data.decode("utf-8", "replace").encode(), tmp_path))[:6]:
        report = engine.ingest([PAGE, source, NEXT])
        assert (3, 1) == (report.entries, report.rejected)
        (problem,) = report.problems
        assert (name, "$") == (problem.source, problem.path)
        assert problem.reason.startswith(("not JSON", "not a JSON object"))


def test_mapping_and_iterables(engine: Engine) -> None:
    """Mappings, and iterables of any sources, are taken in their order."""
    report = engine.ingest(one for one in (PAGE, line(NEXT), OWN, line(OWN).decode()))
    assert {"entries": 5, "appended": 4, "duplicates": 1} == numbers(report)
    assert ["wm0", "wm1", "wm2", "wm0"] == [entry.external_userid for entry in engine.read_all(after=1)]


def test_mapping_that_json_cannot_say(engine: Engine) -> None:
    """A mapping with half an emoji is stored; one with what JSON cannot say is rejected, and stops nothing."""
    half = {**FIRST, "text": {"content": "\ud83d"}}
    report = engine.ingest([page([half]), {"msg_list": [object()]}, PAGE])
    assert {"entries": 3, "appended": 3, "conflicts": 1, "rejected": 1} == numbers(report)
    assert ("<mapping>", "$", "not JSON") == (
        report.problems[0].source, report.problems[0].path, report.problems[0].reason[:8],
    )  # fmt: skip


@pytest.mark.parametrize("name", ["absent.json", "."])
def test_file_that_cannot_be_read(engine: Engine, tmp_path: Path, name: str) -> None:
    """A file that cannot be read is reported by its name, and stops none of the others."""
    path = tmp_path / name
    report = engine.ingest([PAGE, path, NEXT])
    assert {"entries": 3, "appended": 3, "rejected": 1} == numbers(report)
    assert (str(path), "$") == (report.problems[0].source, report.problems[0].path)
    assert report.problems[0].reason.startswith("cannot be read (")


def test_bad_first_line(engine: Engine) -> None:
    """A first line that is nothing does not spoil the lines after it, also where half an emoji stands in them."""
    odd = json.dumps({**SECOND, "text": {"content": "\ud83d"}}).encode()
    report = engine.ingest(b"{\n" + odd + b"\n" + line(THIRD) + b"\nbad\n" + line(FIRST))
    assert {"entries": 3, "appended": 3, "rejected": 2} == numbers(report)
    assert {"line 1", "line 4"} <= {problem.path for problem in report.problems}


def test_bad_first_line_of_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream is not read to its end to find out that its first line is nothing."""
    monkeypatch.setattr(sources, "_LOOK", 1_000)
    read = []

    def lines() -> Iterator[bytes]:
        yield b"{\n"
        for number in range(200):
            read.append(number)
            yield line(customer_message("wkA", f"wm{number}", NOW + number)) + b"\n"

    found = sources._lines("stream", lines())
    assert ("line 1", "line 2") == (next(found).path, next(found).path)
    assert len(read) < 20
    assert 199 == len(list(found))


def test_places_in_lists(engine: Engine) -> None:
    """Items of a list are named by their place; an item that is nothing is an unknown entry all the same."""
    report = engine.ingest(line([PAGE, OWN, 5, {**OWN, "actor": ""}, {"foo": 1}, line(NEXT).decode()]))
    assert {"entries": 6, "appended": 6, "unknown": 3, "unplaced": 3, "rejected": 1} == numbers(report)
    assert ["line 1: $[3]: $.actor", "line 1: $[2]", "line 1: $[4]", "line 1: $[5]"] == list(
        dict.fromkeys(problem.path for problem in report.problems)
    )
    assert Problem("<bytes>", "line 1: $[2]", "not an object") in report.problems


def test_own_entry_or_element(engine: Engine) -> None:
    """What has a send_time or an origin is WeCom's, also where it has a kind some day; else a kind is our own."""
    report = engine.ingest([{**FIRST, "kind": "new"}, {**OWN, "msgtype": "text"}])
    assert {"entries": 1, "appended": 1, "rejected": 1} == numbers(report)
    assert "customer_message" == next(engine.read_all(after=1)).kind


def test_stream_with_a_number_for_a_name(engine: Engine, tmp_path: Path) -> None:
    """A stream that was opened by its descriptor is named by it."""
    file = tmp_path / "pages"
    file.write_bytes(b"{")
    with file.open("rb") as by_name, open(by_name.fileno(), "rb", closefd=False) as stream:
        report = engine.ingest(stream)
    assert [str(stream.name)] == [problem.source for problem in report.problems]


def test_a_pipe_that_pauses(engine: Engine) -> None:
    """What came through a pipe is stored when its writer pauses, not when it ends."""
    reading, writing = os.pipe()
    told: list[int] = []
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        call = Call(lambda: engine.ingest(source, progress=told.append))
        call.thread.start()
        for number in range(1, 4):
            sink.write(line(customer_message("wkA", f"wm{number}", NOW + number)) + b"\n")
            wait_for(lambda number=number: sum(told) == number)  # type: ignore[misc]
        assert 4 == engine.position()
        sink.write(line(NEXT) + b"\n" + line(PAGE) + b"\n")
        sink.close()
        call.thread.join(20)
    assert (6, 0) == (call.outcome.entries, call.outcome.rejected)


def test_a_pipe_that_breaks() -> None:
    """An error of the stream is raised after what came before it."""

    def lines() -> Iterator[sources.Document]:
        yield sources.Document("pipe", "line 1", line(FIRST))
        raise OSError("broken")

    documents = sources._live(lines())
    assert [line(FIRST)] == [next(documents).data]
    with pytest.raises(OSError, match="broken"):
        next(documents)


def test_a_pipe_with_large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ahead of who asks so many bytes are read, and no more, however few documents that is."""
    monkeypatch.setattr(sources, "_AHEAD", 3_000)
    read: list[int] = []

    def lines() -> Iterator[sources.Document]:
        for number in range(20):
            read.append(number)
            yield sources.Document("pipe", f"line {number}", b"x" * 1_000)

    documents = sources._live(lines())
    for taken in range(1, 9):
        next(documents)
        wait_for(lambda taken=taken: len(read) == taken + 4)  # type: ignore[misc]  # three wait, one finds no room
    assert 12 == len(list(documents))
