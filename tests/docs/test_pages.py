"""The documents as a whole: said what they are, reachable, linked, and made of code that is code."""

import json
import re
from pathlib import PurePosixPath

import pytest

from tests.docs.blocks import ROOT, Page, blocks, documents, run
from tests.docs.generated import PARTS, found

__all__: list[str] = []

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
TYPES = {"tutorial", "how-to-guide", "reference", "explanation"}
OTHERS = {"docs/reference/cli.md", "docs/reference/chain.md", "docs/benchmarks.md"}
"""Pages that are kept with what they describe, by its own tests."""
PAGES = [name for name in documents() if name.startswith("docs/") and name not in OTHERS]
FOLDERS = {"how-to": "how-to-guide", "reference": "reference", "explanation": "explanation", "adr": "explanation"}
RUN = sorted(
    {
        *(name for name in PAGES if name.startswith("docs/how-to/")),
        "README.md",
        "docs/reference/audit.md",
        "docs/reference/python.md",
    }
)
LANGUAGES = {"console", "json", "mermaid", "python", "sh", "sql", "text"}


def read(name: str) -> str:
    """Return a document."""
    return (ROOT / name).read_text(encoding="utf-8")


def links(name: str) -> list[tuple[str, str]]:
    """Return the relative links of a document, each as a path in the checkout and an anchor."""
    pairs = []
    for target in LINK.findall(FENCE.sub("", read(name))):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            parts: list[str] = []
            for part in [*PurePosixPath(name).parent.parts, *PurePosixPath(path).parts] if path else [name]:
                if part == "..":
                    parts.pop()
                else:
                    parts.append(part)
            pairs.append(("/".join(parts), anchor))
    return pairs


def anchors(name: str) -> set[str]:
    """Return the anchors that the headings of a document make."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", read(name)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_pages_say_what_they_are(name: str) -> None:
    """Every page begins with its type, and that is the type of its folder; then comes its title."""
    head = re.match(r"---\ndocumentationType: (\S+)\n---\n\n# \S", read(name))
    assert head is not None
    assert head[1] == FOLDERS.get(name.split("/")[1], head[1])
    assert head[1] in TYPES


def test_pages_can_be_reached() -> None:
    """Every page of the documentation can be reached from docs/index.md."""
    reached: set[str] = set()
    further = {"docs/index.md"}
    while further:
        reached |= further
        further = {path for name in further for path, _ in links(name) if path.endswith(".md")} - reached
    assert set() == {name for name in documents() if name.startswith("docs/")} - reached


@pytest.mark.parametrize("name", documents())
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link leads to a file or folder of the checkout, and its anchor to a heading there."""
    bad = [path for path, _ in links(name) if not (ROOT / path).exists()]
    bad += [f"{path}#{anchor}" for path, anchor in links(name) if anchor and anchor not in anchors(path)]
    assert [] == bad


@pytest.mark.parametrize("name", documents())
def test_blocks_are_what_they_say(name: str) -> None:
    """Every fenced block has a known language; Python compiles, JSON is JSON."""
    for block in blocks(name):
        assert block.language in LANGUAGES, f"{name}:{block.line}"
        if block.language == "python":
            compile("\n" * block.line + block.text, name, "exec")
        elif block.language == "json":
            json.loads(block.text)


@pytest.mark.parametrize("name", documents())
def test_generated_parts_are_those_of_the_code(name: str) -> None:
    """What is made from the code is as the code makes it; `python -m tests.docs.generated` writes it anew."""
    for part, text in found(read(name)):
        assert PARTS[part]() == text, part


def test_generated_parts_are_used() -> None:
    """Every part that can be made stands in a document."""
    assert set(PARTS) == {part for name in documents() for part, _ in found(read(name))}


@pytest.mark.parametrize("name", RUN)
def test_page_runs(name: str, page: Page) -> None:
    """Who types what the page says, in an empty folder, sees what the page shows."""
    for block in blocks(name):
        run(page, block)


def test_readme_shows_what_the_demo_prints(page: Page) -> None:
    """The lines of the demo in README.md are lines that the demo prints."""
    from tests.cli.runner import kfstate

    shown = next(block.text for block in blocks("README.md") if block.language == "text")
    lines = {" ".join(line.split()) for line in kfstate("demo", terminal=False).out.splitlines()}
    assert page.folder.is_dir()
    assert set() == {" ".join(line.split()) for line in shown.splitlines() if line != "…"} - lines


def test_map_names_every_folder() -> None:
    """The map of the code names every folder of the package, and no module that is not there."""
    text = read("docs/explanation/map.md")
    folders = {path.parent.name for path in (ROOT / "kfstate").glob("*/__init__.py")}
    assert set() == {folder for folder in folders if f"(../../kfstate/{folder})" not in text}
    rows = re.findall(r"^\| \[(kfstate/\w+)\].*\| ([^|]*) \|$", text, re.MULTILINE)
    named = [f"{folder}/{module}" for folder, cell in rows for module in re.findall(r"`([\w/]+\.py)`", cell)]
    named += re.findall(r"`(kfstate/[\w/]+\.py)`", text)
    assert [] == [module for module in named if not (ROOT / module).is_file()]
