"""What an auditor asks: what the state was, as it was known then, why, and whether the record is whole.

And what is done about what the log knows of people: erasing, retention, legal holds, receipts, the access log.
"""

from kfstate.audit.access import Access
from kfstate.audit.as_of import AsOf, Change, StateThen
from kfstate.audit.bundle import Proof
from kfstate.audit.checking import CheckedProof, check_proof
from kfstate.audit.explaining import Explained, KeptStep, Tried
from kfstate.audit.face import Audit
from kfstate.audit.heads import TreeHead
from kfstate.audit.holding import Hold, Sealed
from kfstate.audit.receipts import Receipt
from kfstate.audit.retaining import Retained
from kfstate.audit.timeline import Stretch, Timeline

__all__ = [
    "Access",
    "AsOf",
    "Audit",
    "Change",
    "CheckedProof",
    "Explained",
    "Hold",
    "KeptStep",
    "Proof",
    "Receipt",
    "Retained",
    "Sealed",
    "StateThen",
    "Stretch",
    "Timeline",
    "TreeHead",
    "Tried",
    "check_proof",
]
