"""Build the package, install the wheel where nothing else is, and use it as somebody who never saw the checkout.

Needs ``build`` in the environment that runs it: ``python -m scripts.wheel``.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

from scripts.environment import ROOT, commands, create, run

__all__ = ["main"]

CONTENTS = ("kfstate/py.typed", "kfstate/migrations/env.py", "kfstate/samples/")
"""What a wheel without would still install, and fail later."""


def missing(wheel: Path) -> list[str]:
    """Return what the wheel should hold and does not."""
    names = zipfile.ZipFile(wheel).namelist()
    return [wanted for wanted in CONTENTS if not any(name.startswith(wanted) for name in names)]


def main() -> None:
    """Build, install, import, run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
        (wheel,) = folder.glob("*.whl")
        if lacks := missing(wheel):
            sys.exit(f"{wheel.name} lacks {', '.join(lacks)}")
        create(folder / "venv", wheel)
        kfstate, python = (commands(folder / "venv") / command for command in ("kfstate", "python"))
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        run(kfstate, "--help", cwd=elsewhere)
        run(kfstate, "demo", cwd=elsewhere)
        run(python, "-W", "error", ROOT / "scripts" / "elsewhere.py", kfstate, cwd=elsewhere)


if __name__ == "__main__":
    main()
