"""Rules of this program's own results among the images, of private input, and of paths that are too long."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.emulator import Emulator
from tests.support.cli import Finished, document, run_cli
from tests.support.cli_cases import arguments, make_images, text_of

pytestmark = pytest.mark.e2e

PICTURE_MODEL = ("--model", "gemini-nano-banana-2.1", "--archive-format")


def _unpack(archive: str) -> Callable[[Path, Path], None]:
    def place(out: Path, folder: Path) -> None:
        shutil.unpack_archive(out / archive, folder)

    return place


def _copy(out: Path, folder: Path) -> None:
    shutil.copytree(out, folder / "results of last week")


def _copy_without_journal(out: Path, folder: Path) -> None:
    shutil.copytree(out, folder / "old", ignore=shutil.ignore_patterns("journal.db*"))


def _copy_archive_only(out: Path, folder: Path) -> None:
    _unpack("archive.zip")(out, folder / "trip")


@pytest.mark.parametrize(
    ("fmt", "place", "passed_over"),
    [
        pytest.param("zip", _unpack("archive.zip"), 2, id="zip-among-images"),
        pytest.param("tar", _unpack("archive.tar.gz"), 2, id="tar-among-images"),
        pytest.param(
            "zip", lambda out, folder: _unpack("archive.zip")(out, folder / "new"), 1, id="zip-alone"
        ),
        pytest.param("zip", _copy_archive_only, 2, id="zip-in-a-folder-of-images"),
        pytest.param("none", _copy, 1, id="copied"),
        pytest.param("none", _copy_without_journal, 1, id="copied-without-journal"),
    ],
)
def test_own_results_are_no_images(
    tmp_path: Path, fmt: str, place: Callable[[Path, Path], None], passed_over: int
) -> None:
    """An archive or a tree of this program in the input costs no call; log and document say so."""
    make_images(tmp_path / "photos", 6)

    async def scenario() -> tuple[Finished, Finished, int]:
        async with Emulator() as emulator:
            flags = arguments(tmp_path, emulator, *PICTURE_MODEL, fmt)
            first = await run_cli(*flags)
            place(tmp_path / "out", tmp_path / "photos")
            return first, await run_cli(*flags), len(emulator.calls)

    first, second, calls = asyncio.run(scenario())

    assert (first.code, second.code, calls) == (0, 0, 6), second.stderr
    assert second.stderr.count("skipped: the output directory of another run") >= passed_over
    stats = document(tmp_path / "out", "processing_stats.json")
    assert stats["passed_over"]["by"]["other_output_directory"] >= passed_over


def test_a_tree_that_was_named_is_read(tmp_path: Path) -> None:
    """The pictures of an earlier run are input if the user names their tree, and nothing else is in it."""
    make_images(tmp_path / "photos", 2)

    async def scenario() -> tuple[Finished, int]:
        async with Emulator() as emulator:
            await run_cli(*arguments(tmp_path, emulator, *PICTURE_MODEL, "none"))
            (tmp_path / "out").rename(tmp_path / "named")
            base = ("--prompt", "x", "--api-base-url", emulator.base_url, "--output-dir", tmp_path / "out")
            again = await run_cli("--input-dir", tmp_path / "named", *base)
            return again, len(emulator.calls)

    again, calls = asyncio.run(scenario())

    assert (again.code, calls) == (0, 4), again.stderr


@pytest.mark.parametrize(
    ("mode", "widest"), [(0o700, 0o600), (0o750, 0o640), (0o755, 0o644)], ids=["private", "group", "public"]
)
def test_answers_are_as_private_as_the_images(tmp_path: Path, mode: int, widest: int) -> None:
    """No file of the output tree, nor the log, is readable for those who cannot read the input directory."""
    make_images(tmp_path / "photos", 3)
    (tmp_path / "photos").chmod(mode)
    (tmp_path / "photos" / "photo000.png").chmod(0o644)

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            more = ("--archive-format", "zip", "--log-file", tmp_path / "out" / "run.log")
            (tmp_path / "out").mkdir()
            return await run_cli(*arguments(tmp_path, emulator, *more))

    before = os.umask(0o022)
    try:
        finished = asyncio.run(scenario())
    finally:
        os.umask(before)

    assert finished.code == 0, finished.stderr
    paths = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    wider = {str(path): oct(path.stat().st_mode) for path in paths if path.stat().st_mode & 0o777 & ~widest}
    assert len(paths) > 6
    assert wider == {}
    assert {path.stat().st_mode & 0o777 for path in paths if path.name.endswith(".txt")} == {widest}


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder below which paths can become too long; removed without Python's recursion."""
    yield tmp_path
    for name in ("photos", "out"):
        subprocess.run(["/bin/rm", "-rf", str(tmp_path / name)], check=True)


