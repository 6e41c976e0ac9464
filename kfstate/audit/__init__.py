"""What an auditor asks: what the state was, as it was known then, why, and whether the record is whole.

And what is done about what the log knows of people: erasing, retention, legal holds, receipts, the access log.
"""

from kfstate.audit.access import Access
from kfstate.audit.as_of import AsOf, Change, StateThen
from kfstate.audit.bundle import Proof
from kfstate.audit.changes import FoldedAs, SessionChange
from kfstate.audit.checking import CheckedProof, check_proof
from kfstate.audit.explaining import Explained, KeptStep, Tried
from kfstate.audit.face import Audit
from kfstate.audit.gate import Gate
from kfstate.audit.heads import TreeHead
from kfstate.audit.holding import Hold, Sealed
from kfstate.audit.kpis import Kpis
from kfstate.audit.places import Divergence
from kfstate.audit.receipts import Receipt
from kfstate.audit.retaining import Retained
from kfstate.audit.spreading import Spreading
from kfstate.audit.timeline import Stretch, Timeline
from kfstate.audit.trials import Comparison
from kfstate.audit.what_if import WhatIf

__all__ = [
    "Access",
    "AsOf",
    "Audit",
    "Change",
    "CheckedProof",
    "Comparison",
    "Divergence",
    "Explained",
    "FoldedAs",
    "Gate",
    "Hold",
    "KeptStep",
    "Kpis",
    "Proof",
    "Receipt",
    "Retained",
    "Sealed",
    "SessionChange",
    "Spreading",
    "StateThen",
    "Stretch",
    "Timeline",
    "TreeHead",
    "Tried",
    "WhatIf",
    "check_proof",
]
