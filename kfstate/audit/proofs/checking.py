"""Check a proof of one conversation: pure, without the database that it is from."""

from collections.abc import Mapping

import attrs

from kfstate.audit.proofs.bundle import Name, Proof, read
from kfstate.audit.proofs.heads import TreeHead
from kfstate.store import canonical as form
from kfstate.store.merkle import root_of

__all__ = ["CheckedProof", "check_proof"]

_MOST = 1 << 62


@attrs.frozen
class CheckedProof:
    """What a proof proves, or why it does not. Unless it ``holds``, all else is only what the file says.

    ``problem`` is what does not hold, or None. ``expected`` says whether the head is the one that was published; None:
    nobody said which one that is, so that the proof proves nothing but that it fits itself.
    """

    open_kfid: str
    external_userid: str | None
    """None where the name was erased, or is not told: the proof holds, and does not show whose it is."""
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
    stream = proof.stream
    if stream.kind != "conversation" or stream.customer < 1 or stream.servicer != 0:
        return "it is no conversation of a customer"
    if proof.head.position > _MOST:
        return "no log has so many entries"
    try:
        _check_names(proof)
        root = root_of(proof.head.position, _leaves(proof, names), proof.nodes)
    except ValueError as error:
        return str(error)
    return None if root.hex() == proof.head.root else "the entries do not lead to the root of the head"


def _check_names(proof: Proof) -> None:
    """Raise ValueError unless there are the names that stream and entries speak of, each once, as committed to.

    No hash covers their numbers: one that nothing speaks of could be anybody, one with two numbers would be two people.
    """
    ids = [name.id for name in proof.names]
    spoken = {id_ for one in proof.entries for id_ in (one.row.servicer_from, one.row.servicer_to) if id_ is not None}
    spoken.add(proof.stream.customer)
    for id_ in sorted(spoken ^ set(ids)):
        raise ValueError(f"name {id_} is missing" if id_ in spoken else f"nothing speaks of name {id_}")
    if min(ids) < 1 or len(set(ids)) < len(ids) or len({name.commitment for name in proof.names}) < len(ids):
        raise ValueError("a name stands there twice, or has no number")
    for name in proof.names:
        if name.value is not None and not form.proves(name.salt, name.value.encode(), name.commitment):
            raise ValueError(f"name {name.id} is not what was committed to")


def _leaves(proof: Proof, names: Mapping[int, Name]) -> dict[int, bytes]:
    """Return number → leaf. Raises ValueError where an entry is not what its leaf was made of, or one is left out."""
    stream = proof.stream
    prefix = form.stream_prefix(stream.corp_id, stream.kind, stream.open_kfid, names[stream.customer].commitment, None)
    leaves: dict[int, bytes] = {}
    last = recorded = 0
    for version, entry in enumerate(proof.entries, 1):
        row = entry.row
        if row.form != form.FORM:
            raise ValueError(f"{row.position}: form {row.form} is not known to this release")
        if row.stream != stream.id:
            raise ValueError(f"{row.position}: the entry is of another conversation")
        if row.version != version or row.position <= last:
            raise ValueError(f"{row.position}: version {version} of the conversation is missing")
        if row.recorded_at < recorded:
            raise ValueError(f"{row.position}: it was recorded before the entry before it")
        if entry.payload is not None and not form.proves(*entry.payload, row.commitment):
            raise ValueError(f"{row.position}: the payload is not what was committed to")
        from_, to = (None if id_ is None else names[id_].commitment for id_ in (row.servicer_from, row.servicer_to))
        leaf = form.leaf(form.canonical(prefix, row, from_, to))
        if leaf != row.leaf:
            raise ValueError(f"{row.position}: the entry is not what its leaf was made of")
        last, recorded = row.position, row.recorded_at
        leaves[row.position - 1] = leaf
    return leaves
