"""What an engine offers to auditors: ``engine.audit``."""

from kfstate.audit.asking import Asking
from kfstate.projections.building import Site

__all__ = ["Audit"]


class Audit(Asking):
    """Questions of auditors to the log of an engine: what was known when, why, and whether it is whole."""

    def __init__(self, site: Site, *, corp_id: str = "") -> None:
        """Look at the log of this database."""
        self._site = site
        self._corp_id = corp_id
