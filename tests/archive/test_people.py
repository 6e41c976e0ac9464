"""Tables for people: what stands in them, in which language and time, and nothing that a spreadsheet would run."""

import csv
import errno
import gc
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from kfstate.archive import people
from kfstate.archive.people import CONVERSATIONS, MESSAGES, SESSIONS, messages, write_csv, write_xlsx
from kfstate.engine import Engine
from kfstate.testing import FrozenClock, customer_message, own_entry, page, servicer_message
from tests.archive.world import sqlite
from tests.engine.worlds import NOW

__all__: list[str] = []


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A log in which a customer says what would be a formula."""
    made = sqlite(tmp_path_factory.mktemp("people") / "log.db")
    with Engine(made, clock=FrozenClock.at(NOW + 9)) as engine:
        said = [
            customer_message("wkA", "wm1", NOW, content='=HYPERLINK("http://x")'),
            customer_message("wkA", "wm1", NOW + 1, content="多行\n“引号”, 逗号"),
            servicer_message("wkA", "wm1", NOW + 2, servicer_userid="li", content="-1\ud83d"),
        ]
        engine.ingest(page(said))
    return made


def rows_of(text: bytes) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"), newline="")))


def test_csv(url: str) -> None:
    """UTF-8 with its mark, Chinese headings, Beijing time, words in Chinese, formulas told as text."""
    target = io.BytesIO()
    with Engine(url, clock=FrozenClock.at(NOW + 9)) as engine:
        assert 3 == write_csv(target, MESSAGES, messages(engine.read_all()), word={"customer_message": "客户"}.get)  # type: ignore[arg-type]
        assert target.getvalue().startswith("\ufeff序号,时间,".encode())
        found = rows_of(target.getvalue())
        assert ['\'=HYPERLINK("http://x")', "多行\n“引号”, 逗号", "'-1�"] == [row["内容"] for row in found]
        assert ("2026-01-01 08:00:00", "客户", "wm1") == tuple(found[0][name] for name in ("时间", "来自", "客户"))
        target = io.BytesIO()
        write_csv(target, CONVERSATIONS, engine.conversations())
        (now,) = rows_of(target.getvalue())
        assert ("由人工接待", "li", "1") == tuple(now[name] for name in ("状态", "接待人员", "会话序号"))


def ours(kind: str, at: int, msgid: str, **facts: object) -> dict[str, Any]:
    """Return an entry about a message of ours."""
    return own_entry(kind, "wkA", "wm1", NOW + at, via="send_msg", msgid=msgid, actor="robot", **facts)


def intent(at: int, msgid: str, text: str) -> dict[str, Any]:
    """Return the intent to send a text, in the form in which calls are recorded."""
    data = {"message": {"msgtype": "text", "text": {"content": text}}, "process": "p"}
    return ours("message_intended", at, msgid, msgtype="text", data=data)


def told(*entries: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    """Record entries, and return type and text of what a service said, as the table has them."""
    with Engine("sqlite://", clock=FrozenClock.at(NOW + 99)) as engine:
        for entry in entries:
            engine.record(entry)
        return [(one.msgtype, one.text) for one in messages(engine.read_all()) if one.kind == "message_sent"]


def test_what_the_service_said() -> None:
    """Its words stand in the entry itself, in one of two forms, or in the intent that led to it; or nowhere."""
    whole = {"message": {"msgtype": "text", "text": {"content": "whole"}}}
    found = told(
        ours("message_sent", 0, "a", data={"content": "own"}),
        ours("message_sent", 0, "b", data=whole),
        ours("message_sent", 0, "c", msgtype="image", data={"content": 7, "message": []}),
        ours("message_sent", 0, "d"),
        intent(1, "1", "one"),
        intent(2, "2", "two"),
        ours("message_sent", 3, "2", msgtype="text"),
        ours("message_sent", 4, "", cause=6),
    )
    own = [("text", "own"), ("text", "whole"), ("image", None), (None, None)]
    assert [*own, ("text", "two"), ("text", "one")] == found


def test_intents_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody heard of again is not kept for ever; what has its result, not at all."""
    monkeypatch.setattr(people, "_OPEN", 1)
    one, two = intent(1, "1", "one"), intent(2, "2", "two")
    results = [ours("message_sent", 4, msgid) for msgid in "12"]
    assert [(None, None), ("text", "two")] == told(one, two, *results)
    assert [(None, None)] == told(one, two, ours("message_refused", 3, "2", errcode=95001), results[1])


def test_every_column_is_there(url: str) -> None:
    """What the headings promise can be had from the views."""
    with Engine(url) as engine:
        for sheet, views in ((SESSIONS, engine.sessions()), (CONVERSATIONS, engine.conversations())):
            (view,) = views
            assert [] == [name for name in sheet.columns.values() if not hasattr(view, name)]


def test_xlsx(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet for each table, times as times, text as text; one that is too long goes on on the next sheet."""
    monkeypatch.setattr(people, "_ROWS", 2)
    path = tmp_path / "log.xlsx"
    with Engine(url) as engine, path.open("wb") as target:
        tables = {"messages": messages(engine.read_all()), "sessions": engine.sessions(), "conversations": ()}
        assert {"messages": 3, "sessions": 1, "conversations": 0} == write_xlsx(target, tables)
    book = openpyxl.load_workbook(path)
    assert ["消息", "消息 2", "会话", "会话现状"] == book.sheetnames
    heading, first, _ = book["消息"].values
    assert heading == tuple(MESSAGES.columns)
    told = dict(zip(heading, first, strict=True))
    assert ('=HYPERLINK("http://x")', datetime(2026, 1, 1, 8)) == (told["内容"], told["时间"])  # noqa: DTZ001 (as Excel)
    assert "s" == book["消息"].cell(2, 8).data_type
    assert "-1�" == list(book["消息 2"].values)[1][7]
    assert tuple(CONVERSATIONS.columns) == next(iter(book["会话现状"].values))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_no_words_are_left(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """What a workbook is made of lies in files; they go, also where it is broken off or has no room."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "full")

    def said(engine: Engine) -> Iterator[object]:
        yield from messages(engine.read_all())
        assert [] != list(tmp_path.rglob("*"))
        if error is KeyboardInterrupt:
            raise error

    with Engine(url) as engine, pytest.raises(error):
        write_xlsx(Full(), {"messages": said(engine)})
    gc.collect()  # what the package leaves open says so here
    assert [] == list(tmp_path.iterdir())


WITHOUT = """
import sys
sys.modules["pyarrow"] = sys.modules["xlsxwriter"] = sys.modules["numpy"] = None
import io, pathlib, kfstate
from kfstate.archive.people import write_xlsx
with kfstate.Engine("sqlite://") as engine:
    target = io.BytesIO()
    engine.archive.write(target)
    assert target.getvalue().startswith(b'{"kfstate_log"')
    for needed, call in (
        ("numpy", lambda: engine.archive.export(pathlib.Path("x"))),
        ("numpy", lambda: kfstate.import_log("sqlite://", pathlib.Path("."))),
        ("xlsxwriter", lambda: write_xlsx(target, {})),
    ):
        try:
            call()
        except kfstate.ExtraError as error:
            assert error.needed == needed, error
            assert "kfstate[archive]" in error.remedy
        else:
            raise AssertionError(needed)
"""


def test_without_the_extra(tmp_path: Path) -> None:
    """Plain `pip install kfstate` does all but Parquet and XLSX, and says which extra those need."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT], check=False, capture_output=True, text=True, cwd=tmp_path,
        env={"PYTHONPATH": str(Path(people.__file__).parents[2])},
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
