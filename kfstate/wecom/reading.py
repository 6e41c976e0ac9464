"""Reading the state of one conversation, and recording what WeCom said."""

from typing import Literal

import attrs

from kfstate.clock import SECOND
from kfstate.errors import EnvelopeError, ReplyError, VersionConflictError
from kfstate.queries.history import STEPS, step_views
from kfstate.queries.views import StepView
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import query
from kfstate.store.envelope import OwnEntry
from kfstate.store.read import find_stream
from kfstate.store.rows import Expected, StreamKey
from kfstate.store.streams import last_of
from kfstate.wecom.earlier import concurrent, read_earlier
from kfstate.wecom.site import Site

__all__ = ["Reading", "read_state"]

_UNDER_WAY = (
    "SELECT i.position FROM kf_entry i WHERE i.stream = ? AND i.sort_second >= ? "
    "AND i.kind IN ('state_change_intended', 'message_intended') AND NOT EXISTS "
    "(SELECT 1 FROM kf_entry r WHERE r.stream = i.stream AND r.position > i.position AND r.cause = i.position) LIMIT 1"
)


@attrs.frozen(kw_only=True)
class Reading:
    """What ``service_state/get`` said, and what folding it did.

    ``step`` is None where the projections are behind.
    """

    open_kfid: str
    external_userid: str
    service_state: int
    servicer_userid: str
    position: int
    step: StepView | None

    @property
    def outcome(self) -> Literal["confirmed", "repaired", "unknown"]:
        """Whether it is what the log said, or a change was missed."""
        if self.step is None or self.step.outcome == "unknown":
            return "unknown"
        return "confirmed" if self.step.outcome == "confirmed" else "repaired"


def read_state(
    site: Site,
    open_kfid: str,
    external_userid: str,
    *,
    actor: str,
    reason: str = "",
    request_id: str = "",
    cause: int | None = None,
    aside: bool = False,
    tries: int = 3,
) -> Reading:
    """Ask WeCom for the state of a conversation, and record it as a ``state_reading``.

    What is recorded of the conversation while WeCom answers may be newer than the answer: then it is asked again.
    ``aside``: not while a call of our own is under way there, for nobody could tell which of the two came first.

    Raises what the client does; :class:`~kfstate.errors.ConcurrentChangeError` where such a call is under way;
    :class:`~kfstate.errors.VersionConflictError` where all ``tries`` came to nothing;
    :class:`~kfstate.errors.ReplyError` where WeCom said what can be no state.
    """
    while True:
        tries -= 1
        expected, latest = _known(site, open_kfid, external_userid, aside=aside)
        # As of when it was asked, by WeCom's clock: whatever happens after that is folded after it.
        asked = [site.wecom_now()]
        with site.client._calls.telling(lambda asked=asked: asked.append(site.wecom_now())):  # type: ignore[misc]  # noqa: SLF001
            reply = site.client.get_state(open_kfid, external_userid)
        state = -1 if reply.service_state is None else int(reply.service_state)
        servicer = (reply.servicer_userid or "") if state == KfServiceState.MANUAL else ""
        try:
            entry = OwnEntry(
                kind="state_reading", actor=actor, open_kfid=open_kfid, external_userid=external_userid,
                occurred_at=max(asked[-1], latest + 1), reason=reason, request_id=request_id, service_state=state,
                servicer_userid=servicer, cause=cause,
            )  # fmt: skip
        except EnvelopeError as error:
            if error.path not in {"$.service_state", "$.servicer_userid"}:
                raise
            raise ReplyError("service_state/get", 200, error.path, str(error.value)[:200], error.reason) from error
        try:
            position = site.engine.record(entry, expected=expected).position
        except VersionConflictError:
            if tries <= 0:
                raise
        else:
            return Reading(
                open_kfid=open_kfid, external_userid=external_userid, service_state=state, servicer_userid=servicer,
                position=position, step=_step(site, position),
            )  # fmt: skip


def _known(site: Site, open_kfid: str, external_userid: str, *, aside: bool) -> tuple[Expected, int]:
    """Return the version of a conversation, and its latest time in microseconds."""
    with site.database.reading() as conn:
        stream = find_stream(conn, StreamKey(site.corp_id, "conversation", open_kfid, external_userid))
        if stream is None:
            return "new", -1
        version, latest = last_of(conn, stream.id)
        since = site.clock.now() // SECOND - round(site.patience)
        calling = query(conn, _UNDER_WAY, (stream.id, since)) if aside else []
        others = [read_earlier(conn, position).intent for (position,) in calling]
    for other in others:
        raise concurrent(open_kfid, external_userid, other)
    return version or "new", latest


def _step(site: Site, position: int) -> StepView | None:
    with site.database.reading() as conn:
        rows = query(conn, f"{STEPS}WHERE s.position = ? ORDER BY s.known_from DESC LIMIT 1", (position,))
        if not rows:
            return None
        return step_views(conn, rows)[position, rows[0][20]][-1]
