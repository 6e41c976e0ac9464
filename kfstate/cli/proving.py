"""``kfstate audit head``, ``prove`` and ``check``: the log stands for itself, wherever it is looked at."""

from contextlib import nullcontext
from pathlib import Path

from kfstate.cli.accessing import accessing
from kfstate.cli.context import Given
from kfstate.cli.exits import Exit, UsageError
from kfstate.cli.files import beside

__all__ = ["check", "head", "prove"]


def head(*, position: int | None = None, ctx: Given) -> None:
    """Print what stands for the whole log: position, chain, and root of the tree over all entries. Publish it.

    Args:
        position: As of this position (default: the last one).
        ctx: The settings of this run.
    """
    with ctx.reader() as engine, ctx.out.counting(position or engine.position()) as done:
        found = engine.audit.head(position, progress=done)
    facts: dict[str, object] = {
        "head": str(found),
        "position": found.position,
        "chain": found.chain,
        "root": found.root,
    }
    if ctx.out.json:
        ctx.out.line(facts)
    else:
        ctx.out.facts({"log head": facts.pop("head"), **facts})


def prove(
    open_kfid: str,
    external_userid: str,
    *,
    position: int | None = None,
    payloads: bool = True,
    to: Path | None = None,
    ctx: Given,
) -> None:
    """Print a proof of one conversation: its entries, and the way from them to the head of the log.

    Args:
        open_kfid: The account.
        external_userid: The customer.
        position: Against the head at this position, as it was published (default: the last one).
        payloads: With what was said; else with the commitments to it only.
        to: The file to write (default: print it).
        ctx: The settings of this run.
    """
    with (
        ctx.reader() as engine,
        nullcontext() if to is None else beside(to) as target,
        accessing(engine, "prove", open_kfid, external_userid) as told,
        ctx.out.counting(position or engine.position()) as done,
    ):
        proof = engine.audit.prove(open_kfid, external_userid, position=position, payloads=payloads, progress=done)
        if target is not None:
            target.write(f"{proof}\n".encode())
            target.flush()
        told.append(f"{len(proof.entries)} entries")
    if to is None:
        ctx.out.text(str(proof))
    else:
        ctx.out.note(f"{to}: {len(proof.entries)} entries against {proof.head}")


def check(file: Path, *, expect: str | None = None, ctx: Given) -> int:
    """Check a proof of one conversation, without the log: leaves with 1 unless it leads to the head that is expected.

    Args:
        file: What `kfstate audit prove` printed.
        expect: POSITION:CHAIN:ROOT, the head as it was published. Without it the proof shows only that it fits itself.
        ctx: The settings of this run.
    """
    from kfstate.audit import check_proof
    from kfstate.queries.views import as_json

    try:
        found = check_proof(file.read_text(encoding="utf-8"), expect)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from None
    facts: dict[str, object] = {"ok": found.holds} | as_json(found)
    if ctx.out.json:
        ctx.out.line(facts)
    else:
        status = "OK" if found.holds else f"FAIL {found.problem or 'no published head was given'}"
        del facts["ok"], facts["problem"]
        facts["log head"] = facts.pop("head")
        ctx.out.facts({"status": status, **{name.replace("_", " "): value for name, value in facts.items()}})
    return Exit.OK if found.holds else Exit.REJECTED
