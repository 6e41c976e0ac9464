"""Nothing is lost, and there is one order without a gap, whoever appends at the same time (P1, P6)."""

import itertools
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from kfstate.engine import Engine, Recorded
from kfstate.intake import Report
from kfstate.service_state import KfServiceState
from kfstate.testing.builders import Element, event, message, page, servicer_status_change
from kfstate.testing.contract.base import KF, NOW, USER, Base, action, said, taken

__all__ = ["AppendRules", "positions"]

_WRITERS = 6
_EACH = 12


def positions(engine: Engine) -> list[int]:
    """Return the position of every entry, in the order of the log."""
    return [entry.position for entry in engine.read_all()]


class AppendRules(Base):
    """What holds of appends."""

    def test_every_entry_of_a_page_is_stored(self) -> None:
        """Known or not, decodable or not: every element is an entry, in the page's order, with its payload."""
        elements: list[object] = [
            said(0),
            event("of_tomorrow", NOW, open_kfid=KF, external_userid=USER),
            message(7, "hologram", {}, NOW, open_kfid=KF, external_userid=USER),
            servicer_status_change(KF, "li", NOW, status=1),
            message(3, "text", {}, NOW),
            5,
            "text",
            {**said(1), "send_time": "soon"},
        ]
        with self.open() as engine:
            report = engine.ingest({"errcode": 0, "msg_list": elements}, account=KF)
            assert (len(elements), len(elements), 0) == (report.entries, report.appended, report.rejected)
            assert elements == [entry.payload for entry in engine.read_all(after=1)]

    def test_positions_and_versions_have_no_gap(self) -> None:
        """Positions count the log and versions each stream, over pages and own entries alike."""
        with self.open() as engine:
            for number in range(5):
                engine.ingest(page([said(number), said(number, user="wm2"), taken(number, "li")]))
                engine.record(action(number))
            entries = list(engine.read_all())
            assert list(range(1, 22)) == [entry.position for entry in entries] == list(range(1, engine.position() + 1))
            assert list(range(1, 16)) == [entry.version for entry in entries if entry.external_userid == USER]
            assert list(range(1, 6)) == [entry.version for entry in entries if entry.external_userid == "wm2"]

    def test_a_page_of_thousands(self) -> None:
        """More than any statement, buffer or page holds is stored in order, and read in parts without a gap."""
        elements = [said(number % 3_000, user=f"wm{number % 97}", msgid=f"m{number}") for number in range(2_600)]
        with self.open() as engine:
            assert 2_600 == engine.ingest(page(elements)).appended
            found = list(engine.read_all(after=1))
            assert [element["msgid"] for element in elements] == [entry.payload["msgid"] for entry in found]
            parts = [list(engine.read_all(after=after, limit=700)) for after in range(1, 2_600, 700)]
            assert found == [entry for part in parts for entry in part]

    def test_recorded_at_never_goes_back(self) -> None:
        """A later entry was recorded later, also where clocks run back; entries of one page share the time."""
        with self.open() as engine:
            engine.ingest(page([said(0), said(1)]))
            engine.ingest(page([said(2)]))
            times = [entry.recorded_at for entry in engine.read_all()]
            assert times == sorted(times, key=str)
            assert times[1] == times[2] != times[3]

    def test_writers_at_once_lose_nothing(self) -> None:
        """Threads and engines that append at once: every append is there, once, where it was told."""
        with ExitStack() as stack:
            url = self.new_database()
            engines = [stack.enter_context(self.open(url)) for _ in range(2)]
            told: list[list[Recorded | Report]] = self.together(
                [partial(_write, engines[number % 2], number) for number in range(_WRITERS)]
            )
            entries = list(engines[0].read_all(after=1))
            assert list(range(2, len(entries) + 2)) == [entry.position for entry in entries]
            by_position = {entry.position: entry for entry in entries}
            recorded = [one.position for some in told for one in some if isinstance(one, Recorded)]
            assert _WRITERS * _EACH == len(set(recorded)) == len(recorded)
            assert {"own_action"} == {by_position[position].kind for position in recorded}
            wanted = {
                f"m{writer}-{number}-{k}" for writer in range(_WRITERS) for number in range(_EACH) for k in (0, 1)
            }
            assert wanted == {entry.payload["msgid"] for entry in entries if entry.kind == "customer_message"}
            assert _WRITERS * _EACH * 3 == len(entries)
            assert None is engines[1].verify().damage
            assert (0, 0) == (engines[1].behind(), engines[1].check().different)

    def test_a_reader_skips_nothing(self) -> None:
        """Whoever follows the log by position, while others append, reads every entry, in order."""
        with ExitStack() as stack:
            url = self.new_database()
            writer, reader = (stack.enter_context(self.open(url)) for _ in range(2))
            done = threading.Event()
            calls: list[Callable[[], object]] = [partial(_tail, reader, done), partial(_last, writer, done)]
            seen, end = self.together(calls)
            assert list(range(1, 2 + 3 * _EACH * _WRITERS)) == seen
            assert end == positions(writer)[-1]

    def test_one_reading_sees_one_state(self) -> None:
        """What commits together is seen together, in one statement or in the many of a verification."""
        with ExitStack() as stack:
            url = self.new_database()
            writer, reader = (stack.enter_context(self.open(url)) for _ in range(2))
            done = threading.Event()

            def write() -> bool:
                for number in range(30):
                    writer.ingest(
                        page([said(number, user=f"wm{number}"), taken(number, "li", user=f"wl{number}")]), account=KF
                    )
                done.set()
                return True

            def read() -> bool:
                last = False
                while not last:
                    last = done.is_set()
                    counts = reader.counts()
                    assert counts.get(KfServiceState.UNTREATED, 0) == counts.get(KfServiceState.MANUAL, 0), counts
                    assert None is reader.verify().damage
                return True

            calls: list[Callable[[], bool]] = [write, read]
            assert [True, True] == self.together(calls)
            assert (30, 30) == ((counts := reader.counts())[KfServiceState.UNTREATED], counts[KfServiceState.MANUAL])


def _write(engine: Engine, writer: int) -> list[Recorded | Report]:
    """Append own entries and pages of two, in turn."""
    told: list[Recorded | Report] = []
    for number in range(_EACH):
        told.append(engine.record(action(number, user=f"wm{number % 3}")))
        elements: list[Element] = [
            said(number, user=f"wm{writer}", msgid=f"m{writer}-{number}-{k}", content=str(k)) for k in (0, 1)
        ]
        told.append(engine.ingest(page(elements)))
    return told


def _tail(engine: Engine, done: threading.Event) -> list[int]:
    seen: list[int] = []
    while True:
        last = done.is_set()
        found = list(engine.read_all(after=seen[-1] if seen else 0, limit=7))
        seen += [entry.position for entry in found]
        if last and not found:
            return seen


def _last(engine: Engine, done: threading.Event) -> int:
    try:
        pairs = itertools.chain.from_iterable(_write(engine, writer) for writer in range(_WRITERS))
        return max(one.position for one in pairs)
    finally:
        done.set()
