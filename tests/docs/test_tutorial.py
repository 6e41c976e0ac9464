"""The tutorials are run, block by block, and print what they show."""

import os
import re
from collections.abc import Iterable

import attrs
import pytest

from tests.docs.blocks import ROOT, Block, Page, blocks, run

__all__: list[str] = []

AUDIT = "docs/tutorial-audit.md"
_POSITIONS = re.compile(r"\b19(?:1[3-9]|20)\b")
"""The positions of the audit, in its commands and in what they print."""


def test_tutorial(page: Page) -> None:
    """A newcomer who types what the tutorial says sees what the tutorial shows."""
    for block in blocks("docs/tutorial.md"):
        run(page, block)


def test_tutorial_of_an_audit(page: Page) -> None:
    """So does an auditor; the report at the end tells all, whether the log is whole, and asks no other host."""
    audit(page, blocks(AUDIT), last=1920)


@pytest.mark.slow
@pytest.mark.skipif("CI" not in os.environ, reason="a million entries take two minutes: where CI is set")
def test_tutorial_of_an_audit_over_a_million_entries(page: Page) -> None:
    """So does one with a million entries before the disputed ones, by the command that the page names for that."""
    text = (ROOT / AUDIT).read_text(encoding="utf-8")
    (small,) = re.findall(r"^\$ (kfstate simulate [^|]*) \|", text, re.MULTILINE)
    ((large, further),) = re.findall(r"`(kfstate simulate [^`]*)`[^`]*greater by ([\d,]+)", text)
    more = int(further.replace(",", ""))

    def moved(position: re.Match[str]) -> str:
        return str(int(position[0]) + more)

    many = [
        attrs.evolve(block, text=_POSITIONS.sub(moved, block.text.replace(small, large))) for block in blocks(AUDIT)
    ]
    assert large in many[0].text
    try:
        audit(page, many, last=1920 + more)
    finally:
        (page.folder / "kfstate.db").unlink(missing_ok=True)  # not to be kept with the other files of the run
    assert 1_000_000 < 1913 + more


def audit(page: Page, steps: Iterable[Block], *, last: int) -> None:
    """Run the tutorial of an audit, and look at the report that it ends with."""
    for block in steps:
        run(page, block)
    report = (page.folder / "disputed.html").read_text(encoding="utf-8")
    for said in ("12m 55s", "LiMing", "2024-01-05 10:14:00", "Is anybody there?", f"whole, positions 1–{last}"):
        assert said in report
    assert (page.folder / "published.txt").read_text(encoding="utf-8").strip() in report
    assert "://" not in report


def test_tutorial_installs_as_the_readme_does() -> None:
    """The one block that is not run begins with what README.md, and the check of the wheel, install with."""
    (install,) = [block.text for block in blocks("docs/tutorial.md") if block.language == "sh"]
    (first, *_) = [block.text for block in blocks("README.md") if block.language == "sh"]
    assert first.startswith(install.splitlines()[0])
