"""The published samples that stand beside the checkout: third-party data, never a part of the project."""

from pathlib import Path

import msgspec
import pytest

from kfstate import wire

FOLDER = Path(__file__).parents[3] / "shared" / "samples"
NOT_WIRE = {"callback-crypto-vectors.json"}
"""Vectors of the callback's encryption: no JSON of the KF API."""

SAMPLES = sorted(path for path in FOLDER.glob("*.json") if path.name not in NOT_WIRE)


def samples(part: str) -> list[Path]:
    """Return the samples whose name contains *part*."""
    if not SAMPLES:
        pytest.skip(f"the published samples are not in {FOLDER}; they are not shipped with the project")
    found = [path for path in SAMPLES if part in path.name]
    assert found, f"no sample is a {part}"
    return found


def reply_of(path: Path) -> type[wire.KfReply]:
    """Return the reply model of a sample, by the call that stands in its name."""
    call = path.name.partition("-")[2].removesuffix(".response.json")
    found = [kind for name, kind in wire.REPLIES.items() if call.startswith(name.replace("/", "-"))]
    assert found, f"no reply model for {path.name}"
    return found[-1]


def test_every_entry_goes_out_as_it_came() -> None:
    """Entries: decode_msg and to_wire, and every known type has its body typed."""
    for path in samples("-entry-"):
        raw = path.read_bytes()
        msg = wire.decode_msg(raw)
        came = msgspec.json.decode(raw)
        assert came == wire.to_wire(msg), path.name
        has_body = isinstance(msg.msgtype, wire.KfMsgType) and msg.msgtype in came
        assert has_body is (msg.body is not None), path.name
        assert msg.conversation.open_kfid, path.name


def test_every_page_goes_out_as_it_came() -> None:
    """Pages: element by element, and whole; the one that WeCom refused is an error."""
    for path in samples("-sync_msg"):
        raw = path.read_bytes()
        page = msgspec.json.decode(raw)
        if page.get("errcode"):
            with pytest.raises(wire.WireError, match=r"\$\.errcode: 95007"):
                wire.split_page(raw)
        elif "msg_list" in page:
            written = [wire.to_wire(wire.decode_msg(element)) for element in wire.split_page(raw).elements]
            assert page["msg_list"] == written, path.name
            assert page == wire.to_wire(wire.decode_page(raw)), path.name


def test_every_reply_goes_out_as_it_came() -> None:
    """Replies: with the model of their call, which leaves no documented field untyped."""
    for path in samples(".response."):
        raw = path.read_bytes()
        reply = wire.decode_model(raw, reply_of(path))
        assert msgspec.json.decode(raw) == wire.to_wire(reply), path.name
        assert {"errcode", "errmsg"} <= {name for name, value in vars(reply).items() if value is not None}, path.name


def test_every_request_goes_out_as_it_came() -> None:
    """Requests have no models; what they say of messages is read all the same, and nothing is lost."""
    for path in samples(".request."):
        raw = path.read_bytes()
        msg = wire.decode_msg(raw)
        assert msgspec.json.decode(raw) == wire.to_wire(msg), path.name
        assert (msg.body is None) is (msg.msgtype is None), path.name


def test_no_sample_is_left_out() -> None:
    """Every sample is an entry, a page, a reply or a request."""
    named = {path for part in ("-entry-", ".response.", ".request.") for path in samples(part)}
    assert named == set(SAMPLES)