def _make_deep(folder: Path, *, path_bytes: int, width: int, number: int) -> None:
    """Write an image whose path has at most so many bytes, in folders with names of this width."""
    script = f"""
import os, sys
os.chdir(sys.argv[1])
used = len(os.fsencode(sys.argv[1])) + len("/image{number}.png")
while used + {width + 1} <= {path_bytes}:
    os.makedirs("d" * {width}, exist_ok=True)
    os.chdir("d" * {width})
    used += {width + 1}
from PIL import Image
Image.new("RGB", (8, 8), ({number}, 2, 3)).save("image{number}.png")
"""
    folder.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True)


@pytest.mark.parametrize("width", [1, 20])
@pytest.mark.parametrize("start", ["absolute", "relative"])
def test_a_path_that_would_be_too_long_is_known_before_it_is_paid(deep: Path, width: int, start: str) -> None:
    """Every image is answered once, under a short name if its own is too long; later nights ask nothing."""
    lengths = (2000, 3900, 4040, 4060, 4075, 4090)
    for number, path_bytes in enumerate(lengths):
        _make_deep(deep / "photos", path_bytes=path_bytes, width=width, number=number)
    Image.new("RGB", (8, 8), (99, 2, 3)).save(deep / "photos" / "near.png")
    root = Path() if start == "relative" else deep

    async def scenario() -> tuple[list[Finished], int]:
        async with Emulator() as emulator:
            flags = arguments(root, emulator)
            nights = [await run_cli(*flags, cwd=deep) for _ in range(2)]
            again = await run_cli(*flags, "--prompt", "another", "--archive-format", "zip", cwd=deep)
            last = await run_cli(*flags, "--prompt", "another", cwd=deep)
            return [*nights, again, last], len(emulator.calls)

    nights, calls = asyncio.run(scenario())

    assert [night.code for night in nights] == [0, 0, 0, 0], nights[0].stderr + nights[2].stderr
    assert calls == 2 * (len(lengths) + 1)
    assert text_of(deep / "out", "near.png")
    if start == "absolute":
        assert "since its own path is too long for the system" in nights[0].stderr


def test_an_image_that_the_system_cannot_reach_is_named(deep: Path) -> None:
    """A path longer than the system takes is passed over with a sentence, and the others are answered."""
    _make_deep(deep / "photos", path_bytes=4300, width=200, number=1)
    Image.new("RGB", (8, 8), (99, 2, 3)).save(deep / "photos" / "near.png")

    async def scenario() -> tuple[Finished, int]:
        async with Emulator() as emulator:
            return await run_cli(*arguments(deep, emulator)), len(emulator.calls)

    finished, calls = asyncio.run(scenario())

    assert (finished.code, calls) == (0, 1), finished.stderr
    assert "its path is too long for the system; shorten the names of its folders" in finished.stderr


@pytest.mark.parametrize("path_bytes", [450, 600, 4000])
def test_an_output_directory_that_is_too_deep_costs_nothing(deep: Path, path_bytes: int) -> None:
    """It works, or the run says why not before the first call."""
    make_images(deep / "photos", 1)
    out = deep / "out"
    while len(os.fsencode(out)) + 101 <= path_bytes:
        out /= "d" * 100

    async def scenario() -> tuple[Finished, Finished, int]:
        async with Emulator() as emulator:
            more = ("--prompt", "x", "--api-base-url", emulator.base_url, "--output-dir", out)
            runs = [await run_cli("--input-dir", deep / "photos", *more) for _ in range(2)]
            return runs[0], runs[1], len(emulator.calls)

    first, second, calls = asyncio.run(scenario())

    assert first.code == second.code, first.stderr + second.stderr
    assert calls == (1 if first.code == 0 else 0), second.stderr
    assert first.code == 0 or ("too long" in first.stderr and "bug" not in first.stderr)
