"""Changing the state of a conversation: asked whether it may be, intended, called, and its result recorded."""

from collections.abc import Callable
from itertools import count

import attrs

from kfstate.errors import (
    ArgumentError,
    ReplyLostError,
    StateChangeRefusedError,
    VersionConflictError,
    WecomError,
)
from kfstate.machine import may
from kfstate.service_state import KfServiceState
from kfstate.store.envelope import OwnEntry
from kfstate.wecom.earlier import Earlier, Result
from kfstate.wecom.errand import (
    AGAIN,
    NO_RIGHT,
    REFUSALS,
    STATE_IS_WRONG,
    TRANS,
    UNMANAGED,
    Errand,
    Guard,
    Seen,
    usable_code,
)
from kfstate.wecom.errcodes import errcode
from kfstate.wecom.intents import CHANGE

__all__ = ["Changed", "Check", "change_state", "key_of"]

Check = Callable[[Seen], None]
"""Called with what a change is decided on: raises an error where it is not to be made."""


@attrs.frozen(kw_only=True)
class Changed:
    """A change that WeCom accepted.

    ``code`` is for one message with ``send_msg_on_event``, '' where WeCom gave none. ``evidence``: ``api``, or
    ``reading`` where the reply was lost and the state was read since. ``repeated``: the key was known, and this is what
    became of it then. ``intent`` and ``position`` are entries of the log.
    """

    open_kfid: str
    external_userid: str
    service_state: KfServiceState
    servicer_userid: str | None
    code: str
    evidence: str
    intent: int
    position: int
    repeated: bool = False


def change_state(
    errand: Errand,
    to: KfServiceState | int,
    *,
    servicer: str | None = None,
    key: str | None = None,
    guard: Guard | None = None,
    check: Check | None = None,
) -> Changed:
    """Change the state of a conversation; see :meth:`kfstate.wecom.live.Live.change_state`.

    ``guard`` is called under the lock before the intent is recorded, ``check`` with what is decided on: the intent is
    recorded only where it still holds. What they raise is raised, and nothing is done.
    """
    change = _Change(errand, _target(to), servicer or "", key or "")
    if (change.to == KfServiceState.MANUAL) != bool(servicer):
        needed = "the servicer who gets the session" if change.to == KfServiceState.MANUAL else "none, outside of 3"
        raise ArgumentError(name="servicer", value=repr(servicer), allowed=needed)
    attempt = 0
    if key:
        for attempt in count():
            earlier = errand.earlier(change.intent(attempt))
            if earlier is None:
                break
            known = change.known(earlier)
            if known is not None:
                return known
    return change.make(change.intent(attempt), guard, check)


def key_of(key: str, attempt: int = 0) -> str:
    """Return the key under which the intent of an attempt stands in the log."""
    again = f"/again/{attempt}" if attempt else ""
    return f"change_state/{key}{again}" if key else ""


