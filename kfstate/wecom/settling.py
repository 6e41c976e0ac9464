"""Intents that nobody will settle any more: their process ended between the call and the record of its result."""

import logging

import attrs

from kfstate.errors import KfstateError
from kfstate.wecom.earlier import read_earlier
from kfstate.wecom.errand import Errand, settle
from kfstate.wecom.intents import Intent, Intents
from kfstate.wecom.site import Site

__all__ = ["Settled", "settle_intents"]

_logger = logging.getLogger("kfstate")


@attrs.frozen
class Settled:
    """An intent whose result was never recorded; ``error`` says why the state could not be read back (yet)."""

    intent: Intent
    error: str = ""


def settle_intents(site: Site, intents: Intents) -> list[Settled]:
    """Read the state back of every conversation of which a call was begun and never ended; return what they were.

    A call that may still be under way is left alone. Where the state cannot be read, it stays in doubt.
    """
    with site.database.reading() as conn:
        open_ones = intents.read(conn).open.values()
        abandoned = [one for one in open_ones if intents.is_abandoned(conn, one.position, one.recorded_at)]
        # Who was erased since must not come back with a reading.
        abandoned = [one for one in abandoned if read_earlier(conn, one.position).intent.external_userid]
    settled: list[Settled] = []
    for intent in abandoned:
        errand = Errand(
            site=site, intents=intents, open_kfid=intent.open_kfid, external_userid=intent.external_userid
        )  # fmt: skip
        try:
            if settle(errand, errand.at(intent.position)):
                settled.append(Settled(intent))
        except KfstateError as error:
            told = "%s at %s: what became of entry %d is unknown, and the state cannot be read: %s"
            _logger.warning(told, intent.external_userid, intent.open_kfid, intent.position, error)
            settled.append(Settled(intent, str(error)))
    return settled
