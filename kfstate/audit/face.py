"""What an engine offers to auditors: ``engine.audit``."""

from kfstate.audit.history.face import Asking
from kfstate.audit.people.face import Keeping
from kfstate.audit.people.receipts import Record
from kfstate.audit.proofs.face import Proving
from kfstate.audit.trials.face import Trials
from kfstate.projections.building import Site

__all__ = ["Audit"]


class Audit(Asking, Keeping, Proving, Trials):
    """Questions of auditors to the log of an engine: what was known when, why, and whether it is whole."""

    def __init__(self, site: Site, record: Record, *, corp_id: str = "") -> None:
        """Look at the log of this database; ``record`` appends receipts to it."""
        self._site = site
        self._corp_id = corp_id
        self._record = record
