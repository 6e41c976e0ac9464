"""The documents: two README in step, links that lead somewhere, a changelog in its form."""

import re
import tomllib
from pathlib import Path

import pytest

__all__: list[str] = []

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
SECTIONS = ["Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"]


def read(name: str) -> str:
    """Return a document of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def documents() -> list[str]:
    """Return the names of all Markdown documents that readers see."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def levels(text: str) -> list[int]:
    """Return the level of each heading, in order."""
    return [len(marks) for marks in re.findall(r"^(#+) ", FENCE.sub("", text), re.MULTILINE)]


def test_readmes_have_the_same_headings() -> None:
    """README.zh-CN.md has a heading of the same level wherever README.md has one."""
    assert levels(read("README.md")) == levels(read("README.zh-CN.md"))


def test_readmes_have_the_same_code() -> None:
    """The code blocks of both README are the same, character by character."""
    assert FENCE.findall(read("README.md")) == FENCE.findall(read("README.zh-CN.md"))


def test_readmes_lead_to_each_other() -> None:
    """Each README has a link to the other language."""
    assert "(README.zh-CN.md)" in read("README.md")
    assert "(README.md)" in read("README.zh-CN.md")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """The command that README.md gives for the tests is the one that CI runs."""
    (command,) = re.findall(r"^(python3 -m scripts\.test)$", read("README.md"), re.MULTILINE)
    assert f"step {command}\n" in read(".ci/run")


@pytest.mark.parametrize("name", documents())
def test_links_lead_to_files(name: str) -> None:
    """A relative link in a document leads to a file or folder of the project."""
    targets = [target for target in LINK.findall(FENCE.sub("", read(name))) if "://" not in target]
    assert [] == [target for target in targets if not ((ROOT / name).parent / target).exists()]


def test_changelog_releases() -> None:
    """CHANGELOG.md gives each release a version and a date, newest first, and begins with the package's version."""
    headings = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    found = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d|Unreleased)", heading) for heading in headings]
    versions = [tuple(map(int, match.groups()[:3])) for match in found if match]
    assert len(headings) == len(versions)
    assert sorted(versions, reverse=True) == versions
    assert [] == [heading for heading in headings[1:] if heading.endswith("Unreleased")]
    assert tomllib.loads(read("pyproject.toml"))["project"]["version"] == ".".join(map(str, versions[0]))


def test_changelog_sections() -> None:
    """A release in CHANGELOG.md has sections of Keep a Changelog only, each once, in one order, none empty."""
    for release in re.split(r"^## .+$", read("CHANGELOG.md"), flags=re.MULTILINE)[1:]:
        headings = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert [section for section in SECTIONS if section in headings] == headings
        bodies = re.split(r"^### .+$", release, flags=re.MULTILINE)[1:]
        assert [] == [body for body in bodies if not body.strip().startswith("- ")]
