"""Run the command line in this process, with a pipe or a terminal around it."""

import io
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import attrs

from kfstate.cli import main

__all__ = ["ROOT", "Result", "kfstate"]

ROOT = Path(__file__).parents[2]


@attrs.frozen
class Result:
    """How a run ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What was printed, as NDJSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def one(self) -> dict[str, Any]:
        """What was printed, as one JSON object."""
        (line,) = self.lines
        return line


class _Bytes(io.BytesIO):
    name = "<stdin>"


class _Stream(io.TextIOWrapper):
    """Standard input or output that is a terminal, or is not."""

    def __init__(self, content: bytes = b"", *, terminal: bool = False) -> None:
        super().__init__(_Bytes(content), encoding="utf-8", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        """Tell whether this is a terminal."""
        return self._terminal

    def text(self) -> str:
        """Return what was written."""
        self.flush()
        self.seek(0)
        return self.read()


def kfstate(*arguments: object, stdin: bytes = b"", terminal: bool = False) -> Result:
    """Run one command line."""
    given, out, err = _Stream(stdin), _Stream(terminal=terminal), _Stream()
    with patch.multiple(sys, stdin=given, stdout=out, stderr=err):
        code = main([str(argument) for argument in arguments])
    return Result(code, out.text(), err.text())
