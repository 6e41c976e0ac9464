"""Errors of the live side."""

import attrs

from kfstate.errors.general import KfstateError

__all__ = [
    "CallbackError",
    "ConcurrentChangeError",
    "RateLimitError",
    "ReplyError",
    "ReplyLostError",
    "SendRefusedError",
    "SettingsError",
    "StateChangeRefusedError",
    "UnreachableError",
    "WecomError",
]


@attrs.define(slots=False, str=False, eq=False)
class CallbackError(KfstateError):
    """What came in is no callback of WeCom for us.

    ``reason`` is one word for programs and logs (``signature``, ``decryption``, ``size`` …), ``detail`` a sentence for
    people, ``status`` the HTTP status to answer with. The answer says no more than that status: what exactly was wrong
    with a signature or a ciphertext is not told outside.
    """

    reason: str
    detail: str
    status: int

    def __str__(self) -> str:
        """Return the detail and the reason."""
        return f"{self.detail} ({self.reason})"


@attrs.define(slots=False, str=False, eq=False)
class SettingsError(KfstateError):
    """A setting is missing, unknown or wrong.

    ``source`` is the file, or the environment variable, that it came from; ``key`` its dotted name; ``value`` what
    stood there (masked where it is a secret, '' where nothing did); ``allowed`` what may stand there.
    """

    source: str
    key: str
    value: str
    allowed: str

    def __str__(self) -> str:
        """Return source, key, value and what is allowed as one sentence."""
        found = f" is {self.value}" if self.value else " is missing"
        return f"{self.source}: {self.key}{found}; it has to be {self.allowed}"


@attrs.define(slots=False, str=False, eq=False)
class WecomError(KfstateError):
    """WeCom refused a call: nothing was carried out.

    ``call`` is the call by its path below ``/cgi-bin/kf/``, ``errcode`` and ``errmsg`` are WeCom's own (with what is
    secret masked), ``name`` is ours for the code. ``meaning`` and ``remedy`` say what it means and what to do, those
    with ``_zh`` the same in Chinese; ``retry`` is a word of :data:`kfstate.wecom.errcodes.RETRIES`.
    """

    call: str
    errcode: int
    errmsg: str
    name: str = attrs.field(repr=False)
    retry: str
    meaning: str = attrs.field(repr=False)
    remedy: str = attrs.field(repr=False)
    meaning_zh: str = attrs.field(repr=False)
    remedy_zh: str = attrs.field(repr=False)

    def __str__(self) -> str:
        """Return call, code, meaning and remedy as one sentence, and WeCom's own words."""
        said = f" ({self.errmsg})" if self.errmsg else ""
        return f"{self.call} was refused with {self.errcode}: {self.meaning}; {self.remedy}{said}"


@attrs.define(slots=False, str=False, eq=False)
class RateLimitError(WecomError):
    """WeCom takes this call no more for a while; until ``retry_at`` the client does not make it.

    ``retry_at`` is in microseconds of the client's clock. ``local``: the call was not even made, because the one
    before it was refused.
    """

    retry_at: int
    local: bool

    def __str__(self) -> str:
        """Return the same as of any refusal, and whether this call was made."""
        return f"{super().__str__()}{'; not even tried before the limit has passed' if self.local else ''}"


@attrs.define(slots=False, str=False, eq=False)
class UnreachableError(KfstateError):
    """WeCom could not be reached, or a question to it got no answer: the call changed nothing."""

    call: str
    reason: str

    def __str__(self) -> str:
        """Return call and reason as one sentence."""
        return f"{self.call} got no answer: {self.reason}"


@attrs.define(slots=False, str=False, eq=False)
class ReplyLostError(KfstateError):
    """The reply of a call is lost: WeCom may have carried it out. Never repeat it blindly; read the state first."""

    call: str
    reason: str

    def __str__(self) -> str:
        """Return call and reason as one sentence."""
        return f"{self.call} may have been carried out, its reply is lost: {self.reason}"


@attrs.define(slots=False, str=False, eq=False)
class ReplyError(KfstateError):
    """What came back is no reply of WeCom.

    ``status`` is the HTTP status, ``path`` where it is wrong (``$.service_state``), ``value`` what stood there (cut,
    with what is secret masked), ``reason`` why.
    """

    call: str
    status: int
    path: str
    value: str
    reason: str

    def __str__(self) -> str:
        """Return call, reason, path and value as one sentence."""
        at = f" at {self.path}: {self.value}" if self.path else f": {self.value}"
        return f"{self.call} was answered by what is no reply (HTTP {self.status}), {self.reason}{at}"


@attrs.define(slots=False, str=False, eq=False)
class StateChangeRefusedError(KfstateError):
    """The state of a conversation was not changed: WeCom refused, or would have refused.

    ``errcode`` is WeCom's, None where it has none for this; ``local``: the call was not made, because what is known
    forbids it. ``position`` is where the refusal stands in the log (None: ``local``), ``service_state`` the state after
    it, read again where the refusal says that ours was wrong. ``retry`` is a word of
    :data:`kfstate.wecom.errcodes.RETRIES`: ``servicer``, for one, asks for another servicer.
    """

    open_kfid: str
    external_userid: str
    to: int
    servicer_userid: str
    errcode: int | None
    reason: str
    local: bool
    service_state: int
    retry: str
    position: int | None = None

    def __str__(self) -> str:
        """Return what was wanted of whom, and the reason, as one sentence."""
        made = "not made" if self.local else "refused"
        by = f" ({self.servicer_userid})" if self.servicer_userid else ""
        return f"{self.external_userid} at {self.open_kfid}: the change to {self.to}{by} was {made}: {self.reason}"


@attrs.define(slots=False, str=False, eq=False)
class SendRefusedError(KfstateError):
    """A message was not sent: WeCom refused, or would have refused.

    ``via`` is ``send_msg`` or ``send_msg_on_event``, ``msgid`` the message's; the rest as of
    :class:`StateChangeRefusedError`.
    """

    open_kfid: str
    external_userid: str
    via: str
    msgid: str
    errcode: int | None
    reason: str
    local: bool
    service_state: int
    retry: str
    position: int | None = None

    def __str__(self) -> str:
        """Return whom it was for, and the reason, as one sentence."""
        made = "not made" if self.local else "refused"
        return f"{self.external_userid} at {self.open_kfid}: {self.via} was {made}: {self.reason}"


@attrs.define(slots=False, str=False, eq=False)
class ConcurrentChangeError(KfstateError):
    """Somebody else is about to do the same, or has just changed this conversation: decide again.

    ``intent`` is the position of the other's intent, ``kind`` its kind, ``actor`` who intends it, ``to`` and
    ``servicer_userid`` what; ``since`` is when it was recorded (microseconds).
    """

    open_kfid: str
    external_userid: str
    intent: int
    kind: str
    actor: str
    to: int | None
    servicer_userid: str
    since: int

    def __str__(self) -> str:
        """Return who intends what, as one sentence."""
        what = "a message" if self.to is None else f"a change to {self.to}"
        return f"{self.external_userid} at {self.open_kfid}: {self.actor} intends {what} (entry {self.intent})"
