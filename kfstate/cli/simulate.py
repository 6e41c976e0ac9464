"""``kfstate simulate``: realistic conversations, for trying things out."""

import sys
from typing import Annotated

from cyclopts import Parameter

from kfstate.cli.context import Given
from kfstate.cli.exits import UsageError
from kfstate.testing.simulation import Profile, pages, write_ndjson

__all__ = ["simulate"]


def simulate(
    *,
    seed: str = "1",
    conversations: int | None = None,
    entries: int | None = None,
    own_entries: bool = True,
    page_size: int = 1_000,
    shuffled: Annotated[bool, Parameter(negative="")] = False,
    window: int = 10_000,
    overlap: float = 0.2,
    profile: Annotated[Profile, Parameter(name="*")] = Profile(),  # noqa: B008 (frozen)
    ctx: Given,  # noqa: ARG001 (every command takes it)
) -> None:
    """Print simulated conversations as NDJSON: sync_msg pages, and own entries between them.

    The same options give the same lines, on every machine. Nothing is held but the conversations going on: ten
    million entries stream. Pipe it into `kfstate ingest -`.

    Args:
        seed: Decides everything that is left to chance.
        conversations: How many customers write (default: 200, or as many as --entries takes).
        entries: Stop after this many entries, repeats made by overlapping pages not counted.
        own_entries: Whether what the routing service did and saw is among them.
        page_size: Most entries of a page, at most 1000.
        shuffled: Mix the order, cut pages anywhere and let them overlap.
        window: With --shuffled: how many entries are mixed at a time; 0 mixes all of them, and holds them to do so.
        overlap: With --shuffled: how many earlier entries a page brings again, as a share of its own.
        profile: What the simulated world is like.
        ctx: The settings of this run.
    """
    if conversations is None:
        conversations = max(200, entries or 0)  # each brings one at least
    try:
        lines = pages(
            seed, conversations, profile=profile, own_entries=own_entries, entries=entries, page_size=page_size,
            shuffled=shuffled, window=window or None, overlap=overlap,
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error)) from error
    write_ndjson(sys.stdout, lines)
