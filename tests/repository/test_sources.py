"""The sources: small modules, said public names, one reader of time, nothing from outside of the checkout."""

import ast
import functools
from pathlib import Path

import pytest

import kfstate
from kfstate import clock, engine, errors, service_state

__all__: list[str] = []

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "kfstate").rglob("*.py"))
LINES = 350
NOW = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
OUTSIDE = Path("..", "shared").as_posix()
MAY_LOOK_OUTSIDE = {"tests/wecom/test_shared_vectors.py", "tests/wire/test_shared_samples.py"}
FOLDERS = [".ci", "docs", "kfstate", "migrations", "scripts", "tests"]


@functools.cache
def source(name: str) -> str:
    """Return the text of a file of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def project_files() -> list[Path]:
    """Return the files of the project."""
    below = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [path for path in [*ROOT.glob("*.*"), *below] if path.is_file() and "__pycache__" not in path.parts]


@pytest.mark.parametrize("name", MODULES)
def test_modules_say_what_is_public(name: str) -> None:
    """Every module of kfstate has an `__all__`, but those that are run and those that only hold a docstring."""
    statements = ast.parse(source(name)).body[1:]
    assigned = [
        target.id
        for node in statements
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    ]
    assert "__all__" in assigned or name.endswith("__main__.py") or not statements


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_small(name: str) -> None:
    """No module of kfstate has more lines than one can keep in mind."""
    assert len(source(name).splitlines()) <= LINES


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"kfstate/clock.py"}))
def test_only_the_clock_reads_the_time(name: str) -> None:
    """Nothing but `kfstate.clock` asks the machine what time it is."""
    attributes = [node for node in ast.walk(ast.parse(source(name))) if isinstance(node, ast.Attribute)]
    assert [] == [node.lineno for node in attributes if ".".join(ast.unparse(node).split(".")[-2:]) in NOW]


def test_public_names_are_there() -> None:
    """Every name in `kfstate.__all__` can be had from `kfstate`, stands there once, and is in `dir`."""
    names = list(kfstate.__all__)
    assert len(set(names)) == len(names)
    assert [] == [name for name in names if not hasattr(kfstate, name)]
    assert set(names) <= set(dir(kfstate))


@pytest.mark.parametrize("module", [clock, engine, errors, service_state], ids=lambda module: module.__name__)
def test_public_names_are_reexported(module: object) -> None:
    """What embedders meet on every call (engine, errors, clock, states) is importable from `kfstate` itself."""
    names: list[str] = list(getattr(module, "__all__", []))
    assert [] == [name for name in names if getattr(kfstate, name, None) is not getattr(module, name)]
    assert set(names) <= set(kfstate.__all__)


def test_package_is_typed() -> None:
    """The package says that it is typed."""
    assert (ROOT / "kfstate" / "py.typed").is_file()


def test_nothing_looks_outside_of_the_checkout() -> None:
    """No file of the project names a path beside the checkout, but the tests that say so."""
    found = [
        path.relative_to(ROOT).as_posix()
        for path in project_files()
        if OUTSIDE.encode() in path.read_bytes() and path.relative_to(ROOT).as_posix() not in MAY_LOOK_OUTSIDE
    ]
    assert [] == found
