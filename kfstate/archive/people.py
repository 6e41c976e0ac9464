"""Tables for people: CSV and XLSX with Chinese headings and Beijing time, as spreadsheet programs open them."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from tempfile import TemporaryDirectory
from typing import IO, Any

import attrs

from kfstate.errors import ExtraError
from kfstate.queries.entries import EntryView, said
from kfstate.queries.views import readable
from kfstate.service_state import KfServiceState

__all__ = ["CONVERSATIONS", "MESSAGES", "SESSIONS", "SHEETS", "Sheet", "messages", "write_csv", "write_xlsx"]

BEIJING = timezone(timedelta(hours=8), "北京时间")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ROWS = 1_048_575
"""So many rows fit on a sheet of XLSX below its headings."""
_LONGEST = 32_767
"""So many characters fit in a cell."""
Word = Callable[[str], str]


@attrs.frozen
class Sheet:
    """A table: its Chinese title, and heading → where the value of a row is had."""

    title: str
    columns: Mapping[str, str]


CONVERSATIONS = Sheet(
    "会话现状",
    {
        "客服账号": "open_kfid",
        "客户": "external_userid",
        "状态": "service_state",
        "接待人员": "servicer_userid",
        "上一接待人员": "previous_servicer_userid",
        "会话序号": "session",
        "开始方式": "opened_by",
        "状态自": "since",
        "排队自": "queued_since",
        "依据": "evidence",
        "疑点": "doubt",
        "客户最后发言": "last_customer_message_at",
        "过期时间": "expires_at",
        "记录完整至": "synced_until",
    },
)
"""Of :class:`~kfstate.queries.views.ConversationView`."""

SESSIONS = Sheet(
    "会话",
    {
        "客服账号": "open_kfid",
        "客户": "external_userid",
        "会话序号": "session",
        "开始时间": "opened_at",
        "开始方式": "opened_by",
        "首次机器人回复": "first_reply_at",
        "排队时间": "queued_at",
        "排队秒数": "queue_seconds",
        "排队中放弃": "abandoned",
        "接入时间": "taken_at",
        "接待人员": "servicer_userid",
        "转接次数": "transfers",
        "结束时间": "ended_at",
        "结束方式": "ended_by",
        "客户消息数": "messages_in",
        "接待人员消息数": "messages_out",
        "接口消息数": "sends",
        "最后消息时间": "last_message_at",
        "最后消息来自": "last_message_by",
        "修复次数": "repairs",
    },
)
"""Of :class:`~kfstate.queries.views.SessionView`."""

MESSAGES = Sheet(
    "消息",
    {
        "序号": "position",
        "时间": "occurred_at",
        "客服账号": "open_kfid",
        "客户": "external_userid",
        "来自": "kind",
        "接待人员": "servicer_userid",
        "类型": "msgtype",
        "内容": "text",
        "记录时间": "recorded_at",
    },
)
"""Of :func:`messages`."""

SHEETS = {"conversations": CONVERSATIONS, "sessions": SESSIONS, "messages": MESSAGES}
"""Every table by its name."""

_SAID = {"customer_message", "servicer_message", "system_message", "message_sent"}
_RESULTS = {"message_sent", "message_refused"}
_OPEN = 10_000
"""So many intents to send are kept that have no result yet; those of lost replies may never have one."""


@attrs.frozen
class _Message:
    position: int
    occurred_at: datetime | None
    open_kfid: str
    external_userid: str | None
    kind: str
    servicer_userid: str | None
    msgtype: str | None
    text: str | None
    recorded_at: datetime | None


def messages(entries: Iterable[EntryView]) -> Iterator[_Message]:
    """Yield what was said, for :data:`MESSAGES`; the text is None where it was erased, or where there is none.

    What the service said may stand in the intent alone: the entries begin early enough to have it.
    """
    intents: dict[int, tuple[str | None, str | None]] = {}
    for entry in entries:
        if entry.kind == "message_intended":
            intents[entry.position] = said(entry)
            if len(intents) > _OPEN:
                del intents[next(iter(intents))]
        known = intents.pop(entry.cause, (None, None)) if entry.kind in _RESULTS and entry.cause else (None, None)
        if entry.kind not in _SAID:
            continue
        msgtype, text = said(entry)
        yield _Message(
            entry.position, entry.occurred_at, entry.open_kfid, entry.external_userid, entry.kind,
            entry.servicer_userid, msgtype or known[0], known[1] if text is None else text, entry.recorded_at,
        )  # fmt: skip


def write_csv(target: IO[bytes], sheet: Sheet, rows: Iterable[object], *, word: Word = str) -> int:
    """Write rows as CSV (UTF-8 with a byte order mark, by which Excel knows it), and return how many they were.

    ``word`` says words such as ``over_48h`` in the reader's language. What a spreadsheet program would take for a
    formula is written with an apostrophe before it.
    """
    text = io.TextIOWrapper(target, encoding="utf-8-sig", newline="", write_through=True)
    try:
        writer, count = csv.writer(text), 0
        writer.writerow(sheet.columns)
        for row in rows:
            writer.writerow([_plain(_cell(row, name, word)) for name in sheet.columns.values()])
            count += 1
        return count
    finally:
        text.detach()


def write_xlsx(target: IO[bytes], sheets: Mapping[str, Iterable[object]], *, word: Word = str) -> dict[str, int]:
    """Write a workbook, and return how many rows each table has.

    ``sheets`` are rows by the name of their table in :data:`SHEETS`; one with more rows than a sheet holds goes on on
    the next. Raises :class:`~kfstate.errors.ExtraError`.
    """
    try:
        import xlsxwriter  # noqa: PLC0415 (the extra may be missing)
        from xlsxwriter.exceptions import FileCreateError  # noqa: PLC0415
    except ImportError as error:
        raise ExtraError(needed="xlsxwriter", remedy='pip install "kfstate[archive]"') from error
    # What was said lies in files until the end, which are to go with this call, whatever ends it.
    with TemporaryDirectory(prefix="kfstate-", ignore_cleanup_errors=True) as folder:
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "tmpdir": folder}
        book = xlsxwriter.Workbook(target, options)
        counts = _fill_all(book, sheets, word)
        try:
            book.close()
        except FileCreateError as error:
            raise error.args[0] from None  # the OSError
    return counts


def _fill_all(book: Any, sheets: Mapping[str, Iterable[object]], word: Word) -> dict[str, int]:
    counts = dict[str, int]()
    head, time = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    for name, rows in sheets.items():
        sheet, at, number, page = SHEETS[name], 0, 0, None
        for at, row in enumerate(rows, 1):
            if page is None or number == _ROWS:
                page, number = _page(book, sheet, head, more=at > 1, count=at), 0
            number += 1
            _fill(page, number, [_cell(row, field, word) for field in sheet.columns.values()], time)
        if page is None:
            _page(book, sheet, head, more=False, count=0)
        counts[name] = at
    return counts


def _page(book: Any, sheet: Sheet, head: Any, *, more: bool, count: int) -> Any:
    page = book.add_worksheet(f"{sheet.title} {count // _ROWS + 1}" if more else sheet.title)
    page.freeze_panes(1, 0)
    page.set_column(0, len(sheet.columns) - 1, 20)
    for at, heading in enumerate(sheet.columns):
        page.write_string(0, at, heading, head)
    return page


def _fill(page: Any, number: int, cells: Iterable[object], time: Any) -> None:
    for at, value in enumerate(cells):
        if isinstance(value, datetime):
            page.write_datetime(number, at, value.replace(tzinfo=None), time)
        elif isinstance(value, int):
            page.write_number(number, at, value)
        elif value is not None:
            page.write_string(number, at, str(value)[:_LONGEST])


def _cell(row: object, name: str, word: Word) -> object:
    value = getattr(row, name)
    if isinstance(value, KfServiceState):
        return value.label
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, datetime):
        return value.astimezone(BEIJING)
    if not isinstance(value, str):
        return value
    return word(value) if name in _WORDS else readable(value)


_WORDS = {"opened_by", "ended_by", "evidence", "doubt", "last_message_by", "kind"}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
