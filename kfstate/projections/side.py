"""The small tables beside the fold: servicers, accounts, anomalies, message fates and codes, each row by row."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection

from kfstate.projections.tables import kf_account, kf_anomaly, kf_code, kf_message_fate, kf_servicer
from kfstate.store.dialect import bulk_insert, bulk_upsert, query, query_in
from kfstate.store.facts import FACT_BITS, tie_of
from kfstate.store.rows import EntryRow, Stream

__all__ = ["SideTables"]

_NOT_RECEIVING = frozenset({95014, 95019})
_ANOMALOUS = frozenset({"repaired", "refused", "unknown"})
_TWO_DAYS = 48 * 3600
_TWENTY_SECONDS = 20
_FATES = {
    "user_recall_msg": "recalled_by_customer",
    "servicer_recall_msg": "recalled_by_servicer",
    "msg_send_fail": "failed",
}
_SKEW = 3600
"""By how many seconds the clock of the service may be behind WeCom's."""
_KEPT = 3 * 86_400
"""How long WeCom keeps a message that may be recalled or fail, in seconds."""
_USE = "UPDATE kf_code SET used = ? WHERE stream = ? AND code = ? AND used IS NULL AND position < ?"
_FIRST = "SELECT MIN(position) FROM kf_entry WHERE stream = ? AND sort_second >= ? AND "
_USED = f"{_FIRST}code = ? AND position < ? AND kind IN ('message_intended', 'message_sent')"
_SENT = f"{_FIRST}ref = ? AND position < ? AND kind IN ('message_intended', 'message_sent')"
_CAME = (
    f"{_FIRST}tie >> {FACT_BITS} = ? AND position < ? "
    "AND kind IN ('customer_message', 'servicer_message', 'system_message', 'unknown_message')"
)


