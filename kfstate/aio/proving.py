"""The part of the audits of an AsyncEngine that proves."""

from kfstate.aio.greenlets import inside
from kfstate.audit.face import Audit
from kfstate.audit.proofs.bundle import Proof
from kfstate.audit.proofs.heads import TreeHead
from kfstate.projections.folding import Progress

__all__ = ["AsyncProving"]


class AsyncProving:
    """As :class:`kfstate.audit.proofs.face.Proving`."""

    _audit: Audit

    async def head(self, position: int | None = None, *, progress: Progress | None = None) -> TreeHead:
        """As :meth:`kfstate.audit.face.Audit.head`."""
        return await inside(self._audit.head, position, progress=progress)

    async def prove(
        self,
        open_kfid: str,
        external_userid: str,
        *,
        position: int | None = None,
        payloads: bool = True,
        progress: Progress | None = None,
    ) -> Proof:
        """As :meth:`kfstate.audit.face.Audit.prove`."""
        return await inside(
            self._audit.prove, open_kfid, external_userid, position=position, payloads=payloads, progress=progress
        )
