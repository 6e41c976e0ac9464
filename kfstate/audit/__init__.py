"""What an auditor asks: what the state was, as it was known then, why, and whether the record is whole.

And what is done about what the log knows of people: erasing, retention, legal holds, receipts, the access log.
"""

from kfstate.audit.face import Audit
from kfstate.audit.history.as_of import AsOf, Change, StateThen
from kfstate.audit.history.explaining import Explained, KeptStep, Tried
from kfstate.audit.history.timeline import Stretch, Timeline
from kfstate.audit.people.access import Access
from kfstate.audit.people.erasing import Repeated
from kfstate.audit.people.holding import Hold, Sealed
from kfstate.audit.people.receipts import Receipt
from kfstate.audit.people.retaining import Retained
from kfstate.audit.proofs.bundle import Proof
from kfstate.audit.proofs.checking import CheckedProof, check_proof
from kfstate.audit.proofs.heads import TreeHead
from kfstate.audit.trials.changes import FoldedAs, SessionChange
from kfstate.audit.trials.face import Comparison
from kfstate.audit.trials.gate import Gate
from kfstate.audit.trials.kpis import Kpis
from kfstate.audit.trials.places import Divergence
from kfstate.audit.trials.spreading import Spreading
from kfstate.audit.trials.what_if import WhatIf

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
    "Repeated",
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
