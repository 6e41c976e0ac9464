"""A proof of one conversation holds against a published head, without the log, and whatever is changed in it shows."""

import hashlib
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfstate import Engine
from kfstate.audit import Proof, TreeHead, check_proof
from kfstate.audit.proofs import heads
from kfstate.errors import ArgumentError, CorruptLogError, UnknownConversationError
from kfstate.store.canonical import INTEGERS
from kfstate.store.merkle import Tree, parts, root_of
from kfstate.store.rows import ENTRY_COLUMNS
from kfstate.testing import FrozenClock, page
from tests.engine.story import KF, USER, change, own, said, wrote
from tests.engine.worlds import NOW
from tests.store import behind
from tests.store.behind import unguarded

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite", "pg18", "mariadb")


def rfc_root(leaves: list[bytes]) -> bytes:
    """Return the root as RFC 9162, section 2.1.1, defines it, of leaves that are hashed already."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + rfc_root(leaves[:k]) + rfc_root(leaves[k:])).digest()


def hashed(size: int) -> list[bytes]:
    """Return so many leaves."""
    return [hashlib.sha256(b"\0" + bytes([number])).digest() for number in range(size)]


@pytest.mark.databases("sqlite")
def test_the_tree_is_that_of_the_rfc() -> None:
    """Whatever its size, and in whatever pieces its leaves come."""
    for size in range(40):
        leaves = hashed(size)
        for piece in (1, 3, 8, 50):
            tree = Tree()
            for first in range(0, size, piece):
                tree.extend(leaves[first : first + piece])
            assert rfc_root(leaves) == tree.root()


@pytest.mark.databases("sqlite")
def test_known_roots() -> None:
    """The roots of the test vectors of Certificate Transparency (RFC 6962, reference implementation)."""
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [hashlib.sha256(b"\0" + bytes.fromhex(text)).digest() for text in data]
    tree = Tree()
    tree.extend(leaves)
    assert "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" == tree.root().hex()


@pytest.mark.databases("sqlite")
@given(st.integers(1, 60).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), min_size=1))))
def test_some_leaves_lead_to_the_root(drawn: tuple[int, set[int]]) -> None:
    """Any leaves, with the roots of the subtrees between them; with one node changed, left out or added they do not."""
    size, chosen = drawn
    leaves, nodes = hashed(size), []
    for first, end in parts(size, sorted(chosen)):
        if first not in chosen:
            nodes.append(rfc_root(leaves[first:end]))
    told = {number: leaves[number] for number in chosen}
    assert rfc_root(leaves) == root_of(size, told, nodes)
    if nodes:
        assert rfc_root(leaves) != root_of(size, told, [*nodes[:-1], bytes(32)])
        with pytest.raises(ValueError, match="a node is missing"):
            root_of(size, told, nodes[:-1])
    with pytest.raises(ValueError, match="too many"):
        root_of(size, told, [*nodes, bytes(32)])
    with pytest.raises(ValueError, match="outside"):
        root_of(size, told | {size: bytes(32)}, nodes)


def filled(engine: Engine) -> None:
    """Give a log some conversations."""
    people = [f"wm{number}" for number in range(1, 6)]
    for at in (0, 60):
        elements = [said(at, user=user, content=f"{user}: 你好") for user in people]
        elements += [change(at + 5, 1 if at == 0 else 2, user=USER, **({"new": "li"} if at == 0 else SWAP))]
        elements += [wrote(at + 10, "li", user=user) for user in people[:3]]
        engine.ingest(page(elements))
    engine.record(own(90, "state_reading", service_state=3, servicer_userid="wang"))


SWAP = {"old": "li", "new": "wang"}


def proved(engine: Engine, **how: Any) -> tuple[TreeHead, Proof]:
    """Return the head as it is published, and the proof of the first conversation."""
    return engine.audit.head(how.get("position")), engine.audit.prove(KF, USER, **how)


def test_a_proof_holds(engine: Engine) -> None:
    """On every database: all entries of the conversation, with what was said, lead to the head."""
    filled(engine)
    told: list[int] = []
    head, proof = proved(engine)
    assert head == engine.audit.head(progress=told.append)
    assert engine.position() == head.position == sum(told)
    assert head == TreeHead.parse(str(head))
    assert engine.verify(f"{head.position}:{head.chain}").damage is None
    told.clear()
    assert proof == engine.audit.prove(KF, USER, progress=told.append)
    assert head.position == sum(told)

    found = check_proof(str(proof), str(head))
    assert found.holds
    steps = engine.history(KF, USER, as_of_log=True)
    assert (KF, USER, len(steps), 0) == (found.open_kfid, found.external_userid, found.entries, found.without_payload)
    assert {step.position for step in steps} == {entry.row.position for entry in proof.entries}
    assert "wm1: 你好" in str(proof)
    assert "wm2" not in str(proof)


def test_the_head_grows_and_keeps_what_was(engine: Engine) -> None:
    """An earlier head can be had again, and proved against, whatever came since."""
    filled(engine)
    head, proof = proved(engine)
    engine.ingest(page([said(500), said(501, user="wm9")]))
    assert (head, proof) == proved(engine, position=head.position)
    later, longer = proved(engine)
    assert (len(proof.entries) + 1, True) == (len(longer.entries), check_proof(str(longer), later).holds)
    found = check_proof(str(longer), head)
    assert (False, False) == (found.holds, found.expected)
    for position in (later.position + 1, -1, 1 << 70):
        with pytest.raises(ArgumentError):
            engine.audit.head(position)
    with pytest.raises(ArgumentError):
        engine.audit.prove(KF, "wm9", position=head.position)
    with pytest.raises(UnknownConversationError):
        engine.audit.prove(KF, "wm10")


def test_payloads_that_are_gone_or_not_told(engine: Engine) -> None:
    """The proof holds with commitments only; erasing changes no head."""
    filled(engine)
    head, proof = proved(engine)
    untold = check_proof(str(engine.audit.prove(KF, USER, payloads=False)), head)
    assert (True, untold.entries) == (untold.holds, untold.without_payload)
    with engine._writing() as conn, unguarded(conn):
        which = proof.entries[1].row.position
        behind.change(conn, f"UPDATE kf_payload SET salt = NULL, body = NULL WHERE position = {which}")
    erased = proved(engine)
    found = check_proof(str(erased[1]), head)
    assert (head, True, 1) == (erased[0], found.holds, found.without_payload)


def test_no_proof_without_every_entry(engine: Engine) -> None:
    """A log that lacks an entry has no head, and proves nothing."""
    filled(engine)
    _, proof = proved(engine)
    ours = proof.entries[2].row.position
    other = next(position for position in range(2, 99) if position not in {e.row.position for e in proof.entries})
    for gone in (other, ours):
        with engine._writing() as conn, unguarded(conn):
            behind.change(conn, f"DELETE FROM kf_entry WHERE position = {gone}")
        for ask in (engine.audit.head, lambda: engine.audit.prove(KF, USER)):
            with pytest.raises(CorruptLogError) as caught:
                ask()
            assert caught.value.position in {other, ours, proof.entries[3].row.position}


@pytest.mark.databases("sqlite")
def test_an_entry_cannot_hide_among_the_others(engine: Engine) -> None:
    """Given as a leaf of another conversation, it is missed: versions have no gap, whatever leads to the root."""
    filled(engine)
    head, proof = proved(engine)
    for out, missed in ((0, 1), (1, 2)):
        left = [entry for at, entry in enumerate(proof.entries) if at != out]
        places = [entry.row.position - 1 for entry in left]
        with engine._reading() as conn:
            nodes = [
                heads.subtree(conn, first, end) for first, end in parts(head.position, places) if first not in places
            ]
        forged = attrs.evolve(proof, entries=tuple(left), nodes=tuple(nodes))
        found = check_proof(str(forged), head)
        assert not found.holds
        assert f"version {missed} of the conversation is missing" in str(found.problem)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[TreeHead, str]:
    """A published head, and a proof as a file."""
    with Engine(f"sqlite:///{tmp_path_factory.mktemp('proof')}/log.db", clock=FrozenClock.at(NOW)) as engine:
        filled(engine)
        head, proof = proved(engine)
        return head, str(proof)


def spoil_secret(told: dict[str, str], how: str, what: str) -> None:
    """Change a payload or a name: one of salt and value, or where the one ends and the other begins."""
    if how == "set":
        told[what] = ("ff" if told[what][:2] == "00" else "00") + told[what][2:]
    elif how == "drop":
        del told[what]
    else:
        key, size = "value" if "value" in told else "body", int(what)
        whole = bytes.fromhex(told["salt"]) + told[key].encode()
        told |= {"salt": whole[: 16 + size].hex(), key: whole[16 + size :].decode()}


def spoiled(text: str, way: str) -> str:
    """Change a proof."""
    data = json.loads(text)
    entries = data["entries"]
    row, payload = entries[1]["kf_entry"], entries[1]["kf_payload"]
    match way.split():
        case ["row", name]:
            integer = name in INTEGERS or name == "form"
            row[name] = row.get(name, 0) + 1 if integer else "00" * 32
        case ["null", name]:
            del row[name]
        case ["payload" | "who" as of, how, what]:
            spoil_secret(payload if of == "payload" else data["kf_name"][0], how, what)
        case ["leave", "out", number]:
            del entries[int(number)]
        case ["node", what]:
            data["nodes"] = {"less": data["nodes"][1:], "other": ["00" * 32, *data["nodes"][1:]]}[what]
        case ["stream", name]:
            data["kf_stream"][name] = 0 if name == "customer" else "wkB"
        case ["name", what]:
            key = "value" if what == "half" else what
            data["kf_name"][0][key] = {"half": "\ud83d", "value": "wm2", "commitment": "00" * 32, "id": 99}[what]
        case ["swap"]:
            entries[1], entries[2] = entries[2], entries[1]
        case ["head"]:
            data["head"] = data["head"][:-2] + ("00" if data["head"][-2:] != "00" else "01")
    return json.dumps(data)


WAYS = [
    *(f"row {name}" for name in ENTRY_COLUMNS if name not in {"stream", "servicer_from", "servicer_to", "chain"}),
    "row servicer_to", "null kind", "null leaf", "payload set salt", "payload set body", "leave out 0", "leave out 1",
    "leave out -1", "node less", "node other", "stream open_kfid", "stream customer", "name value", "name commitment",
    "name id", "name half", "swap", "head", "payload move 1", "payload move 30",
    "payload drop salt", "payload drop body", "who move 1", "who drop salt", "who drop value",
]  # fmt: skip


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("way", WAYS)
def test_whatever_is_changed_shows(bundle: tuple[TreeHead, str], way: str) -> None:
    """An entry, a payload, a name, the way to the root, or the head: nothing can be exchanged or left out."""
    head, text = bundle
    assert check_proof(text, head).holds
    found = check_proof(spoiled(text, way), head)
    assert (False, True) == (found.holds, found.problem is not None)


@pytest.mark.databases("sqlite")
def test_a_proof_of_another_log_fits_itself_only(bundle: tuple[TreeHead, str]) -> None:
    """Without a published head nothing is proved."""
    head, text = bundle
    alone = check_proof(text)
    assert (False, None, None) == (alone.holds, alone.expected, alone.problem)
    other = TreeHead(head.position, head.chain, "00" * 32)
    assert "not the one that was published" in str(check_proof(text, other).problem)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "7", '{"kfstate_proof":2}', '{"kfstate_proof":1,"head":"x"}', "[" * 9999]
)
def test_what_is_no_proof(text: str) -> None:
    """It has a problem, and raises nothing."""
    assert (False, True) == ((found := check_proof(text)).holds, bool(found.problem))


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("text", ["", "7", "7:00", f"7:{'00' * 32}", f"-1:{'00' * 32}:{'00' * 32}", f"7:{'0g' * 32}:x"])
def test_what_is_no_head(text: str) -> None:
    """A head is a position and two hashes."""
    with pytest.raises(ValueError, match="no POSITION:CHAIN:ROOT"):
        TreeHead.parse(text)
