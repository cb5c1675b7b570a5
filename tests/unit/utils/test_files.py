"""Rules of utils/files.py: writing whole files and opening input files."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faults import fault_environment
from tests.support.file_systems import second_file_system
from tests.support.paths import ROOT
from tests.support.privileges import unprivileged_folder
from utils.files import is_temporary, move_file, open_atomic, open_regular, write_atomic


def test_written_bytes_stand_under_the_name_alone(tmp_path: Path) -> None:
    """A finished write leaves exactly the file, and nothing beside it."""
    write_atomic(tmp_path / "answer.txt", b"yes")

    assert [path.name for path in tmp_path.iterdir()] == ["answer.txt"]
    assert (tmp_path / "answer.txt").read_bytes() == b"yes"


def test_earlier_file_stands_until_the_block_ends(tmp_path: Path) -> None:
    """A reader sees the old content while the new one is being written."""
    path = tmp_path / "answer.txt"
    path.write_bytes(b"old")

    with open_atomic(path) as handle:
        handle.write(b"new")
        handle.flush()
        while_writing = path.read_bytes()

    assert (while_writing, path.read_bytes()) == (b"old", b"new")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_error_in_the_block_leaves_the_old_file_alone(tmp_path: Path, error: type[BaseException]) -> None:
    """Whatever ends the block early, an interrupt too, the old file stays and no temporary remains."""
    path = tmp_path / "answer.txt"
    path.write_bytes(b"old")

    def write_half() -> None:
        with open_atomic(path) as handle:
            handle.write(b"half of the n")
            raise error

    with pytest.raises(error):
        write_half()

    assert [path.name for path in tmp_path.iterdir()] == ["answer.txt"]
    assert path.read_bytes() == b"old"


def test_killed_writer_leaves_the_old_file_and_a_known_temporary(tmp_path: Path) -> None:
    """After kill -9 in mid-write the old file is whole, and the leftover is known by its name."""
    path = tmp_path / "answer.txt"
    path.write_bytes(b"old")
    script = (
        "import os, pathlib, signal, sys; from utils.files import open_atomic\n"
        "with open_atomic(pathlib.Path(sys.argv[1])) as handle:\n"
        "    handle.write(b'half'); handle.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    ended = subprocess.run([sys.executable, "-c", script, path], check=False, cwd=ROOT)

    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    (leftover,) = (other.name for other in tmp_path.iterdir() if other != path)
    assert is_temporary(leftover)
    assert leftover.startswith(".")


def test_names_that_are_taken_are_passed_over(tmp_path: Path) -> None:
    """A killed process that was forked from the same one may have left its unfinished files here."""
    script = (
        "import os, sys; from utils import files\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    with files.open_atomic(files.Path(sys.argv[1], 'a')):\n"
        "        os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "files.write_atomic(files.Path(sys.argv[1], 'b'), b'whole')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=ROOT)

    assert (tmp_path / "b").read_bytes() == b"whole"
    assert len([path for path in tmp_path.iterdir() if is_temporary(path.name)]) == 1


def test_full_disk_propagates_and_leaves_nothing(tmp_path: Path) -> None:
    """A write that the system cuts short raises OSError, and its temporary is removed."""
    path = tmp_path / "answer.txt"
    script = (
        "import pathlib, resource, sys; from utils.files import write_atomic\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_atomic(pathlib.Path(sys.argv[1]), bytes(5000))\n"
        "except OSError:\n    sys.exit(7)\n"
    )

    ended = subprocess.run([sys.executable, "-c", script, path], check=False, cwd=ROOT)

    assert ended.returncode == 7
    assert list(tmp_path.iterdir()) == []


def test_name_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    """The longest name that the file system takes needs no space for a temporary's ending."""
    path = tmp_path / ("\N{PARTY POPPER}" * 60 + "x" * 15)

    write_atomic(path, b"long")

    assert len(os.fsencode(path.name)) == 255
    assert path.read_bytes() == b"long"


def test_name_too_long_raises_and_leaves_nothing(tmp_path: Path) -> None:
    """A name that the file system refuses is an OSError, with the temporary removed."""
    with pytest.raises(OSError, match="too long"):
        write_atomic(tmp_path / ("x" * 256), b"")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    """A result can be read by whom the user lets read, not by its writer alone."""
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "answer.txt", b"")
    finally:
        os.umask(before)

    assert (tmp_path / "answer.txt").stat().st_mode & 0o777 == mode


def test_read_only_folder_is_permission_denied() -> None:
    """A folder that may not be written to is a PermissionError, not silence."""
    with unprivileged_folder() as folder:
        folder.chmod(0o500)

        with pytest.raises(PermissionError):
            write_atomic(folder / "answer.txt", b"")

        assert list(folder.iterdir()) == []


