"""Virtual environments, made with nothing but Python and the pip that comes with it."""

import os
import shlex
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["ROOT", "commands", "create", "run"]

ROOT = Path(__file__).parents[1]
"""The checkout."""


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Print a command and run it; when it fails, leave with its exit code."""
    words = [str(word) for word in command]
    print("$", shlex.join(words), flush=True)
    code = subprocess.run(words, cwd=cwd, check=False).returncode
    if code:
        sys.exit(code)


def commands(folder: Path) -> Path:
    """Return where the environment in ``folder`` keeps its commands."""
    return folder / ("Scripts" if os.name == "nt" else "bin")


def create(folder: Path, *requirements: str | Path) -> None:
    """Make a virtual environment in ``folder``, with these requirements in the versions of ``constraints.txt``."""
    venv.create(folder, with_pip=True, clear=True)
    pip = (commands(folder) / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    # Dependency groups need pip 25.1; a fresh environment has the pip that its Python was released with.
    run(*pip, "--upgrade", "pip")
    run(*pip, "--constraint", ROOT / "constraints.txt", *requirements)
