"""The checks, one session each: ``nox`` runs what ``.ci/run`` runs, ``nox -l`` lists the rest."""

import nox

nox.options.sessions = ["tests", "lint", "types", "wheel"]

LOCKED = ("--constraint", "constraints.txt")
EDITABLE = ("--editable", ".[all]")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, with the coverage gate when there are no arguments."""
    session.run("python", "-m", "scripts.test", *session.posargs, env={} if session.posargs else {"CI": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and layers."""
    session.install(*LOCKED, "--group", "lint", *EDITABLE)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types twice."""
    session.install(*LOCKED, "--group", "types", *EDITABLE)
    session.run("mypy")
    session.run("pyright")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel and use it outside of the checkout."""
    session.install(*LOCKED, "--group", "wheel")
    session.run("python", "-m", "scripts.wheel")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, beside the raw driver and beside eventsourcing; prints a table."""
    session.install(*LOCKED, "--group", "test", "--group", "bench", *EDITABLE)
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session
def engines(session: nox.Session) -> None:
    """Run the columnar fold by PySpark, which needs Java, and by Ray Data."""
    session.install("--group", "test", "--group", "engines", *EDITABLE)
    session.run("pytest", "-n", "0", "tests/engines", *session.posargs)


@nox.session
@nox.parametrize("line", ["2.0", "2.1"])
def sqlalchemy(session: nox.Session, line: str) -> None:
    """Run the tests on a line of SQLAlchemy."""
    session.install("--group", "test", *EDITABLE, f"sqlalchemy=={line}.*")
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the tests on the oldest versions that pyproject.toml allows."""
    session.install("uv")
    session.run("uv", "pip", "install", "--resolution", "lowest-direct", "--group", "test", *EDITABLE)
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write constraints.txt: the newest versions that pyproject.toml allows, for every platform and Python."""
    session.install("uv")
    options = ("--universal", "--python-version", "3.11", "--upgrade", "--no-header", "--no-annotate")
    session.run(
        "uv",
        "pip",
        "compile",
        *options,
        "pyproject.toml",
        "--all-extras",
        "--group",
        "dev",
        "--output-file",
        "constraints.txt",
    )
