"""What an engine does before it is used: set up or check the schema, activate the machine, catch up."""

import logging

from kfstate import intake
from kfstate.clock import Clock
from kfstate.errors import CorruptLogError, StoreError
from kfstate.machine import MACHINE, definition
from kfstate.projections import live
from kfstate.store import schema
from kfstate.store.database import Database

__all__ = ["prepare"]

_logger = logging.getLogger("kfstate")


def prepare(database: Database, *, clock: Clock, corp_id: str) -> None:
    """Make a database ready: its schema, the machine of this release, its projections.

    A log that cannot be folded opens, too, with its projections behind: what it holds can still be verified. Raises
    :class:`~kfstate.errors.SchemaError`.
    """
    with database.reading() as conn:
        ready = schema.current(conn) == schema.head() and intake.active_machine(conn, corp_id) is not None
    if not ready:
        with database.writing() as conn:
            schema.upgrade(conn, now=clock.now())
    with database.reading() as conn:
        schema.check(conn)
        activated = intake.active_machine(conn, corp_id) == MACHINE.fingerprint
        lag = live.behind(conn)
    if not activated:
        with database.writing() as conn:
            intake.activate(conn, definition(MACHINE.spec), now=clock.now(), corp_id=corp_id)
    try:
        while lag is not None and lag > 0:
            with database.writing() as conn:
                lag = live.catch_up(conn)
    except Exception as error:
        if isinstance(error, StoreError) and not isinstance(error, CorruptLogError):
            raise
        _apart(f"the log cannot be folded ({error!r})", lag)
        return
    if lag is None or lag < 0:
        reason = "another machine folded the projections" if lag is None else "the log ends before its projections"
        _apart(reason, lag)


def _apart(reason: str, lag: int | None) -> None:
    _logger.warning("%s: verify, then rebuild", reason, extra={"action": "projections_apart", "lag": lag})
