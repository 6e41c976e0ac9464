"""``kfstate rebuild`` and ``verify``: whether the tables and the log are what they should be."""

from typing import Annotated

from cyclopts import Parameter

from kfstate.cli.accessing import noted
from kfstate.cli.context import Given
from kfstate.cli.exits import Exit, UsageError

__all__ = ["rebuild", "verify"]


def rebuild(*, check: Annotated[bool, Parameter(negative="")] = False, ctx: Given) -> int:
    """Fold the whole log again into fresh tables.

    Args:
        check: Change nothing; count the rows that differ from a fresh fold, and leave with 1 when there are any.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine, ctx.out.counting(engine.position()) as done:
        if not check:
            found = {"entries": engine.rebuild(progress=done), "conversations": 0}
            found["conversations"] = sum(engine.counts(as_of_log=True).values())
            tables: dict[str, int] = {}
        else:
            difference = engine.check(progress=done)
            tables = difference.tables
            found = {
                "entries": difference.entries,
                "conversations": difference.conversations,
                "different": difference.different,
            }
    if ctx.out.json:
        ctx.out.line(found | {"tables": tables} if tables else found)
    else:
        ctx.out.facts({**found, **tables})
    return Exit.REJECTED if tables else Exit.OK


def verify(
    *,
    expect: str | None = None,
    first: int | None = None,
    last: int | None = None,
    processes: int | None = None,
    ctx: Given,
) -> int:
    """Recompute the hash chain over the log, and say at which position it does not hold.

    Args:
        expect: POSITION:CHAIN, the anchor that an earlier run printed, or what `kfstate audit head` did, and that was
            kept elsewhere: a log that has another chain there, or that ends before, was written anew or lost its end.
        first: Position to begin with, against the link of the entry before it; the log has to have it (default: the
            first).
        last: Position to end with; the log has to go on until there (default: the last).
        processes: How many processes work at once (default: one for each core, where there is much to verify).
        ctx: The settings of this run.
    """
    from kfstate.store.crew import cores
    from kfstate.store.verify import anchor_of

    try:
        if expect is not None:
            anchor_of(expect)
    except ValueError as error:
        raise UsageError(f"--expect: {error}") from None
    with ctx.reader() as engine:
        total = (engine.position() if last is None else last) - (first or 1) + 1
        with ctx.out.counting(total) as done:
            found = engine.verify(
                expect, first=first, last=last, progress=done, processes=cores() if processes is None else processes
            )
        told = found.anchor if found.damage is None else f"damage at {found.damage.position}"
        noted(ctx, engine, "verify", detail=expect or "", result=told)
    damage = found.damage
    result: dict[str, object] = {
        "ok": damage is None,
        "entries": found.entries,
        "first": found.first,
        "last": found.last,
        "chain": found.chain.hex(),
        "anchor": found.anchor,
        "erased": len(found.erased),
        "erased_names": len(found.erased_names),
        "aged_out": sum(end - begin + 1 for begin, end in found.aged_out),
        "damage": None if damage is None else {"position": damage.position, "reason": damage.reason},
    }
    if ctx.out.json:
        ctx.out.line(result)
    else:
        status = "OK" if damage is None else f"FAIL {damage.position}: {damage.reason}"
        del result["ok"], result["damage"]
        ctx.out.facts({"status": status, **{name.replace("_", " "): value for name, value in result.items()}})
    return Exit.OK if damage is None else Exit.REJECTED
