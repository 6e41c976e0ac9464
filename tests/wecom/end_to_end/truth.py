"""What has to hold in the end, whatever went wrong: each check names the conversation, and why."""

from collections import Counter
from collections.abc import Iterable, Iterator

import attrs

from kfstate import Engine
from kfstate.clock import SECOND
from kfstate.machine import SessionState, fold, initial, may, state_at
from kfstate.machine.entry import Entry
from kfstate.machine.kinds import FROM_WECOM
from kfstate.queries.history import history
from kfstate.service_state import KfServiceState
from kfstate.store.columns import as_text
from kfstate.store.dialect import query
from kfstate.store.rows import ENTRY_COLUMNS, EntryRow
from kfstate.testing import FakeWecom
from kfstate.testing.fake import Account
from kfstate.testing.fake.world import Call, Change
from kfstate.wecom.errand import STATE_IS_WRONG
from tests.wecom.end_to_end.people import Key

__all__ = ["Problem", "Truth"]

WINDOW = 48 * 3_600
NOT_CARRIED_OUT = frozenset({-1, 40014, 42001, 45009, 47001})
"""Errcodes after which a call may be made again."""

WANTED = frozenset(
    {"reply_lost", "session_expired", "message_sent", "message_refused", "state_reading", "95013", "95016", "95018",
     "dropped", "server_error", "expired_token, carried out", "dropped, carried out", "routing", "expiry"}
)  # fmt: skip
"""What a long run meets."""


@attrs.frozen
class Problem:
    """What does not hold, of which conversation (empty: of none)."""

    key: Key
    says: str