@attrs.frozen
class _Change:
    errand: Errand
    to: KfServiceState
    servicer: str
    key: str

    def intent(self, attempt: int) -> OwnEntry:
        """Return the intent; where nothing came of an attempt, the next one under the same key has its own."""
        return self.errand.entry(CHANGE, key=key_of(self.key, attempt), **self._facts)

    def known(self, earlier: Earlier) -> Changed | None:
        """Return what became of an earlier attempt; None: nothing, so that it may be made again."""
        intent = earlier.intent
        if (intent.external_userid, intent.to, intent.servicer_userid.casefold()) != (
            self.errand.external_userid, self.to, self.servicer.casefold(),
        ):  # fmt: skip
            told = f"one that is new, or the change to {intent.to} of {intent.external_userid} that has it"
            raise ArgumentError(name="key", value=repr(self.key), allowed=told)
        earlier = self.errand.settled(earlier)
        changed, refused = earlier.result("state_changed"), earlier.result("state_change_refused")
        if changed is not None:
            return self._changed(intent.position, changed.position, changed.code, "api", repeated=True)
        if refused is not None:
            if refused.errcode in REFUSALS:
                raise self._refused(refused)
            return None
        read = earlier.result("state_reading")
        state, servicer, position = (read.to, read.servicer_userid, read.position) if read else self._read(intent)
        if (state, servicer.casefold()) == (self.to, self.servicer.casefold()):
            return self._changed(intent.position, position, "", "reading", repeated=True)
        return None

    def make(self, intent: OwnEntry, guard: Guard | None, check: Check | None) -> Changed:
        """Decide, and make the call; what came in between makes us decide again."""
        errand, read = self.errand, False
        for left in reversed(range(AGAIN)):
            seen = errand.look()
            if seen.under_way is not None:
                errand.give_way(seen.under_way)
                continue
            if seen.managed is False:
                raise self._forbidden(NO_RIGHT, UNMANAGED, seen.service_state)
            if seen.doubt != "none" and not read:
                errand.read(why=f"asked to change it to {int(self.to)}, in doubt: {seen.doubt}")
                read = True
                continue
            if check is not None:
                check(seen)
            verdict = may(seen.state, self.to, servicer=self.servicer.casefold() or None, now=seen.now)
            if verdict.forbidden:
                raise self._forbidden(verdict.errcode, verdict.reason, seen.service_state)
            try:
                return self._call(errand.intend(TRANS, intent, seen, guard))
            except VersionConflictError:
                if not left:
                    raise
        raise AssertionError  # pragma: no cover (the last round returns or raises)

    @property
    def _facts(self) -> dict[str, object]:
        return {"service_state": int(self.to), "servicer_userid": self.servicer}

    def _call(self, intent: int) -> Changed:
        errand = self.errand
        try:
            with errand.calling(intent, "state_change_refused", TRANS, self._facts) as trying:
                reply = errand.site.client.trans_state(
                    errand.open_kfid, errand.external_userid, self.to, self.servicer
                )  # fmt: skip
        except WecomError as error:
            if error.errcode not in REFUSALS:
                raise
            refused = errand.at(intent).result("state_change_refused")
            if refused is None:  # pragma: no cover (it was recorded)
                raise
            if error.errcode in STATE_IS_WRONG:
                errand.heal(cause=refused.position, why=f"refused with {error.errcode}")
            raise self._refused(refused) from error
        except ReplyLostError:
            read = errand.heal(cause=intent, why="the reply to a change was lost")
            if read is None or (read.service_state, read.servicer_userid.casefold()) != (
                self.to, self.servicer.casefold(),
            ):  # fmt: skip
                raise
            return self._changed(intent, read.position, "", "reading")
        code = usable_code(reply.msg_code)
        position = errand.answered(trying, "state_changed", code=code, **self._facts)
        return self._changed(intent, position, code, "api")

    def _read(self, intent: Result) -> tuple[int | None, str, int]:
        read = self.errand.read(cause=intent.position, why="the reply to a change was lost")
        return read.service_state, read.servicer_userid, read.position

    def _changed(self, intent: int, position: int, code: str, evidence: str, *, repeated: bool = False) -> Changed:
        return Changed(
            open_kfid=self.errand.open_kfid, external_userid=self.errand.external_userid, service_state=self.to,
            servicer_userid=self.servicer or None, code=code, evidence=evidence, intent=intent, position=position,
            repeated=repeated,
        )  # fmt: skip

    def _forbidden(self, code: int | None, reason: str, state: KfServiceState) -> StateChangeRefusedError:
        return self._error(code, reason, state, local=True)

    def _refused(self, refusal: Result) -> StateChangeRefusedError:
        code = refusal.errcode or 0
        reason = f"{errcode(code).meaning} ({code})"
        return self._error(code, reason, self.errand.look().service_state, position=refusal.position)

    def _error(
        self, code: int | None, reason: str, state: KfServiceState, *, local: bool = False, position: int | None = None
    ) -> StateChangeRefusedError:
        return StateChangeRefusedError(
            open_kfid=self.errand.open_kfid, external_userid=self.errand.external_userid, to=int(self.to),
            servicer_userid=self.servicer, errcode=code, reason=reason, local=local, service_state=int(state),
            retry=errcode(code or 0).retry, position=position,
        )  # fmt: skip


def _target(to: KfServiceState | int) -> KfServiceState:
    try:
        return KfServiceState(to)
    except ValueError:
        allowed = ", ".join(f"{int(state)} {state.word}" for state in KfServiceState)
        raise ArgumentError(name="to", value=repr(to), allowed=allowed) from None
