"""Rules of results on other people's disks: each image is paid once, whatever names the disk takes."""

import asyncio
import errno
import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from tests.emulator import Emulator
from tests.support.cli import Finished, files_below, run_cli
from tests.support.cli_cases import PROMPT
from tests.support.disks import DISKS, mounted
from tests.support.faults import fault_environment

pytestmark = pytest.mark.e2e

CHARACTERS = ("IMG_2014:15:50.jpg", "who?.jpg", 'say "hi".jpg', "trip: Rome/c.jpg", "a\\b.jpg", "x*.jpg")
LONG = (
    f"{'n' * 139}.jpg",
    f"{'é' * 60}.jpg",
    f"{'n' * 138}m.jpg",
    f"{'d' * 150}/a.jpg",
    f"{'d' * 151}/a.jpg",
)
CASES = ("After.jpg", "after.jpg", "AFTER.JPG", "Trip/a.jpg", "trip/a.jpg", "trip/b.jpg")
FORMS = ("é.jpg", unicodedata.normalize("NFD", "é.jpg"), "\N{PARTY POPPER}.jpg", "日本/1.jpg")
WINDOWS = ("con.jpg", "aux/a.jpg", "trip./a.jpg", "trip /a.jpg", "trip/c.jpg")
PLAIN = ("x.jpg", "t/y.jpg")
ALL = (*CHARACTERS, *LONG, *CASES, *FORMS, *WINDOWS, *PLAIN)


def make_images(folder: Path, keys: Sequence[str]) -> None:
    """Write images with these names, all different."""
    for key in keys:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), tuple(hashlib.sha256(key.encode()).digest()[:3])).save(path, "PNG")


async def nights(
    folder: Path, output: Path, prompts: Sequence[str], env: Mapping[str, str] | None = None
) -> tuple[list[Finished], list[int]]:
    """Run once for each prompt; return the runs, and how many calls each made."""
    runs, calls = [], [0]
    async with Emulator() as emulator:
        for prompt in prompts:
            arguments: list[str | Path] = [
                "--input-dir",
                folder / "photos",
                "--output-dir",
                output,
                "--prompt",
                prompt,
            ]
            runs.append(await run_cli(*arguments, "--api-base-url", emulator.base_url, env=env))
            calls.append(len(emulator.calls))
    return runs, [after - before for before, after in pairwise(calls)]


@pytest.mark.parametrize(
    ("keys", "faults"),
    [
        (CHARACTERS, {"characters": '\\:*?"<>|'}),
        (LONG, {"name_max": 143}),
        ((*CHARACTERS, *LONG, *FORMS), {"characters": '\\:*?"<>|', "name_max": 143}),
        (CHARACTERS, {"characters": '\\:*?"<>|', "sync_folder": errno.EIO, "move": errno.EXDEV}),
        (FORMS, {"name_max": 143, "replace": errno.EPERM, "flock": errno.ENOLCK, "posix_lock": errno.EIO}),
    ],
    ids=["characters", "long", "both", "share", "sshfs"],
)
def test_names_that_a_disk_refuses(
    tmp_path: Path, keys: tuple[str, ...], faults: Mapping[str, int | str]
) -> None:
    """Three nights and another prompt: each image is paid once for each prompt, and all answers stand."""
    make_images(tmp_path / "photos", (*keys, *PLAIN))
    count = len(keys) + len(PLAIN)
    prompts = [PROMPT, PROMPT, PROMPT, "Another prompt", "Another prompt"]

    runs, calls = asyncio.run(nights(tmp_path, tmp_path / "out", prompts, fault_environment(**faults)))

    assert [run.code for run in runs] == [0] * 5, runs[0].stderr
    assert calls == [count, 0, 0, count, 0]
    assert "does not take every name" in runs[0].stderr
    found = files_below(tmp_path / "out/successful")
    assert len(found) == count
    assert {f"{key}_result.txt" for key in PLAIN} <= found
    assert len(files_below(tmp_path / "out/metadata/history")) == count


def test_one_name_that_only_writing_shows_to_be_refused(tmp_path: Path) -> None:
    """A disk that refuses what the probe did not try stops no run: that answer has another name."""
    make_images(tmp_path / "photos", ("odd§.jpg", *PLAIN))

    runs, calls = asyncio.run(
        nights(tmp_path, tmp_path / "out", [PROMPT] * 2, fault_environment(characters="§"))
    )

    assert ([run.code for run in runs], calls) == ([0, 0], [3, 0]), runs[0].stderr
    (other,) = files_below(tmp_path / "out/successful") - {f"{key}_result.txt" for key in PLAIN}
    assert other.startswith("odd-")
    assert f"its result is called successful/{other}" in runs[0].stderr


def test_a_disk_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    """A read-only disk is told before anything is paid."""
    make_images(tmp_path / "photos", PLAIN)

    runs, calls = asyncio.run(nights(tmp_path, tmp_path / "out", [PROMPT], fault_environment(name_max=11)))

    assert (runs[0].code, calls) == (1, [0])


@pytest.mark.parametrize("kind", DISKS)
def test_results_on_a_real_disk(tmp_path: Path, kind: str) -> None:
    """All odd names at once on a mounted disk, for three nights and another prompt: each is paid once."""
    make_images(tmp_path / "photos", ALL)
    with mounted(kind, tmp_path) as disk:
        prompts = [PROMPT, PROMPT, "Another prompt", "Another prompt"]
        runs, calls = asyncio.run(nights(tmp_path, disk / "out", prompts))

        assert [run.code for run in runs] == [0] * 4, runs[0].stderr + runs[2].stderr
        assert calls == [len(ALL), 0, len(ALL), 0]
        assert len(files_below(disk / "out/successful")) == len(ALL)
        assert len(files_below(disk / "out/metadata/history")) == len(ALL)


@pytest.mark.parametrize("kind", [kind for kind in DISKS if kind != "ntfs"])
def test_a_tree_of_a_real_disk_is_read_on_an_ordinary_one(tmp_path: Path, kind: str) -> None:
    """Results that were copied from such a disk are found again, also those of a late twin.

    Not of NTFS: its driver for case-blind disks lists all names in small letters.
    """
    make_images(tmp_path / "photos", CASES[1:])
    with mounted(kind, tmp_path) as disk:
        first, paid = asyncio.run(nights(tmp_path, disk / "out", [PROMPT]))
        make_images(tmp_path / "photos", CASES)
        second, paid_late = asyncio.run(nights(tmp_path, disk / "out", [PROMPT]))
        copy_tree(disk / "out", tmp_path / "out")

    runs, calls = asyncio.run(nights(tmp_path, tmp_path / "out", [PROMPT]))

    assert [run.code for run in (*first, *second, *runs)] == [0, 0, 0]
    assert (paid, paid_late, calls) == ([len(CASES) - 1], [1], [0])


def copy_tree(source: Path, target: Path) -> None:
    """Copy all files as they are listed."""
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