@attrs.define
class Truth:
    """The log, beside what the server knows."""

    engine: Engine
    wecom: FakeWecom
    accounts: list[Account]
    now: int
    talks: dict[Key, list[EntryRow]] = attrs.Factory(dict)
    changes: dict[Key, list[Change]] = attrs.Factory(dict)
    calls: dict[Key, list[Call]] = attrs.Factory(dict)

    @classmethod
    def of(cls, engine: Engine, wecom: FakeWecom, accounts: list[Account], now: int) -> "Truth":
        """Read both."""
        truth = cls(engine, wecom, accounts, now)
        homes = "SELECT s.id, s.open_kfid, n.value FROM kf_stream s JOIN kf_name n ON n.id = s.customer"
        rows = f"SELECT {', '.join(ENTRY_COLUMNS)} FROM kf_entry ORDER BY position"
        with engine._database.reading() as conn:
            keys = {id_: (as_text(account), as_text(customer)) for id_, account, customer in query(conn, homes)}
            for row in map(EntryRow._make, query(conn, rows)):
                if row.stream in keys:
                    truth.talks.setdefault(keys[row.stream], []).append(row)
        for change in wecom.changes:
            truth.changes.setdefault((change.open_kfid, change.external_userid), []).append(change)
        for call in wecom.calls:
            customer = call.request.get("external_userid") or call.request.get("touser") or ""
            truth.calls.setdefault((str(call.request.get("open_kfid", "")), str(customer)), []).append(call)
        return truth

    def problems(self) -> list[Problem]:
        """Return whatever does not hold."""
        whole = (*self.entries(), *self.pulls(), *self.whole())
        return [*whole, *self.states(), *self.forbidden(), *self.repeated(), *self.healed(), *self.silent()]

    # The state of each conversation is the server's own

    def states(self) -> Iterator[Problem]:
        """Compare the states."""
        views = {(view.open_kfid, str(view.external_userid)): view for view in self.engine.conversations()}
        for key, truth in self.wecom.states().items():
            view = views.get(key)
            ours = (4, "") if view is None else (int(view.service_state), (view.servicer_userid or "").casefold())
            if ours != (int(truth.service_state), truth.servicer_userid.casefold()):
                told = "" if view is None else f" (evidence {view.evidence}, doubt {view.doubt})"
                yield Problem(key, f"the log says {ours}{told}, the server {tuple(truth)}")

    # Every entry is in the log, once

    def entries(self) -> Iterator[Problem]:
        """Compare the entries."""
        have = Counter(str(one.payload) for one in self.engine.read_all() if one.kind in FROM_WECOM)
        want = Counter(str(element) for account in self.accounts for element in account.entries())
        for body in want.keys() | have.keys():
            if have[body] != want[body]:
                yield Problem(("", ""), f"{have[body]} times in the log, not {want[body]}: {body}")

    def pulls(self) -> Iterator[Problem]:
        """Follow the cursor of each account: every page began where the one before it had ended."""
        sql = "SELECT open_kfid, cursor_before, cursor_after, id FROM kf_pull ORDER BY id"
        with self.engine._database.reading() as conn:
            rows = [
                (as_text(name), as_text(before), as_text(after), id_) for name, before, after, id_ in query(conn, sql)
            ]
        stands: dict[str, str] = {}
        for open_kfid, before, after, id_ in rows:
            if stands.get(open_kfid, "") != before:
                yield Problem((open_kfid, ""), f"pull {id_} began at {before!r}, not at {stands.get(open_kfid)!r}")
            stands[open_kfid] = after or before

    def whole(self) -> Iterator[Problem]:
        """Verify the chain, and fold everything again."""
        damage = self.engine.verify().damage
        if damage is not None:
            yield Problem(("", ""), f"the chain is broken: {damage}")
        difference = self.engine.check()
        if difference.different or self.engine.behind() != 0:
            yield Problem(("", ""), f"a rebuild says otherwise: {difference}")

    # No call that the log forbade when it was made, and none without an intent

    def forbidden(self) -> Iterator[Problem]:
        """Ask the log as it was before each intent."""
        for key, rows in self.talks.items():
            for at, row in enumerate(rows):
                if row.kind not in {"state_change_intended", "message_intended"}:
                    continue
                before = _folded(rows[:at])
                against = _against(row, before, row.recorded_at // SECOND)
                if against:
                    yield Problem(key, f"entry {row.position}: {against}")

    def repeated(self) -> Iterator[Problem]:
        """Compare the calls that the server saw with the intents: one call for one intent, and no more."""
        for key, calls in self.calls.items():
            intents: Counter[tuple[object, bool]] = Counter(
                (row.service_state, row.servicer_to is not None)
                for row in self.talks.get(key, [])
                if row.kind == "state_change_intended"
            )
            made: Counter[tuple[object, bool]] = Counter(
                (call.request.get("service_state"), bool(call.request.get("servicer_userid")))
                for call in calls
                if call.name == "service_state/trans" and _was_carried_out(call)
            )
            for wanted in made:
                if made[wanted] > intents[wanted]:
                    to = wanted[0]
                    yield Problem(key, f"{made[wanted]} calls to {to} for {intents[wanted]} intents: one was repeated")
            sends = {row.ref for row in self.talks.get(key, []) if row.kind == "message_intended"}
            for call in calls:
                sent = call.name == "send_msg" and _was_carried_out(call)
                if sent and call.request.get("msgid") not in sends:
                    yield Problem(key, f"message {call.request.get('msgid')} was sent without an intent")

    # Each refusal is healed by one reading, if any

    def healed(self) -> Iterator[Problem]:
        """Look what came after each refusal that says that the state is another."""
        for key, rows in self.talks.items():
            for at, row in enumerate(rows):
                refused = row.kind in {"state_change_refused", "message_refused"} and row.errcode in STATE_IS_WRONG
                if not refused:
                    continue
                readings = [one for one in rows if one.kind == "state_reading" and one.cause == row.position]
                if len(readings) > 1:
                    yield Problem(key, f"entry {row.position} was healed by {len(readings)} readings")
                then = next((n for n in range(at + 1, len(rows)) if rows[n].kind == "state_reading"), None)
                if then is not None and _folded(rows[: then + 1]).doubt == "refused":
                    again = [one for one in rows[at + 1 : then] if one.errcode in STATE_IS_WRONG]
                    late = [one for one in rows[at + 1 : then + 1] if one.kind in FROM_WECOM]
                    if not again and not late:
                        yield Problem(key, f"the reading {rows[then].position} did not heal entry {row.position}")

    # What the server changed without a word, and still holds, is a repair with its reason

    def silent(self) -> Iterator[Problem]:
        """Look for the step that shows each silent change."""
        for key, changes in self.changes.items():
            last = changes[-1]
            if last.announced or last.by not in {"routing", "timeout"}:
                continue
            if not self._shown(key, last) and not self._explained(key, last):
                yield Problem(key, f"the silent change to {last.after.word} {last.servicer} is not shown as a repair")

    def _shown(self, key: Key, last: Change) -> bool:
        """Tell whether the step that led into the state is a repair, or takes a presumed end back; it says why."""
        entering = [
            step for step in self.engine.history(*key)
            if (step.before, step.servicer_before) != (step.after, step.servicer_after)
        ]  # fmt: skip
        step = entering[-1]
        there = (step.after, (step.servicer_after or "").casefold()) == (last.after.word, last.servicer.casefold())
        return there and bool(step.reason) and step.outcome in {"repaired", "moved"}

    def _explained(self, key: Key, last: Change) -> bool:
        """Tell whether our own call brought the log where the server was already, or the end of the session."""
        rows = self.talks.get(key, [])
        same = [
            call for call in self.calls.get(key, [])
            if call.at >= last.at and call.errcode == 0 and (
                (call.name == "service_state/trans" and call.request.get("service_state") == int(last.after))
                or (call.name == "send_msg" and last.after == KfServiceState.ROBOT)
            )
        ]  # fmt: skip
        expired = last.after == KfServiceState.FINISHED and any(row.kind == "session_expired" for row in rows)
        return bool(same) or expired

    def rare(self) -> list[str]:
        """Return what should have happened, and did not: what was not met was not tried either."""
        happened = {row.kind for rows in self.talks.values() for row in rows}
        happened |= {str(row.errcode) for rows in self.talks.values() for row in rows if row.errcode}
        happened |= {call.fault for call in self.wecom.calls} | {change.by for change in self.wecom.changes}
        return sorted(WANTED - happened)

    # For people

    def told(self, problems: Iterable[Problem], most: int = 5) -> str:
        """Return the problems, and the two histories of the first conversations that have some."""
        problems = list(problems)
        lines = [f"{len(problems)} problems"]
        lines += [f"  {one.key[0][-6:]} {one.key[1]}: {one.says}" for one in problems[:40]]
        for key in list(dict.fromkeys(one.key for one in problems if one.key[1]))[:most]:
            lines += ["", f"== {key[0]} {key[1]}", *self.beside(key)]
        return "\n".join(lines)

    def beside(self, key: Key) -> list[str]:
        """Return the history of a conversation by the log, and by the server, in the order of time."""
        said: list[tuple[float, str]] = []
        rows = {row.position: row for row in self.talks.get(key, [])}
        with self.engine._database.reading() as conn:
            stream = next(iter(rows.values())).stream if rows else 0
            steps = history(conn, stream, now=None) if rows else []
        for step in steps:
            row = rows.get(step.position or 0)
            at = (row.occurred_at or row.sort_second * SECOND) if row else 0
            code = f" {row.errcode}" if row is not None and row.errcode else ""
            what = f"{step.before} {step.servicer_before or ''} → {step.after} {step.servicer_after or ''}"
            cause = f" for {row.cause}" if row is not None and row.cause else ""
            says = f"{step.position} {step.kind}{code}{cause} [{step.outcome}] {what} {step.reason or ''}"
            said.append((at, f"log     {says}"))
        for change in self.changes.get(key, []):
            what = f"{change.before.word} → {change.after.word} {change.servicer} by {change.by}"
            said.append((change.at, f"server  {what}{'' if change.announced else ', without a word'}"))
        for call in self.calls.get(key, []):
            wanted = {name: call.request[name] for name in ("service_state", "servicer_userid") if name in call.request}
            said.append((call.at, f"call    {call.name} {wanted or ''} {call.errcode} {call.fault}"))
        said.sort(key=lambda one: one[0])
        return [f"  {at / SECOND:.6f}  {what}" for at, what in said]


def _folded(rows: Iterable[EntryRow]) -> SessionState:
    steps = fold(Entry._make(row[: len(Entry._fields)]) for row in rows)
    return steps[-1].state if steps else initial()


def _against(intent: EntryRow, before: SessionState, now: int) -> str:
    """Return why an intent was forbidden, '' where it was not."""
    if intent.kind == "state_change_intended":
        verdict = may(before, KfServiceState(intent.service_state or 0), servicer=intent.servicer_to, now=now)
        return f"the change was forbidden: {verdict.reason}" if verdict.forbidden else ""
    if intent.via != "send_msg":
        return ""
    seen = state_at(before, now)
    if seen.service_state not in (0, 1):
        return f"a message was sent in {seen.service_state}"
    if seen.last_customer_message is not None and now >= seen.last_customer_message + WINDOW:
        return "a message was sent after the window was closed"
    return "a sixth message was sent" if seen.sends >= 5 else ""


def _was_carried_out(call: Call) -> bool:
    """Tell whether a call can have had an effect; one of which nothing is known had half of a body: its sender died."""
    return bool(call.request) and call.errcode not in NOT_CARRIED_OUT
