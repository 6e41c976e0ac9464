"""Check a proof of one conversation: pure, without the database that it is from."""

import struct
from collections.abc import Iterable, Mapping

import attrs

from kfstate.audit.proofs.bundle import Evidence, Name, Proof, read
from kfstate.audit.proofs.heads import TreeHead
from kfstate.store import canonical as form
from kfstate.store.merkle import root_of

__all__ = ["CheckedProof", "check_proof"]

_MOST = 1 << 62


@attrs.frozen
class CheckedProof:
    """What a proof proves, or why it does not.

    ``problem`` is what does not hold, or None. ``expected`` says whether the head is the one that was published; None:
    nobody said which one that is, so that the proof proves nothing but that it fits itself.
    """

    open_kfid: str
    external_userid: str | None
    """None where the name was erased: the proof holds, and nobody can tell whose it is."""
    entries: int
    """Versions 1 to this one of the conversation are in the log."""
    first: int
    last: int
    """Positions of the first entry and of the last one."""
    without_payload: int
    """How many entries have no payload here: erased, aged out, or not told."""
    head: str
    expected: bool | None
    problem: str | None

    @property
    def holds(self) -> bool:
        """Whether every entry is in the log whose head was published."""
        return self.problem is None and self.expected is True


def check_proof(text: str, expect: TreeHead | str | None = None) -> CheckedProof:
    """Check what ``str`` made of a :class:`~kfstate.audit.Proof`; ``expect`` is the head that was published.

    What is no proof has a ``problem``, too. Raises ValueError where ``expect`` is no head.
    """
    published = TreeHead.parse(expect) if isinstance(expect, str) else expect
    try:
        proof = read(text)
    except ValueError as error:
        return CheckedProof("", None, 0, 0, 0, 0, "", None, str(error))
    positions = [entry.row.position for entry in proof.entries]
    names = {name.id: name for name in proof.names}
    customer = names.get(proof.stream.customer)
    expected = None if published is None else published == proof.head
    problem = _problem(proof, names)
    if problem is None and expected is False:
        problem = f"the head is not the one that was published: {published}"
    return CheckedProof(
        open_kfid=proof.stream.open_kfid,
        external_userid=None if customer is None else customer.value,
        entries=len(positions),
        first=positions[0] if positions else 0,
        last=positions[-1] if positions else 0,
        without_payload=sum(entry.payload is None for entry in proof.entries),
        head=str(proof.head),
        expected=expected,
        problem=problem,
    )


def _problem(proof: Proof, names: Mapping[int, Name]) -> str | None:
    try:
        for name in names.values():
            if name.value is not None and not form.proves(name.salt, name.value.encode(), name.commitment):
                return f"name {name.id} is not what was committed to"
        leaves = _leaves(proof.entries, names, _prefix(proof, names))
        if proof.head.position > _MOST:
            return "no log has so many entries"
        root = root_of(proof.head.position, leaves, proof.nodes)
    except KeyError as error:
        return f"name {error} is missing"
    except (ValueError, TypeError, AttributeError, struct.error) as error:
        return str(error)
    return None if root.hex() == proof.head.root else "the entries do not lead to the root of the head"


def _prefix(proof: Proof, names: Mapping[int, Name]) -> bytes:
    stream = proof.stream
    customer, servicer = (names[id_].commitment if id_ else None for id_ in (stream.customer, stream.servicer))
    return form.stream_prefix(stream.corp_id, stream.kind, stream.open_kfid, customer, servicer)


def _leaves(entries: Iterable[Evidence], names: Mapping[int, Name], prefix: bytes) -> dict[int, bytes]:
    """Return number → leaf. Raises ValueError where an entry is not what its leaf was made of, or one is left out."""
    leaves: dict[int, bytes] = {}
    last = 0
    for version, entry in enumerate(entries, 1):
        row = entry.row
        if row.form != form.FORM:
            raise ValueError(f"{row.position}: form {row.form} is not known to this release")
        if row.version != version or row.position <= last:
            raise ValueError(f"{row.position}: version {version} of the conversation is missing")
        if entry.payload is not None and not form.proves(*entry.payload, row.commitment):
            raise ValueError(f"{row.position}: the payload is not what was committed to")
        from_, to = (None if id_ is None else names[id_].commitment for id_ in (row.servicer_from, row.servicer_to))
        leaf = form.leaf(form.canonical(prefix, row, from_, to))
        if leaf != row.leaf:
            raise ValueError(f"{row.position}: the entry is not what its leaf was made of")
        last = row.position
        leaves[row.position - 1] = leaf
    return leaves
