"""Run the tests in an environment of their own, made on the first run.

.. code-block:: text

    python3 -m scripts.test                 all tests, then the coverage gate
    python3 -m scripts.test tests/wire -x   what these arguments of pytest select, without the gate

The tests run on SQLite and on private servers: PostgreSQL 15 and 18, and MariaDB; what the machine lacks is fetched
first, see :mod:`scripts.servers`. ``KFSTATE_TEST_WITHOUT=pg15,mariadb`` leaves servers out.
``KFSTATE_HYPOTHESIS`` chooses how hard the property tests try: dev (default), ci, thorough.
"""

import hashlib
import sys

from scripts.environment import ROOT, commands, create, run
from scripts.servers import provide

__all__ = ["main"]

ENVIRONMENT = ROOT / ".venv-test"
GATED = "kfstate/wire/*,kfstate/machine/*"
"""The pure packages: every branch of them is tested."""


def environment() -> None:
    """Make the test environment when it is missing, or not what the project asks for any more."""
    wanted = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    fingerprint = hashlib.sha256(b"".join([sys.version.encode(), *wanted])).hexdigest()
    stamp = ENVIRONMENT / "made-for"
    if stamp.is_file() and stamp.read_text(encoding="ascii") == fingerprint:
        return
    create(ENVIRONMENT, "--group", "test", "--editable", f"{ROOT}[all]")
    stamp.write_text(fingerprint, encoding="ascii")


def main(arguments: list[str]) -> None:
    """Run pytest; without arguments all of it, with the coverage gate."""
    environment()
    provide()
    python = commands(ENVIRONMENT) / "python"
    if arguments:
        run(python, "-m", "pytest", *arguments)
        return
    measured = [f"--cov={name.removesuffix('/*')}" for name in GATED.split(",")]  # to measure the rest takes its time
    run(python, "-m", "pytest", "-n", "2", "--dist=worksteal", *measured, "--cov-report=")
    run(python, "-m", "coverage", "report", f"--include={GATED}", "--fail-under=100")


if __name__ == "__main__":
    main(sys.argv[1:])