def test_folder_that_may_be_written_but_not_listed_takes_files() -> None:
    """A drop box, writable and not readable, is no error: the rename is done, only its sync is not."""
    with unprivileged_folder() as folder:
        folder.chmod(0o300)

        write_atomic(folder / "answer.txt", b"yes")

        assert (folder / "answer.txt").read_bytes() == b"yes"


def test_missing_folder_and_directory_in_the_way_raise(tmp_path: Path) -> None:
    """What cannot be replaced raises OSError, and no temporary remains."""
    (tmp_path / "folder").mkdir()

    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "missing" / "answer.txt", b"")
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path / "folder", b"")

    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_link_is_replaced_and_its_target_untouched(tmp_path: Path) -> None:
    """Nothing is written through a link that happens to have the name."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"precious")
    link.symlink_to(target)

    write_atomic(link, b"new")

    assert not link.is_symlink()
    assert (target.read_bytes(), link.read_bytes()) == (b"precious", b"new")


@pytest.mark.parametrize(
    "name",
    ["answer.txt", "", ".atomic-.tmp", "x.atomic-0123456789abcdef.tmp", ".atomic-0123456789abcdef.tmp\n"],
)
def test_no_other_name_is_taken_for_a_temporary(name: str) -> None:
    """Removing leftovers never removes a user's file."""
    assert not is_temporary(name)


def test_pipe_and_directory_are_refused_without_waiting(tmp_path: Path) -> None:
    """Opening for reading never hangs on a pipe without a writer."""
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(path)


@pytest.fixture
def other_file_system() -> Iterator[Path]:
    """A folder on another file system than ``tmp_path``."""
    with second_file_system() as folder:
        yield folder


def test_a_file_moves_to_another_file_system(tmp_path: Path, other_file_system: Path) -> None:
    """A move that no rename can do is a copy, whole, and the file is gone where it was."""
    content = os.urandom(3_000_000)
    (tmp_path / "answer").write_bytes(content)

    move_file(tmp_path / "answer", other_file_system / "moved")

    assert (other_file_system / "moved").read_bytes() == content
    assert [path.name for path in other_file_system.iterdir()] == ["moved"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["missing/moved", "folder", "x" * 300])
def test_a_file_that_cannot_be_moved_stays(tmp_path: Path, other_file_system: Path, target: str) -> None:
    """A target that cannot be written leaves the file where it was, and nothing there."""
    (tmp_path / "answer").write_bytes(b"paid")
    (other_file_system / "folder").mkdir()

    with pytest.raises(OSError, match=r"No such file|Is a directory|too long"):
        move_file(tmp_path / "answer", other_file_system / target)

    assert (tmp_path / "answer").read_bytes() == b"paid"
    assert [path.name for path in other_file_system.rglob("*")] == ["folder"]


_WRITE = """
import sys
from pathlib import Path
from utils.files import write_atomic
try:
    write_atomic(Path(sys.argv[1]), b"yes")
except OSError as error:
    sys.exit(error.errno)
"""
_TELLS_NOTHING = ("EINVAL", "EIO", "ENOSYS", "EBADF", "ENOTSUP", "EACCES", "EPERM", "ENODEV")
_TELLS_OF_LOSS = ("ENOSPC", "EDQUOT", "ESTALE")


@pytest.mark.parametrize("name", [*_TELLS_NOTHING, *_TELLS_OF_LOSS])
def test_a_folder_that_cannot_be_synced(tmp_path: Path, name: str) -> None:
    """A share whose folders cannot be synced takes files; one without room for their names does not."""
    number = getattr(errno, name)

    done = subprocess.run(
        [sys.executable, "-c", _WRITE, tmp_path / "answer.txt"],
        env=fault_environment(sync_folder=number),
        cwd=ROOT,
        check=False,
    )

    assert done.returncode == (number if name in _TELLS_OF_LOSS else 0)
    assert (tmp_path / "answer.txt").read_bytes() == b"yes"


@pytest.mark.parametrize("name", ["EPERM", "EEXIST", "EACCES", "EINVAL"])
def test_a_share_that_cannot_rename_onto_a_file(tmp_path: Path, name: str) -> None:
    """The earlier file is moved aside first, and nothing else is left."""
    (tmp_path / "answer.txt").write_bytes(b"earlier")

    done = subprocess.run(
        [sys.executable, "-c", _WRITE, tmp_path / "answer.txt"],
        env=fault_environment(replace=getattr(errno, name)),
        cwd=ROOT,
        check=False,
    )

    assert done.returncode == 0
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"yes"]
