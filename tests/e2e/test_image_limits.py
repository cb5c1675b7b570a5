"""Rules of the real program over images that libraries refuse, that are large, or that have several pages."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.emulator import Emulator
from tests.support.cli import MAIN, Finished, document, environment, finish, run_cli
from tests.support.cli_cases import arguments
from tests.support.hostile_images import encoded, exif, picture
from tests.support.tiff_writer import TiffKind, tiff

pytestmark = pytest.mark.e2e

_PAGE = [[(x * 5 % 256,) for x in range(40)] for _ in range(30)]


def run(tmp_path: Path, *more: str) -> tuple[Finished, Emulator]:
    """Run the program over ``photos`` once."""

    async def scenario() -> tuple[Finished, Emulator]:
        async with Emulator() as emulator:
            return await run_cli(*arguments(tmp_path, emulator, *more)), emulator

    return asyncio.run(scenario())


def notes(tmp_path: Path) -> dict[str, list[str]]:
    """Return what the ledger says of each image."""
    lines = (tmp_path / "out" / "metadata" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["key"]: record["notes"] for record in map(json.loads, lines)}


def photos(tmp_path: Path, files: dict[str, bytes]) -> None:
    """Write the input."""
    (tmp_path / "photos").mkdir(exist_ok=True)
    for name, data in files.items():
        (tmp_path / "photos" / name).write_bytes(data)


def test_pages_that_are_not_sent_are_told_at_once_and_in_the_end(tmp_path: Path) -> None:
    """Each TIFF with further pages is named before it is sent, also with -q, and its entry says it."""
    several = tiff(_PAGE, TiffKind(), *[(_PAGE, TiffKind(subfile=2))] * 11)
    thumbnail = tiff([row[:9] for row in _PAGE[:9]], TiffKind(), (_PAGE, TiffKind(subfile=1)))
    photos(tmp_path, {"book.tif": several, "one.tif": thumbnail, "x.jpg": encoded(picture(), "JPEG")})

    done, _ = run(tmp_path, "-q")
    again, _ = run(tmp_path)

    assert done.code == again.code == 0
    assert [line for line in done.stderr.splitlines() if "pages" in line] == [
        "warning: book.tif has 12 pages: only the first is sent"
    ]
    assert "one.tif" not in done.stderr
    assert document(tmp_path / "out", "processing_stats.json")["unsent_pages"] is None  # nothing was asked
    assert notes(tmp_path)["book.tif"] == ["several pages: only the first is sent (of 12)", "sent as a PNG"]


def test_the_summary_counts_the_pages(tmp_path: Path) -> None:
    """A folder of scans may hold most of its text on pages that were not sent: the summary says so."""
    for number in range(3):
        pages = [(_PAGE, TiffKind())] * (number + 1)
        photos(tmp_path, {f"{number}.tif": tiff(_PAGE[number:], TiffKind(), *pages)})

    done, _ = run(tmp_path)

    stats = document(tmp_path / "out", "processing_stats.json")
    assert stats["unsent_pages"] == {"images": 3, "pages": 6}
    assert stats["notes"]["several pages: only the first is sent"] == 3
    assert "Pages        6 not sent" in done.stdout
    assert "(3 images)" in done.stdout


def test_what_the_library_refuses_is_sent(tmp_path: Path) -> None:
    """Whole images that Pillow does not take, or that are named like something else, are answered."""
    floats = [[(x / 40, 0.5, 1 - x / 40) for x in range(40)] for _ in range(30)]
    jpeg = encoded(picture(1), "JPEG")
    files = {
        "float.tif": tiff(floats, TiffKind(bits=32, sample_format="float", photometric=2)),
        "panorama.jpg": encoded(picture(2, (400, 40)), "JPEG")[:-2] + b"\0\0\1\n\x0e\0\0\0Image_UTC_Data1",
        "layers.psd": jpeg,
        "drawing.ico": encoded(picture(3), "PNG"),
        "raw.nef": tiff(_PAGE, TiffKind()),
    }
    photos(tmp_path, files)

    done, emulator = run(tmp_path)

    assert done.code == 0, done.stderr
    assert notes(tmp_path).keys() == files.keys() - {"raw.nef"}
    assert notes(tmp_path)["layers.psd"] == ["a JPEG named .psd"]
    assert notes(tmp_path)["panorama.jpg"] == ["the missing end mark was added"]
    assert len(emulator.calls) == 4
    assert document(tmp_path / "out", "processing_stats.json")["passed_over"]["total"] == 1


def test_the_size_asked_for_is_another_question(tmp_path: Path) -> None:
    """Without the option nothing is asked again; with it all are, downscaled; the way back costs nothing."""
    photos(
        tmp_path,
        {"large.jpg": encoded(picture(1, (900, 600)), "JPEG"), "small.png": encoded(picture(2), "PNG")},
    )
    calls = []
    for more in ((), (), ("--max-image-size", "300"), ("--max-image-size", "300"), ()):
        done, emulator = run(tmp_path, *more)
        assert done.code == 0, done.stderr
        calls.append(len(emulator.calls))
        if more and emulator.calls:
            line = next(one for one in notes(tmp_path)["large.jpg"] if "downscaled" in one)
            assert line == "downscaled for sending (900 x 600 to 300 x 200 pixels)"
            assert document(tmp_path / "out", "processing_stats.json")["notes"] == {
                "downscaled for sending": 1
            }

    assert calls == [2, 0, 2, 0, 0]


async def start_with_memory(
    tmp_path: Path, emulator: Emulator, megabytes: int | None, *more: str
) -> asyncio.subprocess.Process:
    """Start the program with so much memory for its addresses."""
    limit = f"ulimit -v {megabytes * 1000};" if megabytes else ""
    return await asyncio.create_subprocess_exec(
        *("bash", "-c", f'{limit} exec "$@"', "bash", sys.executable, str(MAIN)),
        *map(str, arguments(tmp_path, emulator, *more)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )


async def until_said(process: asyncio.subprocess.Process, words: str) -> None:
    """Read what the program says until a line has these words."""
    if process.stderr is None:
        raise RuntimeError("nothing is read of this process")
    while (line := await process.stderr.readline()) and words not in line.decode():
        pass


def test_with_little_memory_fewer_images_are_worked_on(tmp_path: Path) -> None:
    """All that fits is answered, one by one; what does not says what it needs, and goes the next time."""
    grain = Image.effect_noise((5_000, 4_000), 20.0)
    turned = [encoded(grain.crop((n, 0, 5_000, 4_000)), "JPEG", exif=exif(6)) for n in range(4)]
    photos(tmp_path, {f"{number}.jpg": data for number, data in enumerate(turned)})
    photos(tmp_path, {"scan.bmp": encoded(Image.new("RGB", (8_000, 7_000)), "BMP")})

    async def scenario() -> tuple[Finished, Finished, int]:
        async with Emulator() as emulator:
            little = await finish(await start_with_memory(tmp_path, emulator, 360))
            enough = await finish(await start_with_memory(tmp_path, emulator, None))
            return little, enough, len(emulator.calls)

    little, enough, calls = asyncio.run(scenario())

    assert (little.code, enough.code, calls) == (3, 0, 5), little.stderr
    assert "fewer images are worked on at a time" in little.stderr
    assert "ulimit -v" in little.stderr
    assert little.stderr.count("There is not enough memory") == 1
    assert "Traceback" not in little.stderr


@pytest.mark.parametrize("megabytes", [60, 90, 120])
def test_with_hardly_any_memory_it_ends_with_a_sentence(tmp_path: Path, megabytes: int) -> None:
    """A program that cannot even load its parts says so; it does not hang and is no bug."""
    photos(tmp_path, {"a.jpg": encoded(picture(1, (900, 600)), "JPEG")})

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            return await finish(await start_with_memory(tmp_path, emulator, megabytes))

    done = asyncio.run(scenario())

    assert done.code in {0, 1}
    assert "please report" not in done.stderr
    assert done.code == 0 or "memory" in done.stderr


def test_two_signals_end_a_run_that_converts(tmp_path: Path) -> None:
    """Conversions that are under way hold up no end: nothing of them would be used."""
    grain = Image.effect_noise((7_000, 7_000), 90.0)
    photos(tmp_path, {f"{n}.bmp": encoded(grain.crop((n, n, 6_900, 6_900)), "BMP") for n in range(6)})

    async def scenario() -> tuple[Finished, float]:
        async with Emulator() as emulator:
            process = await start_with_memory(tmp_path, emulator, None, "--max-concurrent", "6")
            await until_said(process, "0 of 6")  # the images are next
            process.send_signal(signal.SIGTERM)
            await until_said(process, "SIGTERM")
            begun = asyncio.get_running_loop().time()
            process.send_signal(signal.SIGTERM)
            done = await finish(process)
            return done, asyncio.get_running_loop().time() - begun

    done, seconds = asyncio.run(scenario())

    assert done.code == 143, done.stderr
    assert seconds < 10
    assert document(tmp_path / "out", "processing_stats.json")["exit_code"] == 143