class SideTables:
    """Collects what entries say beside the state, and writes it in one go."""

    def __init__(self, conn: Connection) -> None:
        """Read through this connection, where a row is needed that is not in hand yet."""
        self._conn = conn
        self._servicers: dict[tuple[str, int], list[Any]] = {}
        self._accounts: dict[str, list[Any]] = {}
        self._anomalies: dict[tuple[int, str], tuple[Any, ...]] = {}
        self._fates: list[tuple[Any, ...]] = []
        self._codes: list[tuple[Any, ...]] = []
        self._used: list[tuple[int, int, str, int]] = []
        self._named: dict[str, set[int]] = {}
        self._serving: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._handlers: dict[str, Callable[[EntryRow, Stream], None]] = {
            "servicer_status_change": self._status,
            "servicer_reading": self._status,
            "account_reading": self._privilege,
            "history_gap": self._gap,
            "state_change_refused": self._refusal,
            "message_refused": self._refusal,
            "message_intended": self._send,
            "message_sent": self._send,
            "state_changed": self._change,
            "session_status_change": self._change,
            "enter_session": self._change,
            **dict.fromkeys(_FATES, self._fate),
        }

    def join(self, conn: Connection) -> None:
        """Go on in another transaction."""
        self._conn = conn

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that these tables look at."""
        return frozenset(self._handlers)

    def take(self, entry: EntryRow, stream: Stream) -> None:
        """Note what an entry of one of :attr:`kinds` says."""
        self._handlers[entry.as_kind or entry.kind](entry, stream)

    def named(self, entry: EntryRow, stream: Stream) -> None:
        """Note the servicers that an entry names: each has a row, also where it never serves."""
        if stream.open_kfid:
            known = self._named.setdefault(stream.open_kfid, set())
            known.update(name for name in (entry.servicer_from, entry.servicer_to) if name is not None)

    def anomaly(self, entry: EntryRow, kind: str) -> None:
        """Note that an entry did not fit."""
        self._anomalies[entry.position, kind] = (entry.position, kind, entry.stream, entry.sort_second)

    def step(self, position: int, outcome: str, stream: int, second: int) -> None:
        """Note a step whose outcome is an anomaly."""
        if outcome in _ANOMALOUS:
            self._anomalies[position, outcome] = (position, outcome, stream, second)

    def forget_steps(self, positions: Iterable[int]) -> None:
        """Delete the anomalies of steps that were revised."""
        for position in positions:
            for outcome in _ANOMALOUS:
                self._anomalies.pop((position, outcome), None)
            query(
                self._conn,
                "DELETE FROM kf_anomaly WHERE position = ? AND kind IN ('repaired', 'refused', 'unknown')",
                (position,),
            )

    def serving(self, open_kfid: str, before: int | None, after: int | None) -> None:
        """Note that a conversation went from one servicer to another (None: nobody)."""
        if before != after:
            if before is not None:
                self._serving[open_kfid, before] -= 1
            if after is not None:
                self._serving[open_kfid, after] += 1

    def flush(self) -> None:
        """Write all that was noted."""
        for (open_kfid, servicer), difference in self._serving.items():
            if difference:
                self._servicer(open_kfid, servicer)[6] += difference
        self._serving.clear()
        for open_kfid, names in self._named.items():
            self._introduce(open_kfid, names)
        bulk_upsert(self._conn, kf_servicer, [tuple(row) for row in self._servicers.values()])
        bulk_upsert(self._conn, kf_account, [tuple(row) for row in self._accounts.values()])
        bulk_upsert(self._conn, kf_anomaly, list(self._anomalies.values()))
        bulk_insert(self._conn, kf_message_fate, self._fates)
        bulk_insert(self._conn, kf_code, self._codes)
        for used in self._used:
            query(self._conn, _USE, used)
        for noted in (
            self._anomalies, self._fates, self._codes, self._used, self._servicers, self._accounts, self._named,
        ):  # fmt: skip
            noted.clear()

    def _introduce(self, open_kfid: str, names: Iterable[int]) -> None:
        absent = {name for name in names if (open_kfid, name) not in self._servicers}
        sql = "SELECT servicer FROM kf_servicer WHERE open_kfid = ? AND servicer IN (??)"
        absent.difference_update(row[0] for row in query_in(self._conn, sql, sorted(absent), open_kfid))
        for name in absent:
            self._servicers[open_kfid, name] = [open_kfid, name, None, None, None, None, 0]

    def _servicer(self, open_kfid: str, servicer: int) -> list[Any]:
        row = self._servicers.get((open_kfid, servicer))
        if row is None:
            sql = "SELECT * FROM kf_servicer WHERE open_kfid = ? AND servicer = ?"
            found = query(self._conn, sql, (open_kfid, servicer))
            row = list(found[0]) if found else [open_kfid, servicer, None, None, None, None, 0]
            self._servicers[open_kfid, servicer] = row
        return row

    def _account(self, open_kfid: str) -> list[Any]:
        row = self._accounts.get(open_kfid)
        if row is None:
            found = query(self._conn, "SELECT * FROM kf_account WHERE open_kfid = ?", (open_kfid,))
            row = list(found[0]) if found else [open_kfid, None, None, 0, None, None]
            self._accounts[open_kfid] = row
        return row

    def _status(self, entry: EntryRow, stream: Stream) -> None:
        servicer = entry.servicer_to or stream.servicer
        if servicer and entry.receiving is not None:
            self._receives(entry, stream, servicer, entry.receiving, entry.stop_type)

    def _receives(self, entry: EntryRow, stream: Stream, servicer: int, receiving: int, stop: int | None) -> None:
        row = self._servicer(stream.open_kfid, servicer)
        known = (row[4], row[5], row[2], row[3] or 0)
        if row[4] is None or (entry.sort_second, entry.tie, receiving, stop or 0) >= known:
            row[2:6] = receiving, stop, entry.sort_second, entry.tie

    def _refusal(self, entry: EntryRow, stream: Stream) -> None:
        if entry.errcode in _NOT_RECEIVING and entry.servicer_to:
            self._receives(entry, stream, entry.servicer_to, 0, None)

    def _privilege(self, entry: EntryRow, stream: Stream) -> None:
        row = self._account(stream.open_kfid)
        if entry.manage_privilege is not None and (row[2] is None or entry.sort_second >= row[2]):
            row[1:3] = entry.manage_privilege, entry.sort_second

    def _gap(self, entry: EntryRow, stream: Stream) -> None:
        self.anomaly(entry, "history_gap")
        if stream.kind != "account":
            return
        row = self._account(stream.open_kfid)
        if row[5] is None or entry.sort_second >= row[5]:
            row[4:6] = None if entry.from_at is None else entry.from_at // 1_000_000, entry.sort_second

    def _send(self, entry: EntryRow, stream: Stream) -> None:
        if stream.open_kfid:
            self._account(stream.open_kfid)[3] = 1
        if entry.code:
            self._used.append((entry.position, entry.stream, entry.code, entry.position))

    def _change(self, entry: EntryRow, stream: Stream) -> None:
        if not entry.code:
            return
        kind = entry.as_kind or entry.kind
        scene: tuple[str, int, int | None] | None = None
        if kind == "enter_session":
            scene = ("welcome", _TWENTY_SECONDS, None)
        elif entry.change_type == 1 or entry.service_state == 3:
            scene = ("taken", _TWO_DAYS, 3)
        elif entry.change_type == 3 or entry.service_state == 4:
            scene = ("ended", _TWENTY_SECONDS, 4)
        elif entry.service_state == 2:
            scene = ("queued", _TWO_DAYS, 2)
        if scene is not None:
            name, valid, state = scene
            given = entry.sort_second
            used = None
            if self._account(stream.open_kfid)[3]:
                used = query(self._conn, _USED, (entry.stream, given - _SKEW, entry.code, entry.position))[0][0]
            self._codes.append((entry.position, entry.stream, entry.code, name, given, given + valid, state, used))

    def _fate(self, entry: EntryRow, stream: Stream) -> None:
        fate, since = _FATES[entry.as_kind or entry.kind], entry.sort_second - _KEPT
        if fate == "failed":
            found = query(self._conn, _SENT, (entry.stream, since, entry.ref, entry.position))
        else:
            tie = tie_of(stream.open_kfid, entry.ref)
            found = query(self._conn, _CAME, (entry.stream, since, tie, entry.position))
        row = (entry.position, entry.stream, entry.ref, fate, entry.fail_type, entry.sort_second, found[0][0])
        self._fates.append(row)
