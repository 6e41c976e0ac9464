"""Random histories of several conversations, as they come in: commits of pages, own entries and ticks.

A history is a list of :class:`Item`, in the order in which things happened. :func:`play` lets an engine live it:
entries come late, twice, changed, at random places of random pages; own entries are recorded when they are made.
"""

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from hypothesis import strategies as st

from kfstate.engine import Engine
from kfstate.errors import EnvelopeError
from kfstate.store.dialect import query
from kfstate.testing import (
    Element,
    FrozenClock,
    customer_message,
    enter_session,
    event,
    message,
    msg_send_fail,
    own_entry,
    page,
    reject_customer_msg_switch_change,
    servicer_message,
    servicer_recall_msg,
    servicer_status_change,
    session_status_change,
    system_message,
    user_recall_msg,
)

__all__ = [
    "ACCOUNTS",
    "NOW",
    "PEOPLE",
    "Item",
    "element",
    "histories",
    "jsonl",
    "opened",
    "pages_of",
    "play",
    "seeded",
    "tales",
]

NOW = 1_767_225_600
"""Seconds: when every history begins."""
ACCOUNTS = ("wkA", "wkB")
PEOPLE = (("wkA", "wm1"), ("wkA", "wm2"), ("wkB", "wm1"), ("wkA", "wm3"))

TALK = (
    "customer", "customer", "customer", "customer", "click", "change 1 - a", "change 1 - b", "change 2 a b",
    "change 2 b a", "change 3 a -", "change 3 b -", "change 4 a a", "change 4 a b", "servicer a", "servicer a",
    "servicer b",
)  # fmt: skip
ASIDE = (
    "enter", "recall", "fail", "srecall a", "reject a 1", "reject b 0", "status a 1", "status a 2", "status b 2",
    "system", "hologram", "new_event", "change 9 a b", "change 2 c b", "homeless",
)  # fmt: skip
STRANGE = ("number", "text", "timeless", "ahead", "bad_id")
OURS = (
    "changed 1", "changed 2", "changed 2 code", "changed 3 a", "changed 3 b code", "changed 4 code", "changed 0",
    "reading 0", "reading 1", "reading 2", "reading 3 a", "reading 3 b", "reading 4", "sent", "sent", "sent_code",
    "intended", "intended_code", "refused 95001", "refused 95013", "refused 95018", "trans_refused 95013",
    "trans_refused 95016", "trans_refused 95019 a", "trans_refused 95014 b", "lost", "action", "gap", "account_gap",
    "servicer_reading a 1", "servicer_reading b 0", "account_reading 1",
)  # fmt: skip
REWRITING = ("set 0", "set 3 a", "set 4", "void", "void", "decoded customer", "decoded change", "decoded reading")
GAPS = (0, 0, 0, 0, 1, 2, 8, 30, 600, 90_000, 47 * 3600, 48 * 3600, 200_000)


@attrs.frozen
class Item:
    """One thing that happens: ``word`` says what, ``gap`` how many seconds after the one before."""

    who: int
    word: str
    gap: int
    delay: int = 0
    """How many later things come in before it."""
    repeat: str = ""
    """``same``, ``content`` or ``facts``: comes in once more, as it was or with another content."""
    cut: bool = False
    """The transaction ends with it."""
    pick: int = 0
    """A number to choose by: the target of what speaks about another entry."""


def histories(words: Sequence[str], *, max_size: int = 25, gaps: Sequence[int] = GAPS) -> st.SearchStrategy[list[Item]]:
    """Return a strategy for histories."""
    return st.lists(
        st.builds(
            Item,
            who=st.integers(0, len(PEOPLE) - 1),
            word=st.one_of(st.sampled_from(TALK), st.sampled_from(words)),
            gap=st.sampled_from(gaps),
            delay=st.sampled_from((0, 0, 0, 1, 2, 6)),
            repeat=st.sampled_from(("", "", "", "", "same", "content", "facts")),
            cut=st.booleans(),
            pick=st.integers(0, 99),
        ),
        min_size=1,
        max_size=max_size,
    )


def seeded(chance: random.Random, size: int, words: Sequence[str], *, gaps: Sequence[int] = GAPS) -> list[Item]:
    """Return a history of this size, by seed."""
    return [
        Item(
            who=min(chance.randrange(len(PEOPLE)), chance.randrange(len(PEOPLE))),
            word=chance.choice(chance.choice([TALK, words])),
            gap=chance.choice(gaps),
            delay=chance.choice((0, 0, 0, 0, 1, 2, 6)),
            repeat=chance.choice(("",) * 8 + ("same", "content", "facts")),
            cut=chance.random() < 0.4,
            pick=chance.randrange(100),
        )
        for _ in range(size)
    ]


