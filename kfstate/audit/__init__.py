"""What an auditor asks: what the state was, as it was known then, why, and whether the record is whole."""

from kfstate.audit.as_of import AsOf, Change, StateThen
from kfstate.audit.face import Audit

__all__ = ["AsOf", "Audit", "Change", "StateThen"]
