"""What goes in comes out: ids byte by byte, payloads whole, times as far as they go."""

import json
from datetime import datetime

from kfstate.engine import Engine
from kfstate.testing.builders import customer_message, page
from kfstate.testing.clock import FrozenClock
from kfstate.testing.contract.base import KF, NOW, Base, action, said, taken

__all__ = ["ValueRules"]

_LONG = "x" * 128


class ValueRules(Base):
    """What holds of single values."""

    def test_ids_are_compared_byte_by_byte(self) -> None:
        """Ids that differ by case, by a blank at the end or by what else a collation may ignore are different."""
        users = ["wm1", "WM1", "wm1 ", "wm1  ", " wm1", "wm-1", "wm_1", "ｗm1", _LONG, _LONG[:-1]]
        accounts = ["wkA", "wka", "wkA "]
        with self.open() as engine:
            engine.ingest(page([said(at, user=user) for at, user in enumerate(users)]), account=KF)
            engine.ingest(page([said(60, user="wmz", account=account) for account in accounts]))
            known = [user for user in users if user.isascii()]
            found = sorted((view.open_kfid, view.external_userid or "") for view in engine.conversations())
            assert sorted([*((KF, user) for user in known), *((account, "wmz") for account in accounts)]) == found
            assert [1] * len(known) == [len(engine.history(KF, user)) for user in known]
            assert _users(engine) == {*known, "wmz"}

    def test_msgids_are_compared_byte_by_byte(self) -> None:
        """The same holds of msgids and of the keys of own entries."""
        names = ["m1", "M1", "m1 ", "ｍ1", "m1\u0301"]
        with self.open() as engine:
            report = engine.ingest(page([said(0, msgid=name) for name in names]))
            assert (len(names), 0) == (report.appended, report.duplicates)
            assert [False] * 4 == [engine.record(action(0, key=key)).duplicate for key in ("a", "A", "a ", "ａ")]

    def test_servicers_are_known_whatever_their_case(self) -> None:
        """WeCom ignores the case of servicer ids; the spelling is kept."""
        with self.open() as engine:
            engine.ingest(page([taken(0, "LiSi"), taken(1, "lisi", user="wm2")]))
            assert {"LiSi"} == {view.servicer_userid for view in engine.conversations(servicer="LISI")}
            assert [2] == [view.open_sessions for view in engine.load(KF)]

    def test_payloads_come_out_whole(self) -> None:
        """Emoji, NUL, quotes, line ends, half a surrogate pair and a megabyte: each payload is what came in."""
        texts = [
            "你好 😀 👨‍👩‍👧 𠮷", "nul \0 nul", "it's \"quoted\" \\ % ? :name %s", "\r\n\t\u2028\x7f", "\ud83d",
            "é e\u0301", "", "x" * 1_000_000, "汉" * 400_000,
        ]  # fmt: skip
        elements = [said(at, content=text, msgid=f"m{at}") for at, text in enumerate(texts)]
        with self.open() as engine:
            for ascii_only in (True, False):
                data = json.dumps(page(elements), ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
                if ascii_only:
                    assert len(texts) == engine.ingest(data).appended
            found = [entry.payload["text"]["content"] for entry in engine.read_all(after=1)]
            assert texts == found
            assert None is engine.verify().damage

    def test_numbers_come_out_exactly(self) -> None:
        """Members that nobody knows keep their numbers, however large."""
        element = {**said(0), "n": 123456789012345678901234567890, "small": -1, "nested": {"a": [None, True, 1.5]}}
        with self.open() as engine:
            engine.ingest(json.dumps(page([element])).encode())
            assert element == next(iter(engine.read_all(after=1))).payload

    def test_times_after_2038(self) -> None:
        """Seconds are 64 bits wide, in the log and in the states."""
        times = [0, 1, NOW, 2**31 - 1, 2**31, 2**32 + 1]
        with self.open(clock=FrozenClock.at(2**33)) as engine:
            engine.ingest(page([customer_message(KF, f"wm{at}", time) for at, time in enumerate(times)]))
            assert times == [_second(entry.occurred_at) for entry in engine.read_all(after=1)]
            views = [engine.state(KF, f"wm{at}", as_of_log=True) for at in range(len(times))]
            assert times == [_second(view.last_customer_message_at) for view in views]
            assert (0, None) == (engine.check().different, engine.verify().damage)

    def test_times_before_1970(self) -> None:
        """WeCom did not exist: such a time is none. The entry is stored, and reported."""
        with self.open() as engine:
            report = engine.ingest(page([customer_message(KF, "wm1", -86_400)]))
            assert ["send_time is no time"] == [problem.reason for problem in report.problems]
            (entry,) = engine.read_all(after=1)
            assert (None, -86_400) == (entry.occurred_at, entry.payload["send_time"])

    def test_microseconds_are_kept(self) -> None:
        """Own entries happen at a microsecond."""
        with self.open(clock=FrozenClock.at(NOW + 60)) as engine:
            engine.record(action(0.000001))
            (entry,) = engine.read_all(after=1)
            assert entry.occurred_at is not None
            assert 1 == entry.occurred_at.microsecond


def _users(engine: Engine) -> set[str | None]:
    return {view.external_userid for view in engine.conversations()}


def _second(time: datetime | None) -> int | None:
    return None if time is None else round(time.timestamp())
