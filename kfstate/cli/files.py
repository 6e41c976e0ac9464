"""Files that a command writes: whole or not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kfstate.cli.exits import UsageError

__all__ = ["beside"]


@contextmanager
def beside(file: Path) -> Iterator[IO[bytes]]:
    """Open a file to be written beside its place, where it is put when the block is over and it is whole."""
    new = file.parent / f".{file.name}.new"
    try:
        if file.is_dir():
            raise IsADirectoryError(None, "Is a directory")
        with new.open("wb") as target:
            yield target
        new.replace(file)
    except OSError as error:
        raise UsageError(f"{file}: it cannot be written ({error.strerror})") from error
    finally:
        new.unlink(missing_ok=True)
