"""Rules of image_check.py: which images are read, and that the bytes decide."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from errors import ErrorKind
from models import RunInfo
from storage.journal.image_check import InodeTrust
from storage.journal.plan import Selection
from tests.support.journal_harness import World, downgrade, run_info

NAMES = [f"{number:02}.png" for number in range(30)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Thirty images of one size and time, all answered."""
    world = World(tmp_path)
    for name in NAMES:
        world.put(name, f"bytes of {name}".encode())
    assert len(world.play_run().calls) == len(NAMES)
    return world


def _in_place(path: Path, data: bytes) -> None:
    """Write other bytes into the file, and set its time back (``unzip -o``, an editor)."""
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _renamed_over(path: Path, data: bytes) -> None:
    """Put another file with the same time in the place (``rsync -t``)."""
    status = path.stat()
    new = path.with_name(".new")
    new.write_bytes(data)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(path)


def _copied_over(path: Path, data: bytes) -> None:
    """Copy another file with its time over it (``cp -p``)."""
    status = path.stat()
    other = path.with_name(".other")
    other.write_bytes(data)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    shutil.copy2(other, path)
    other.unlink()


@pytest.mark.parametrize("replace", [_in_place, _renamed_over, _copied_over])
@pytest.mark.parametrize("nights", [0, 2])
def test_other_bytes_of_the_same_size_and_time_are_asked(
    world: World, replace: Callable[[Path, bytes], None], nights: int
) -> None:
    """However they came there, they are one call, and the image alone is read."""
    for _ in range(nights):
        assert world.play_run().hashed == []
    replace(world.images / "03.png", b"BYTES of 03.png")

    played = world.play_run()

    assert (played.calls, played.hashed) == (["03.png"], ["03.png"])
    assert world.play_run().hashed == []


def test_a_failure_is_about_its_bytes_too(world: World) -> None:
    """A known failure is left alone while its file is the same, and tried again when the bytes are others."""
    world.put("z.png", b"bytes of z.png-")
    world.endings["z.png"] = ErrorKind.BLOCKED
    world.play_run()
    assert (again := world.play_run()).calls == [] == again.hashed
    _renamed_over(world.images / "z.png", b"BYTES of z.png-")

    assert world.play_run().calls == ["z.png"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path: path.chmod(0o600), id="rights"),
        pytest.param(lambda path: _renamed_over(path, path.read_bytes()), id="copied-back"),
        pytest.param(os.utime, id="touched"),
    ],
)
def test_the_same_bytes_are_read_once_and_never_asked(world: World, change: Callable[[Path], object]) -> None:
    """After a restore, a move or ``chmod -R`` each image is read in one night, and in no later one."""
    for name in NAMES:
        change(world.images / name)

    first, second = world.play_run(), world.play_run()

    assert (first.calls, sorted(first.hashed)) == ([], NAMES)
    assert (second.calls, second.hashed) == ([], [])


@pytest.mark.parametrize(
    "selection", [Selection(), Selection(keep_answers=True), Selection(retry_failed=True)]
)
def test_a_journal_of_an_earlier_version_reads_nothing(world: World, selection: Selection) -> None:
    """It has neither ctime nor inode: those of the first night are adopted, and count from then on."""
    downgrade(world.journal_path, 4)
    first = world.play_run(selection=selection)
    _in_place(world.images / "03.png", b"BYTES of 03.png")
    second = world.play_run(selection=selection)

    assert (first.calls, first.hashed) == ([], [])
    assert second.hashed == ["03.png"]
    assert second.calls == ["03.png"]


def test_copies_are_watched_like_answers(world: World) -> None:
    """An image that got its answer from another name is asked again when its bytes are replaced."""
    shutil.copy2(world.images / "03.png", world.images / "copy.png")
    assert world.play_run().copied == ["copy.png"]
    _in_place(world.images / "copy.png", b"BYTES of it!!!!")

    assert world.play_run().calls == ["copy.png"]


def test_an_image_that_cannot_be_read_keeps_its_answer(world: World) -> None:
    """A lost permission says nothing about the bytes: size and time decide."""
    (world.images / "03.png").chmod(0o600)
    with world.open(_run(world)) as journal:
        plan = journal.plan(world.find_images(), selection=Selection(), hash_file=_unreadable)

    assert (plan.answered, plan.todo) == (len(NAMES), 0)
    assert world.play_run().hashed == ["03.png"]


def test_a_share_that_numbers_its_files_anew_is_not_read_every_night(world: World) -> None:
    """After some files whose inode alone had changed, inodes count for nothing more."""
    with closing(sqlite3.connect(world.journal_path, isolation_level=None)) as connection:
        connection.execute("UPDATE images SET inode = inode + 1000")

    played = world.play_run()

    assert played.calls == []
    assert 0 < len(played.hashed) < len(NAMES)


def test_inodes_that_told_the_truth_once_keep_counting() -> None:
    """One file with other bytes outweighs any number of false alarms."""
    trust = InodeTrust()
    trust.observe(is_same=False)
    for _ in range(100):
        trust.observe(is_same=True)

    assert trust.are_stable


def _run(world: World) -> RunInfo:
    world.runs_played += 1
    return run_info(world.runs_played)


def _unreadable(path: Path) -> str:
    raise PermissionError(13, "Permission denied", str(path))
