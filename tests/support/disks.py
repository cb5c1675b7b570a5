"""Other file systems, really mounted: NTFS, exFAT, an encrypted folder; skipped where they cannot be."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

DISKS = ("ntfs", "exfat", "encrypted")
_IMAGE_BYTES = 64 << 20


@contextmanager
def mounted(kind: str, folder: Path) -> Iterator[Path]:
    """Mount a new disk of this kind in a folder while the block lasts; skip where that is not possible."""
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip(f"NOT TESTED: {kind} needs root and /dev/fuse")
    disk, image = folder / "disk", folder / "disk.img"
    disk.mkdir()
    with ExitStack() as stack:
        match kind:
            case "ntfs":
                _require("mkntfs", "lowntfs-3g")
                _make_image(image)
                _run("mkntfs", "-F", "-q", image)
                _run("lowntfs-3g", "-o", "windows_names,ignore_case", image, disk)
            case "exfat":
                _require("mkfs.exfat", "mount.exfat-fuse", "losetup")
                _make_image(image)
                _run("mkfs.exfat", image)
                device = _run("losetup", "-f", "--show", image).strip()
                stack.callback(_run, "losetup", "-d", device)
                _run("mount.exfat-fuse", device, disk)
            case _:
                _require("encfs")
                image.mkdir()
                _run("encfs", "--standard", "-S", image, disk, stdin="password")
        try:
            yield disk
        finally:
            _run("umount", "-l", disk)


def _require(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"NOT TESTED: a real disk of this kind needs {', '.join(missing)}")


def _make_image(path: Path) -> None:
    with path.open("wb") as handle:
        handle.truncate(_IMAGE_BYTES)


def _run(program: str, *arguments: str | Path, stdin: str = "") -> str:
    command = [shutil.which(program) or program, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT TESTED: {program} is not allowed here: {done.stderr.strip()}")
    return done.stdout