def tales(items: Sequence[Item]) -> Iterator[tuple[int, int, Item]]:
    """Yield number, second and item in the order of what happened."""
    second = NOW
    for number, item in enumerate(items):
        second += item.gap
        yield number, second, item


def element(number: int, second: int, item: Item, *, other: str = "") -> Any:
    """Return what WeCom says of an item (``other``: with another content, or other facts); None: it is our own."""
    open_kfid, external_userid = PEOPLE[item.who]
    word, *args = item.word.split()
    if other == "facts":
        word, args = ("change", ["3", "a", "-"]) if word != "change" else ("customer", [])
    build = _WECOM.get(word)
    if build is None:
        return None
    made = build(open_kfid, external_userid, second, *args)
    if isinstance(made, dict):
        made["msgid"] = f"m{number}"
        if word == "timeless":
            del made["send_time"]
        if other:
            made["note"] = other
    return made


def _change(kfid: str, user: str, at: int, *args: str) -> Element:
    kind, *servicers = args
    old, new = (None if name == "-" else name for name in servicers)
    code = f"code{at}" if kind in "13" else None
    return session_status_change(int(kind), kfid, user, at, old=old, new=new, msg_code=code)


_WECOM: dict[str, Callable[..., Any]] = {
    "customer": customer_message,
    "click": lambda kfid, user, at: customer_message(kfid, user, at, menu_id="1"),
    "servicer": lambda kfid, user, at, by: servicer_message(kfid, user, at, servicer_userid=by),
    "change": _change,
    "enter": lambda kfid, user, at: enter_session(kfid, user, at, welcome_code=f"welcome{at}"),
    "recall": lambda kfid, user, at: user_recall_msg(kfid, user, at, recall_msgid="m1"),
    "fail": lambda kfid, user, at: msg_send_fail(kfid, user, at, fail_msgid="s1", fail_type=4),
    "srecall": lambda kfid, user, at, by: servicer_recall_msg(kfid, user, at, recall_msgid="m2", servicer_userid=by),
    "reject": lambda kfid, user, at, by, on: reject_customer_msg_switch_change(
        kfid, user, at, servicer_userid=by, reject_switch=int(on)
    ),
    "status": lambda kfid, _user, at, by, on: servicer_status_change(kfid, by, at, status=int(on), stop_type=0),
    "system": system_message,
    "hologram": lambda kfid, user, at: message(7, "hologram", {}, at, open_kfid=kfid, external_userid=user),
    "new_event": lambda kfid, user, at: event("of_tomorrow", at, open_kfid=kfid, external_userid=user),
    "homeless": lambda _kfid, _user, at: message(3, "text", {"content": "?"}, at),
    "number": lambda *_: 5,
    "text": lambda *_: "no object",
    "timeless": customer_message,
    "ahead": lambda kfid, user, at: customer_message(kfid, user, at + 10_000_000),
    "bad_id": lambda kfid, _user, at: customer_message(kfid, "客户", at),
}


def _own(engine: Engine, number: int, second: int, item: Item) -> Element:
    word, *args = item.word.split()
    code = f"code{second - item.pick % 3}"
    kind, build = _OURS[word]
    fields = build(args, item.pick)
    if "code" in args or word.endswith("_code"):
        fields["code"] = code
    if word in {"gap", "account_gap"}:
        fields["from_at"] = second - 4_000
    kfid, user = PEOPLE[item.who]
    if word in {"void", "decoded"}:
        fields["target"] = _target(engine, kfid, user, item.pick)
    if word in {"account_gap", "servicer_reading", "account_reading"}:
        user = ""
    at = None if number % 3 else second + number % 7 / 8
    return own_entry(kind, kfid, user, at, actor="test", **fields)  # type: ignore[arg-type]  # None: left out


def _state(args: Sequence[str], _pick: int) -> Element:
    return {"service_state": int(args[0]), "servicer_userid": next((name for name in args[1:] if name in "ab"), None)}


def _message(_args: Sequence[str], pick: int) -> Element:
    return {"msgid": f"s{pick % 4}", "via": "send_msg"}


def _answer(_args: Sequence[str], pick: int) -> Element:
    return {"msgid": f"s{pick % 4}", "via": "send_msg_on_event"}


def _refused(args: Sequence[str], pick: int) -> Element:
    return {"msgid": f"s{pick % 4}", "via": "send_msg", "errcode": int(args[0])}


