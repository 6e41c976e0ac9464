"""The command ``kfstate``: thin; it asks the engine, and prints tables on a terminal and NDJSON in a pipe.

A module per noun holds its commands. They import the engine when they run, so that ``--help`` answers at once.
"""

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's arguments) and return the exit code."""
    from kfstate.cli.app import run

    return run(arguments)
