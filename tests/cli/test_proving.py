"""`audit head`, `prove` and `check`: a proof of one conversation, from the database to whoever has only the file."""

import json
from pathlib import Path

from kfstate import TreeHead
from tests.cli.runner import kfstate

__all__: list[str] = []


def somebody(sampled: Path) -> tuple[str, str]:
    """Return a conversation of the samples."""
    found = kfstate("--db", sampled, "conversations", "--limit", "1").one
    return found["open_kfid"], found["external_userid"]


def test_a_head(sampled: Path) -> None:
    """`head` is what `verify --expect` takes."""
    found = kfstate("--db", sampled, "audit", "head").one
    assert TreeHead(found["position"], found["chain"], found["root"]) == TreeHead.parse(found["head"])
    assert 0 == kfstate("--db", sampled, "verify", "--expect", found["head"]).code
    other = kfstate("--db", sampled, "verify", "--expect", found["head"][:-64] + "00" * 32)
    assert (1, found["position"]) == (other.code, other.one["damage"]["position"])
    earlier = kfstate("--db", sampled, "audit", "head", "--position", "5").one
    assert 0 == kfstate("--db", sampled, "verify", "--expect", earlier["head"]).code
    for position in ("99999", "-1", 1 << 70):
        assert 2 == kfstate("--db", sampled, "audit", "head", "--position", position).code
    assert found["root"] in kfstate("--db", sampled, "audit", "head", terminal=True).out


def test_a_proof(sampled: Path) -> None:
    """`prove` makes a file, and `check` needs nothing else; it leaves with 1 unless all of it holds."""
    head = kfstate("--db", sampled, "audit", "head").one["head"]
    done = kfstate("--db", sampled, "audit", "prove", *somebody(sampled), "--to", "proof.json")
    assert (0, "", True) == (done.code, done.out, "proof.json" in done.err)
    printed = kfstate("--db", sampled, "audit", "prove", *somebody(sampled)).out
    assert printed == Path("proof.json").read_text(encoding="utf-8")

    found = kfstate("audit", "check", "proof.json", "--expect", head)
    assert (0, True, head, list(somebody(sampled))) == (
        found.code, found.one["ok"], found.one["head"], [found.one["open_kfid"], found.one["external_userid"]],
    )  # fmt: skip
    assert "OK" in kfstate("audit", "check", "proof.json", "--expect", head, terminal=True).out
    assert (1, False) == ((alone := kfstate("audit", "check", "proof.json")).code, alone.one["ok"])
    assert "no published head" in kfstate("audit", "check", "proof.json", terminal=True).out

    data = json.loads(printed)
    data["entries"][0]["kf_entry"]["kind"] = "servicer_message"
    Path("forged.json").write_text(json.dumps(data), encoding="utf-8")
    forged = kfstate("audit", "check", "forged.json", "--expect", head)
    assert (1, False) == (forged.code, forged.one["ok"])
    assert "leaf" in forged.one["problem"]


def test_less_is_told(sampled: Path) -> None:
    """Without payloads, and against an earlier head."""
    position = kfstate("--db", sampled, "history", *somebody(sampled)).lines[2]["position"]
    head = kfstate("--db", sampled, "audit", "head", "--position", position).one["head"]
    done = kfstate("--db", sampled, "audit", "prove", *somebody(sampled), "--position", position, "--no-payloads")
    Path("proof.json").write_text(done.out, encoding="utf-8")
    found = kfstate("audit", "check", "proof.json", "--expect", head).one
    assert (True, found["entries"]) == (found["ok"], found["without_payload"])
    assert position == found["last"]
    assert "body" not in done.out


def test_what_cannot_be_done(sampled: Path) -> None:
    """An unknown conversation, a head that is none, a file that is not there or cannot be written."""
    assert 3 == kfstate("--db", sampled, "audit", "prove", "wk", "nobody").code
    assert 2 == kfstate("audit", "check", "nowhere.json").code
    Path("empty.json").write_text("", encoding="utf-8")
    assert 2 == kfstate("audit", "check", "empty.json", "--expect", "7").code
    assert (1, False) == ((done := kfstate("audit", "check", "empty.json")).code, done.one["ok"])
    assert 2 == kfstate("--db", sampled, "audit", "prove", *somebody(sampled), "--to", "no/folder.json").code
