"""The part of :class:`~kfstate.audit.face.Audit` that proves: the log stands for itself, wherever it is looked at."""

from kfstate.audit.proofs import heads, proof
from kfstate.audit.proofs.bundle import Proof
from kfstate.audit.proofs.heads import TreeHead
from kfstate.errors import UnknownConversationError
from kfstate.projections.building import Site
from kfstate.projections.folding import Progress
from kfstate.store.read import find_stream
from kfstate.store.rows import StreamKey

__all__ = ["Proving"]


class Proving:
    """Heads to be published, and proofs against them."""

    _site: Site
    _corp_id: str

    def head(self, position: int | None = None, *, progress: Progress | None = None) -> TreeHead:
        """Return what stands for the whole log up to a position (default: its last): to be published elsewhere.

        Reads every leaf up to there. Raises :class:`~kfstate.errors.ArgumentError`,
        :class:`~kfstate.errors.CorruptLogError`.
        """
        with self._site.database.reading() as conn:
            return heads.head(conn, position, progress=progress)

    def prove(
        self,
        open_kfid: str,
        external_userid: str,
        *,
        position: int | None = None,
        payloads: bool = True,
        progress: Progress | None = None,
    ) -> Proof:
        """Return a proof of all entries of a conversation against the head at a position (default: the last).

        ``payloads``: with what was said, else with commitments to it only. :func:`~kfstate.audit.check_proof` checks
        it without the log. Raises :class:`~kfstate.errors.UnknownConversationError`,
        :class:`~kfstate.errors.ArgumentError`, :class:`~kfstate.errors.CorruptLogError`.
        """
        with self._site.database.reading() as conn:
            stream = find_stream(conn, StreamKey(self._corp_id, "conversation", open_kfid, external_userid))
            if stream is None:
                raise UnknownConversationError(open_kfid, external_userid)
            return proof.prove(conn, stream, position=position, payloads=payloads, progress=progress)
