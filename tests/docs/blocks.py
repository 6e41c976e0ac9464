"""The code blocks of the documents: found, run in a folder of their own, and held against the output that is shown.

===========  =========================================================================================================
Language     What is done with it
===========  =========================================================================================================
console      lines after ``$ `` are run (``> `` goes on with one), and print the lines below them
python       run, all blocks of a page in one namespace
text         after a python block: what that printed
sh           left alone: what cannot be run inside a test
===========  =========================================================================================================

In shown output ``…`` stands for anything, on a line of its own for any number of lines; white space does not count.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.cli.runner import ROOT, kfstate

__all__ = ["ROOT", "Block", "Page", "blocks", "documents", "run"]

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = re.compile(r"[|<>$&]|^(?!kfstate )")


@attrs.frozen
class Block:
    """One fenced block: where it stands (``line`` is that of the fence), its language, and what is in it."""

    page: str
    line: int
    language: str
    text: str


@attrs.define
class Page:
    """A page that is run: its folder, what its python blocks have defined, and what the last one printed."""

    folder: Path
    names: dict[str, Any] = attrs.Factory(lambda: {"__name__": "page"})
    printed: str | None = None


def documents() -> list[str]:
    """Return the names of all documents that readers see."""
    found = [*ROOT.glob("README*.md"), ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def blocks(name: str) -> list[Block]:
    """Return the fenced blocks of a document."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [Block(name, text.count("\n", 0, found.start()) + 1, found[1], found[2]) for found in _FENCE.finditer(text)]


def run(page: Page, block: Block) -> None:
    """Run a block in the page's folder, which has to be the working directory."""
    if block.language == "python":
        code = compile("\n" * block.line + block.text, block.page, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, page.names)  # noqa: S102 (the page is ours)
        page.printed = out.getvalue()
    elif block.language == "console":
        for command, shown in _commands(block.text):
            left, printed = _call(page.folder, command)
            _compare(block, command, shown, printed)
            assert left == 0, f"{block.page}:{block.line}: {command}\nleaves with {left}\n{printed}"
    elif block.language == "text" and page.printed is not None:
        _compare(block, "python", block.text, page.printed)
        page.printed = None


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command with the output that is shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *rest = part.splitlines()
        while rest and rest[0].startswith("> "):
            command += "\n" + rest.pop(0)[2:]
        yield command, "\n".join(rest)


def _call(folder: Path, command: str) -> tuple[int, str]:
    """Run a command as on a terminal and return its exit code and output.

    What needs a shell gets one, with ``kfstate`` and ``python`` on its path.
    """
    if not _SHELL.search(command):
        done = kfstate(*shlex.split(command)[1:], terminal=True)
        return done.code, done.out + done.err
    path = folder / ".path"
    path.mkdir(exist_ok=True)
    for name, call in (("python", ""), ("kfstate", "-m kfstate ")):
        (path / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {call}"$@"\n', encoding="utf-8")
        (path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return found.returncode, found.stdout + found.stderr


def _compare(block: Block, command: str, shown: str, printed: str) -> None:
    pattern = ""
    for line in _lines(shown):
        pattern += r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*?") + r"\n"
    found = "".join(f"{line}\n" for line in _lines(printed))
    if shown.strip() and not re.fullmatch(pattern, found):
        message = f"{block.page}:{block.line}: {command}\nshows\n{shown}\nbut prints\n{printed}"
        raise AssertionError(message)


def _lines(text: str) -> list[str]:
    """Return the lines that have something on them, white space evened out, without the rules of tables."""
    return [even for line in text.splitlines() if (even := " ".join(line.replace("─", " ").split()))]