def _trans_refused(args: Sequence[str], _pick: int) -> Element:
    return {"service_state": 3, "errcode": int(args[0]), "servicer_userid": args[1] if args[1:] else None}


_OURS: dict[str, tuple[str, Callable[[Sequence[str], int], Element]]] = {
    "changed": ("state_changed", _state),
    "reading": ("state_reading", _state),
    "set": ("correction", _state),
    "void": ("correction", lambda _args, _pick: {}),
    "decoded": ("redecoded", lambda args, _pick: dict(_DECODED[args[0]])),
    "sent": ("message_sent", _message),
    "sent_code": ("message_sent", _answer),
    "intended": ("message_intended", _message),
    "intended_code": ("message_intended", _answer),
    "refused": ("message_refused", _refused),
    "trans_refused": ("state_change_refused", _trans_refused),
    "lost": ("reply_lost", lambda _args, _pick: {"via": "send_msg"}),
    "action": ("own_action", lambda _args, _pick: {"via": "recall_msg"}),
    "gap": ("history_gap", lambda _args, _pick: {}),
    "account_gap": ("history_gap", lambda _args, _pick: {}),
    "servicer_reading": (
        "servicer_reading",
        lambda args, _pick: {"servicer_userid": args[0], "receiving": int(args[1])},
    ),
    "account_reading": ("account_reading", lambda args, _pick: {"manage_privilege": int(args[0])}),
}
_DECODED: dict[str, Element] = {
    "customer": {"as_kind": "customer_message"},
    "change": {"as_kind": "session_status_change", "change_type": 1, "servicer_userid": "a"},
    "reading": {"as_kind": "state_reading", "service_state": 2},
}


def _target(engine: Engine, open_kfid: str, external_userid: str, pick: int) -> int:
    sql = (
        "SELECT e.position FROM kf_entry e JOIN kf_stream s ON s.id = e.stream JOIN kf_name n ON n.id = s.customer "
        "WHERE s.open_kfid = ? AND n.value = ? ORDER BY e.position"
    )
    with engine._reading() as conn:
        found = query(conn, sql, (open_kfid, external_userid))
    return int(found[pick * len(found) // 100][0]) if found else 1


def pages_of(items: Sequence[Item]) -> list[Any]:
    """Return the elements of a history in the order in which they come in, repeats included; own entries as None."""
    coming: list[tuple[int, int, Any]] = []
    for number, second, item in tales(items):
        made = element(number, second, item)
        coming.append((number + item.delay, number, made))
        if item.repeat and isinstance(made, dict):
            other = "" if item.repeat == "same" else item.repeat
            coming.append((number + item.delay + 1 + item.pick % 5, number, element(number, second, item, other=other)))
    coming.sort(key=lambda come: come[:2])
    return [made for _, _, made in coming]


def play(engine: Engine, clock: FrozenClock, items: Sequence[Item], *, ticks: bool = True) -> None:
    """Let an engine live through a history."""
    coming: list[tuple[int, int, int, Item, Any]] = []
    for number, second, item in tales(items):
        made = element(number, second, item)
        delay = item.delay if made is not None else 0
        coming.append((number + delay, number, second, item, made))
        if item.repeat and isinstance(made, dict):
            other = "" if item.repeat == "same" else item.repeat
            again = element(number, second, item, other=other)
            coming.append((number + delay + 1 + item.pick % 5, number, second, item, again))
    coming.sort(key=lambda come: come[:2])
    pending: list[Any] = []

    def commit() -> None:
        if pending:
            engine.ingest(page(pending), account=ACCOUNTS[len(pending) % 2])
            pending.clear()

    for _, number, second, item, made in coming:
        clock.set(max(clock.now(), (second + 1) * 1_000_000))
        if made is None:
            commit()
            try:
                engine.record(_own(engine, number, second, item))
            except EnvelopeError:  # what it speaks about is not there yet
                assert item.word.startswith(("void", "decoded"))
        else:
            pending.append(made)
        if item.cut:
            commit()
        if ticks and item.pick == 7:
            commit()
            engine.tick()
    commit()


@contextmanager
def opened(template: Path, path: Path) -> Iterator[tuple[Engine, FrozenClock]]:
    """Open an engine on a fresh copy of an empty database."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copy(template, path)
    clock = FrozenClock.at(NOW)
    with Engine(f"sqlite:///{path}", clock=clock) as engine:
        yield engine, clock


def jsonl(elements: Sequence[Any]) -> bytes:
    """Return elements as NDJSON."""
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in elements)
