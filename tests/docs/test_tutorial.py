"""The tutorial is run, block by block, and prints what it shows."""

from tests.docs.blocks import Page, blocks, run

__all__: list[str] = []


def test_tutorial(page: Page) -> None:
    """A newcomer who types what the tutorial says sees what the tutorial shows."""
    for block in blocks("docs/tutorial.md"):
        run(page, block)


def test_tutorial_installs_as_the_readme_does() -> None:
    """The one block that is not run begins with what README.md, and the check of the wheel, install with."""
    (install,) = [block.text for block in blocks("docs/tutorial.md") if block.language == "sh"]
    (first, *_) = [block.text for block in blocks("README.md") if block.language == "sh"]
    assert first.startswith(install.splitlines()[0])
