"""What an auditor asks: what the state was, as it was known then, why, and whether the record is whole."""

from kfstate.audit.as_of import AsOf, Change, StateThen
from kfstate.audit.explaining import Explained, KeptStep, Tried
from kfstate.audit.face import Audit
from kfstate.audit.timeline import Stretch, Timeline

__all__ = ["AsOf", "Audit", "Change", "Explained", "KeptStep", "StateThen", "Stretch", "Timeline", "Tried"]
