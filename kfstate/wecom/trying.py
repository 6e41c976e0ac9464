"""A call of ours while it is under way: when it was asked, and whether somebody has given it up meanwhile."""

import attrs

from kfstate.clock import SECOND
from kfstate.errors import UnreachableError
from kfstate.store.dialect import query
from kfstate.wecom.earlier import Result, concurrent
from kfstate.wecom.site import RETRYING, Site

__all__ = ["Trying"]

_SINCE = (
    "SELECT MAX(position), MAX(CASE WHEN cause = ? THEN position END), "
    "MAX(CASE WHEN kind = 'state_reading' THEN position END) FROM kf_entry "
    "WHERE stream = (SELECT stream FROM kf_entry WHERE position = ?) AND sort_second >= ? AND position > ?"
)


@attrs.define(kw_only=True)
class Trying:
    """One call: ``asked`` is when the request went out that was answered, in microseconds by WeCom's clock.

    ``known`` is the last entry of the conversation that was there when it began.
    """

    site: Site
    open_kfid: str
    call: str
    intent: Result
    known: int
    began: int
    asked: int

    @classmethod
    def of(cls, site: Site, open_kfid: str, call: str, intent: Result, *, again: bool) -> "Trying":
        """Begin; ``again``: what became of the intent before is known, and does not count."""
        now = site.clock.now()
        trying = cls(
            site=site, open_kfid=open_kfid, call=call, intent=intent, known=intent.position, began=now, asked=now
        )  # fmt: skip
        trying.asked = trying._now()
        if again:
            trying.known = max(intent.position, trying._since()[0])
        return trying

    def goes_out(self) -> None:
        """Take note that a request goes out now.

        Raises :class:`~kfstate.errors.ConcurrentChangeError` where somebody has given the call up, and
        :class:`~kfstate.errors.UnreachableError` where they may do so before it is answered: it is not made then.
        """
        intent = self.intent
        if self._since()[1]:
            raise concurrent(self.open_kfid, intent.external_userid, intent)
        waited = (self.site.clock.now() - self.began) / SECOND
        if waited > RETRYING:
            raise UnreachableError(self.call, f"it could not be asked for {waited:.0f} seconds, which is too late")
        self.asked = self._now()

    def overtaken(self) -> bool:
        """Tell whether the state was read, or the call given up, while it was under way."""
        _, settled, read = self._since()
        return bool(settled or read)

    def _since(self) -> tuple[int, int, int]:
        """Return the last entry of the conversation since it began, the last that is a result, and the last reading."""
        at = self.intent.position
        with self.site.database.reading() as conn:
            found = query(conn, _SINCE, (at, at, self.intent.occurred_at // SECOND, self.known))[0]
        latest, settled, read = (0 if one is None else int(one) for one in found)
        return latest, settled, read

    def _now(self) -> int:
        """Return the time by WeCom's clock, after the intent in any case."""
        return max(self.site.wecom_now(), self.intent.occurred_at + 1)
