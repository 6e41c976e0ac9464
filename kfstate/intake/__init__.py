"""The way in, between the engine and the stages: sources → batches → entries, folded in the same transaction."""

from kfstate.intake.appends import Appends
from kfstate.intake.batches import CursorMove, is_cursor
from kfstate.intake.ingesting import Progress, ingest
from kfstate.intake.recording import ACTOR, activate, active_machine, expire_due, record, record_one
from kfstate.intake.report import Problem, Report
from kfstate.intake.sources import Source

__all__ = [
    "ACTOR",
    "Appends",
    "CursorMove",
    "Problem",
    "Progress",
    "Report",
    "Source",
    "activate",
    "active_machine",
    "expire_due",
    "ingest",
    "is_cursor",
    "record",
    "record_one",
]
