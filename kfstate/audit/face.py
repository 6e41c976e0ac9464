"""What an engine offers to auditors: ``engine.audit``."""

from datetime import datetime

from sqlalchemy import Connection

from kfstate.audit import as_of as asking
from kfstate.audit.as_of import AsOf
from kfstate.audit.knowing import KnownAt, machine_at, machine_named, moment, position_at
from kfstate.errors import UnknownConversationError
from kfstate.machine import Machine
from kfstate.projections.building import Site
from kfstate.store.read import find_stream
from kfstate.store.rows import Stream, StreamKey

__all__ = ["Audit"]


class Audit:
    """Questions of auditors to the log of an engine: what was known when, why, and whether it is whole."""

    def __init__(self, site: Site, *, corp_id: str = "") -> None:
        """Look at the log of this database."""
        self._site = site
        self._corp_id = corp_id

    def as_of(
        self,
        open_kfid: str,
        external_userid: str,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        machine: Machine | str | None = None,
    ) -> AsOf:
        """Return the state of a conversation at a time, as it was known at a time or position (P8).

        ``at`` defaults to now, ``known_at`` to all that the log has. ``machine`` is one that folds, or the version or
        fingerprint of one that the log knows; by default that which was live at ``known_at``. Raises
        :class:`~kfstate.errors.UnknownConversationError`, :class:`~kfstate.errors.MachineError`.
        """
        second = self._site.clock.now() if at is None else moment("at", at)
        with self._site.database.reading() as conn:
            stream = self._stream(conn, open_kfid, external_userid)
            head = position_at(conn, None)
            known = position_at(conn, known_at)
            return asking.as_of(
                conn, stream, external_userid, at=second, known=known, head=head,
                machine=self._machine(conn, machine, known.position),
                machine_now=self._machine(conn, machine, head.position),
            )  # fmt: skip

    def _machine(self, conn: Connection, machine: Machine | str | None, position: int) -> Machine:
        if isinstance(machine, Machine):
            return machine
        if machine is not None:
            return machine_named(conn, machine)
        return machine_at(conn, position, corp_id=self._corp_id)

    def _stream(self, conn: Connection, open_kfid: str, external_userid: str) -> Stream:
        stream = find_stream(conn, StreamKey(self._corp_id, "conversation", open_kfid, external_userid))
        if stream is None:
            raise UnknownConversationError(open_kfid, external_userid)
        return stream
