"""Files that a command writes: whole or not there, and nobody's but those who could read them before."""

import os
import stat
from pathlib import Path

import pytest

from kfstate.cli.exits import UsageError
from kfstate.cli.files import beside
from tests.cli.runner import kfstate

__all__: list[str] = []


def write(file: Path, text: bytes) -> None:
    """Write a file as a command does."""
    with beside(file) as target:
        target.write(text)


def mode(file: Path) -> int:
    """Return who may do what with a file."""
    return stat.S_IMODE(file.stat().st_mode)


def test_a_link_stays(tmp_path: Path) -> None:
    """What it leads to is written, be it there or not; a link that leads to itself is an error."""
    (tmp_path / "far").mkdir()
    for name in ("old", "new"):
        (tmp_path / name).symlink_to(tmp_path / "far" / name)
    (tmp_path / "far" / "old").write_bytes(b"before")
    for name in ("old", "new"):
        write(tmp_path / name, b"after")
        assert (tmp_path / name).is_symlink()
        assert b"after" == (tmp_path / "far" / name).read_bytes()
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(UsageError, match="symbolic links"):
        write(tmp_path / "round", b"")


def test_who_may_read(tmp_path: Path) -> None:
    """A file keeps its mode and is never more open on the way; a new one has what the umask gives."""
    old, new, secret = (tmp_path / name for name in ("old", "new", "secret"))
    old.touch(mode=0o640)
    with beside(old):
        (half,) = tmp_path.glob(".kfstate-*.new")
        assert 0o600 == mode(half)
    before = os.umask(0o027)
    try:
        write(new, b"")
        with beside(secret, secret=True):
            pass
    finally:
        os.umask(before)
    assert [0o640, 0o640, 0o600] == [mode(old), mode(new), mode(secret)]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_whose_it_is(tmp_path: Path) -> None:
    """Root leaves a file to its owner."""
    file = tmp_path / "hers"
    file.touch(mode=0o600)
    os.chown(file, 1234, 4321)
    write(file, b"")
    found = file.stat()
    assert (1234, 4321, 0o600) == (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_is_no_file(sampled: Path, tmp_path: Path, form: str) -> None:
    """A pipe, named or not, is written as it is, and stays one; it may be closed at the other end."""
    pipe, log = tmp_path / "pipe", ("--db", str(sampled))
    os.mkfifo(pipe)
    named = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    given, taken = os.pipe()
    for file, end in ((pipe, named), (f"/dev/fd/{taken}", given)):
        assert 0 == kfstate(*log, "export", form, "--table", "conversations", file).code
        assert {"csv": b"\xef\xbb", "xlsx": b"PK"}[form] == os.read(end, 2)
        os.close(end)
    assert (141, True) == (kfstate(*log, "export", "csv", f"/dev/fd/{taken}").code, pipe.is_fifo())
    os.close(taken)


def test_two_at_once(tmp_path: Path) -> None:
    """Each writes a file of its own, and the last one stays whole."""
    file = tmp_path / "file"
    with beside(file) as first:
        first.write(b"first" * 10_000)
        write(file, b"second")
        assert b"second" == file.read_bytes()
    assert (b"first" * 10_000, [file]) == (file.read_bytes(), list(tmp_path.iterdir()))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_broken_off(tmp_path: Path, error: type[BaseException]) -> None:
    """What was there stays, and nothing beside it."""
    file = tmp_path / "file"
    file.write_bytes(b"before")
    with pytest.raises(UsageError if error is OSError else error), beside(file):
        raise error
    assert (b"before", [file]) == (file.read_bytes(), list(tmp_path.iterdir()))


def test_what_cannot_be_written(tmp_path: Path) -> None:
    """It is said in one line: a folder, a folder that is not there or is none, a name that is too long."""
    (tmp_path / "file").touch()
    for name in (".", "nowhere/file", "file/file", "x" * 300):
        with pytest.raises(UsageError, match="cannot be written"):
            write(tmp_path / name, b"")
    write(tmp_path / ("x" * 255), b"")


def test_never_over_another_one(tmp_path: Path) -> None:
    """A file that comes into being meanwhile stays as well as one that was there before."""
    file = tmp_path / "report"
    with pytest.raises(UsageError, match="there already"), beside(file, anew=True):
        file.write_bytes(b"theirs")
    with pytest.raises(UsageError, match="there already"), beside(file, anew=True):
        raise AssertionError
    assert (b"theirs", [file]) == (file.read_bytes(), list(tmp_path.iterdir()))
