"""Rules of a full disk, at any point of a run: no answer is lost in silence or paid twice."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.checks import check_any_instant, check_finished
from tests.crash.launched import Launcher
from tests.crash.points import Scene, check_full_disk, sweep
from tests.emulator import Emulator

pytestmark = pytest.mark.e2e

STRIDE = 17
PAGE_BYTES = 4096
DISK_BYTES = 4 * 2**20
PAGES_NEEDED = 140
"""More pages than the small run needs; with each lower number the disk is full at another point."""


@pytest.mark.parametrize("act", ["full", "full once"])
def test_a_disk_full_at_any_write_is_told_and_survived(tmp_path: Path, act: str) -> None:
    """Exit code 1 with the reason, lost answers named; with space again the next run completes the rest."""
    points, failures = asyncio.run(sweep(tmp_path, act, check_full_disk, stride=STRIDE, first=2))

    assert points >= 7
    assert not failures, "\n\n".join(failures)


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """The launcher of the program, for all tests of this file."""
    with Launcher() as launcher:
        yield launcher


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, in memory; skips if mounting is not allowed."""
    mount, folder = shutil.which("mount"), tmp_path / "disk"
    folder.mkdir()
    if mount is None or os.geteuid() != 0:
        pytest.skip("NOT TESTED: a really full disk needs root, to mount a small tmpfs")
    options = f"size={DISK_BYTES}"
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("NOT TESTED: a really full disk needs the right to mount a small tmpfs")
    yield folder
    subprocess.run([shutil.which("umount") or "umount", "-l", folder], check=True)


def fill(disk: Path, *, leave_pages: int) -> Path:
    """Fill the disk but for so many pages; return the file that does it."""
    ballast = disk / "ballast"
    state = os.statvfs(disk)
    ballast.write_bytes(bytes((state.f_bavail - leave_pages) * state.f_frsize))
    return ballast


async def meet_full_disk(launcher: Launcher, disk: Path, pages: list[int]) -> set[int]:
    """Run with so many free pages, then with space; return the exit codes that the first runs had."""
    codes = set()
    async with Emulator(latency_s=0.01) as emulator:
        for free in pages:
            scene = Scene(folder=disk / "work", emulator=emulator, launcher=launcher)
            ballast = fill(disk, leave_pages=free)
            done = await scene.run()
            ballast.unlink()
            check_full_disk(scene, done)
            codes.add(done.code)
            await scene.finish()
    return codes


def test_a_disk_that_is_really_full_is_told_and_survived(launcher: Launcher, small_disk: Path) -> None:
    """From no free page to enough, SQLite's own writes included: an error, and completed with space."""
    codes = asyncio.run(meet_full_disk(launcher, small_disk, list(range(0, PAGES_NEEDED, 20))))

    assert codes == {0, 1}


def test_an_output_that_fills_up_between_two_nights_keeps_the_first(
    launcher: Launcher, small_disk: Path
) -> None:
    """All files of the first run stay while the second fails for lack of space, and after."""

    async def scenario() -> None:
        async with Emulator(latency_s=0.01) as emulator:
            scene = Scene(folder=small_disk / "work", emulator=emulator, launcher=launcher)
            assert (await scene.run()).code == 0
            scene.payments.record_proven()
            ballast = fill(small_disk, leave_pages=0)
            full = await scene.run()
            assert full.code == 1, full.stderr
            assert "Traceback" not in full.stderr
            check_any_instant(scene.output)
            ballast.unlink()
            assert (await scene.run()).code == 0
            check_finished(scene.output, scene.hashes)
            assert not scene.payments.find_paid_twice()

    asyncio.run(scenario())
