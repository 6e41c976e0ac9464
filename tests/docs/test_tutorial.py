"""The tutorial is run, block by block, and prints what it shows."""

from tests.docs.blocks import Page, blocks, run

__all__: list[str] = []


def test_tutorial(page: Page) -> None:
    """A newcomer who types what the tutorial says sees what the tutorial shows."""
    for block in blocks("docs/tutorial.md"):
        run(page, block)


def test_tutorial_of_an_audit(page: Page) -> None:
    """So does an auditor; the report at the end tells all, whether the log is whole, and asks no other host."""
    for block in blocks("docs/tutorial-audit.md"):
        run(page, block)
    report = (page.folder / "disputed.html").read_text(encoding="utf-8")
    for said in ("12m 55s", "LiMing", "2024-01-05 10:14:00", "Is anybody there?", "whole, positions 1–1920"):
        assert said in report
    assert (page.folder / "published.txt").read_text(encoding="utf-8").strip() in report
    assert "://" not in report


def test_tutorial_installs_as_the_readme_does() -> None:
    """The one block that is not run begins with what README.md, and the check of the wheel, install with."""
    (install,) = [block.text for block in blocks("docs/tutorial.md") if block.language == "sh"]
    (first, *_) = [block.text for block in blocks("README.md") if block.language == "sh"]
    assert first.startswith(install.splitlines()[0])
