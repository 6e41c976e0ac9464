"""Files that a command writes: whole or not there."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from kfstate.cli.exits import UsageError

__all__ = ["beside"]

_OWN, _ANYBODY = 0o600, 0o666


@contextmanager
def beside(file: Path, *, anew: bool = False, secret: bool = False) -> Iterator[IO[bytes]]:
    """Open a file to be written beside its place, where it is put when the block is over and it is whole.

    A link stays, and a file keeps its owner and who may read it; a pipe or a device is written as it is. ``anew``: a
    file that is there is an error; ``secret``: nobody but its owner may read it.
    """
    new = None
    try:
        before = _at(file)
        if before is not None and not stat.S_ISREG(before.st_mode):
            with file.open("wb") as target:
                yield target
            return
        _refuse(before if anew else None)
        place = Path(os.path.realpath(file))  # resolve() raises RuntimeError where links go round
        new = place.with_name(f".kfstate-{secrets.token_hex(8)}.new")
        mode = _OWN if secret or before is not None else _ANYBODY
        with open(new, "xb", opener=partial(os.open, mode=mode)) as target:
            yield target
        if before is not None:
            _keep(new, before, secret=secret)
        _refuse(_at(file) if anew else None)
        new.replace(place)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"{file}: it cannot be written ({error.strerror})") from error
    finally:
        if new is not None:
            with suppress(OSError):  # as a rule it is no more, or never was
                new.unlink()


def _at(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except FileNotFoundError:
        return None


def _refuse(there: os.stat_result | None) -> None:
    if there is not None:
        raise FileExistsError(None, "it is there already")


def _keep(new: Path, before: os.stat_result, *, secret: bool) -> None:
    """Give a file the owner of the one before, where we may, and then let those read it who could read that."""
    if os.name != "nt":
        for owner in ((before.st_uid, -1), (-1, before.st_gid)):
            with suppress(OSError):
                os.chown(new, *owner)
    if not secret:
        new.chmod(stat.S_IMODE(before.st_mode))
