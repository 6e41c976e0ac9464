# ruff: noqa: S608 (the SQL is put together from constants)
"""Sending a message: window, state and code looked at first, intended, called, and the result recorded.

The msgid is ours, and made of the caller's key: WeCom takes each once, so that the same key sends once, whatever was
lost in between.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from itertools import count
from typing import Any

import attrs

from kfstate.errors import ArgumentError, ReplyLostError, SendRefusedError, VersionConflictError, WecomError
from kfstate.queries.views import at_second
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import query
from kfstate.store.envelope import OwnEntry
from kfstate.store.read import payloads
from kfstate.wecom.earlier import Earlier, Result
from kfstate.wecom.errand import AGAIN, NO_RIGHT, REFUSALS, STATE_IS_WRONG, UNMANAGED, Errand, Seen
from kfstate.wecom.errcodes import errcode
from kfstate.wecom.intents import MESSAGE

__all__ = ["Sent", "send", "send_on_event"]

_USED = 95033
_BAD_CODE = 40029
_SETTLED = REFUSALS | {_BAD_CODE}
"""What WeCom may well answer because the message was sent before."""
_LOOK_BACK = 3 * 86_400
_GIVEN = "SELECT valid_until, only_state FROM kf_code WHERE stream = ? AND code = ? ORDER BY position DESC LIMIT 1"
_TAKEN = (
    "SELECT e.position FROM kf_entry e WHERE e.stream = ? AND e.sort_second >= ? AND e.code = ? "
    f"AND e.kind IN ('{MESSAGE}', 'message_sent') AND e.ref <> ? "
    "AND NOT EXISTS (SELECT 1 FROM kf_entry r WHERE r.stream = e.stream "
    "AND r.sort_second >= e.sort_second AND r.cause = e.position AND r.kind = 'message_refused')"
)


@attrs.frozen(kw_only=True)
class Sent:
    """A message that WeCom accepted; that does not mean delivered: ``msg_send_fail`` tells.

    ``repeated``: the key was known, or WeCom knew the msgid, so that nothing was sent again. ``intent`` and
    ``position`` are entries of the log.
    """

    open_kfid: str
    external_userid: str
    via: str
    msgid: str
    intent: int
    position: int
    repeated: bool = False


def send(errand: Errand, message: Mapping[str, Any], *, key: str | None = None) -> Sent:
    """Send a message within the window; see :meth:`kfstate.wecom.live.Live.send`."""
    return _sent(_Message(errand, "send_msg", message, key or "", ""))


def send_on_event(errand: Errand, code: str, message: Mapping[str, Any], *, key: str | None = None) -> Sent:
    """Send a message with a code; see :meth:`kfstate.wecom.live.Live.send_on_event`."""
    if not code:
        raise ArgumentError(name="code", value="''", allowed="a welcome_code or msg_code")
    return _sent(_Message(errand, "send_msg_on_event", message, key or "", code))


def _sent(wanted: "_Message") -> Sent:
    attempt, msgid = 0, wanted.msgid()
    if wanted.key:
        for attempt in count():
            earlier = wanted.errand.earlier(wanted.intent(msgid, attempt))
            if earlier is None:
                break
            known = wanted.known(earlier)
            if known is not None:
                return known
    return wanted.make(wanted.intent(msgid, attempt))


@attrs.frozen
class _Code:
    """What is known of a code: nothing, where it came by another way than the log."""

    valid_until: int | None = None
    only_state: int | None = None
    taken: int | None = None

    def against(self, seen: Seen) -> tuple[int, str] | None:
        """Return what forbids its use: an errcode and a reason."""
        if self.taken is not None:
            return _BAD_CODE, f"the code is good for one message, and entry {self.taken} has used it"
        if self.valid_until is not None and seen.now >= self.valid_until:
            return _BAD_CODE, f"the code was good until {at_second(self.valid_until)}"
        if self.only_state not in (None, int(seen.service_state)):
            return 95018, f"the code is good in {self.only_state} only, the session is in {int(seen.service_state)}"
        return None


@attrs.frozen
class _Message:
    errand: Errand
    via: str
    message: Mapping[str, Any]
    key: str
    code: str

    def __attrs_post_init__(self) -> None:
        msgtype = self.message.get("msgtype")
        if not isinstance(msgtype, str) or msgtype not in self.message:
            shown = "nothing" if msgtype is None else repr(msgtype)[:200]
            raise ArgumentError(name="message", value=shown, allowed="a msgtype, and the body under its name")

    def msgid(self) -> str:
        """Return the msgid: always the same for a key."""
        if not self.key:
            return f"kf{os.urandom(15).hex()}"
        errand = self.errand
        of = f"{errand.site.corp_id}\0{errand.open_kfid}\0{errand.external_userid}\0{self.key}"
        return f"kf{hashlib.sha256(of.encode()).hexdigest()[:30]}"

    def intent(self, msgid: str, attempt: int) -> OwnEntry:
        """Return the intent; where nothing came of an attempt, the next one under the same key has its own."""
        key = f"send/{self.key}{f'/again/{attempt}' if attempt else ''}" if self.key else ""
        return self.errand.entry(MESSAGE, key=key, data={"message": dict(self.message)}, **self._facts(msgid))

    def known(self, earlier: Earlier) -> Sent | None:
        """Return what became of an earlier attempt; None: nothing, or nobody knows, so that the msgid goes again."""
        intent = earlier.intent
        ours = (self.errand.external_userid, self.via)
        if (intent.external_userid, intent.via) != ours or not self._is_said(intent.position):
            told = f"one that is new, or the same {intent.via} to {intent.external_userid} (entry {intent.position})"
            raise ArgumentError(name="key", value=repr(self.key), allowed=told)
        earlier = self.errand.settled(earlier)
        sent, refused = earlier.result("message_sent"), earlier.result("message_refused")
        if sent is not None:
            return self._sent(intent.position, sent.position, intent.msgid, repeated=True)
        if refused is None:
            return self._repeat(intent)
        if refused.errcode in REFUSALS:
            raise self._refused(refused)
        return None

    def _is_said(self, position: int) -> bool:
        """Tell whether an earlier intent was to send this message; of an erased one nobody can say otherwise."""
        with self.errand.site.database.reading() as conn:
            body = payloads(conn, [position]).get(position)
        message = json.loads(json.dumps(self.message))
        return body is None or json.loads(body)["data"]["message"] == message

    def make(self, intent: OwnEntry) -> Sent:
        """Decide, and make the call; what came in between makes us decide again."""
        errand, read = self.errand, False
        for left in reversed(range(AGAIN)):
            seen = errand.look()
            if self.via == "send_msg" and seen.managed is False:
                raise self._error(NO_RIGHT, UNMANAGED, seen.service_state, intent.msgid, local=True)
            code = self._code(seen, intent.msgid)
            if seen.doubt != "none" and not read and (code is None or code.only_state is not None):
                errand.read(why=f"asked to send, in doubt: {seen.doubt}")
                read = True
                continue
            if (against := self._against(seen, code)) is not None:
                raise self._error(*against, seen.service_state, intent.msgid, local=True)
            try:
                return self._call(errand.intend(self.via, intent, seen), intent.msgid)
            except VersionConflictError:
                if not left:
                    raise
        raise AssertionError  # pragma: no cover (the last round returns or raises)

    def _repeat(self, intent: Result) -> Sent:
        """Send a message again of which nobody knows whether it was sent: WeCom takes its msgid once."""
        seen = self.errand.look()
        code = self._code(seen, intent.msgid)
        against = self._against(seen, code, counted=True)
        if against is not None:
            raise ReplyLostError(self.via, f"the reply was lost, and it cannot be sent again: {against[1]}")
        return self._call(intent.position, intent.msgid, again=True)

    def _against(self, seen: Seen, code: "_Code | None", *, counted: bool = False) -> tuple[int, str] | None:
        """Return what forbids the message by what is known: an errcode and a reason."""
        state, window = seen.service_state, seen.window
        if code is not None:
            return code.against(seen)
        if state == KfServiceState.FINISHED:
            return 95013, "the session has ended; the customer's next message opens one"
        if state not in (KfServiceState.UNTREATED, KfServiceState.ROBOT):
            return 95018, f"only 0 and 1 may send, the session is in {int(state)}"
        if window is None or window.until is None:
            return None
        if seen.now >= window.until.timestamp():
            return 95002, errcode(95002).meaning
        return (95001, errcode(95001).meaning) if window.left == 0 and not counted else None

    def _code(self, seen: Seen, msgid: str) -> "_Code | None":
        """Return what is known of the code; None: this message goes without."""
        if not self.code:
            return None
        if seen.stream is None:
            return _Code()
        with self.errand.site.database.reading() as conn:
            given = query(conn, _GIVEN, (seen.stream, self.code))
            taken = query(conn, _TAKEN, (seen.stream, seen.now - _LOOK_BACK, self.code, msgid))
        valid_until, only_state = given[0] if given else (None, None)
        return _Code(valid_until, only_state, taken[0][0] if taken else None)

    def _facts(self, msgid: str) -> dict[str, object]:
        kind = {"code": self.code} if self.code else {}
        return {"via": self.via, "msgid": msgid, "msgtype": str(self.message["msgtype"])[:64], **kind}

    def _call(self, intent: int, msgid: str, *, again: bool = False) -> Sent:
        errand = self.errand
        try:
            with errand.calling(intent, "message_refused", self.via, self._facts(msgid), again=again) as trying:
                repeated = self._made(msgid)
        except WecomError as error:
            if again and error.errcode in _SETTLED:
                if error.errcode in STATE_IS_WRONG:
                    errand.heal(cause=intent, why=f"refused with {error.errcode}")
                told = f"the reply was lost, and it cannot be sent again: {errcode(error.errcode).meaning}"
                raise ReplyLostError(self.via, f"{told} ({error.errcode})") from error
            refused = errand.at(intent).result("message_refused")
            if error.errcode not in REFUSALS or refused is None:
                raise
            if error.errcode in STATE_IS_WRONG:
                errand.heal(cause=refused.position, why=f"refused with {error.errcode}")
            raise self._refused(refused) from error
        except ReplyLostError:
            errand.heal(cause=intent, why="the reply to a message was lost")
            raise
        position = errand.answered(trying, "message_sent", **self._facts(msgid))
        return self._sent(intent, position, msgid, repeated=repeated)

    def _made(self, msgid: str) -> bool:
        """Make the call; tell whether WeCom had the message already."""
        errand, client = self.errand, self.errand.site.client
        try:
            if self.code:
                client.send_msg_on_event(self.code, self.message, msgid=msgid)
            else:
                client.send_msg(errand.open_kfid, errand.external_userid, self.message, msgid=msgid)
        except WecomError as error:
            # The msgid is made of the key: whoever used it before was us.
            if error.errcode != _USED or not self.key:
                raise
            return True
        return False

    def _sent(self, intent: int, position: int, msgid: str, *, repeated: bool) -> Sent:
        return Sent(
            open_kfid=self.errand.open_kfid, external_userid=self.errand.external_userid, via=self.via, msgid=msgid,
            intent=intent, position=position, repeated=repeated,
        )  # fmt: skip

    def _refused(self, refusal: Result) -> SendRefusedError:
        code = refusal.errcode or 0
        reason = f"{errcode(code).meaning} ({code})"
        state = self.errand.look().service_state
        return self._error(code, reason, state, refusal.msgid, position=refusal.position)

    def _error(
        self, code: int, reason: str, state: KfServiceState, msgid: str, *, local: bool = False,
        position: int | None = None,
    ) -> SendRefusedError:  # fmt: skip
        return SendRefusedError(
            open_kfid=self.errand.open_kfid, external_userid=self.errand.external_userid, via=self.via, msgid=msgid,
            errcode=code, reason=reason, local=local, service_state=int(state), retry=errcode(code).retry,
            position=position,
        )  # fmt: skip
