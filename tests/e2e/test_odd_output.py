"""Rules of what a run shows to people: no name and no library writes to the terminal as it likes."""

import asyncio
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.emulator import Emulator
from tests.support.cli import Finished, run_cli
from tests.support.cli_cases import PROMPT

pytestmark = pytest.mark.e2e

ODD = "\u202egnp\u2066\u200f\x1b[31m\x07"
"""Marks that turn the rest of a line around, and commands to a terminal."""
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")


def noisy_tiff() -> bytes:
    """Return a damaged TIFF over which libtiff complains on the descriptor of stderr."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "TIFF", compression="tiff_lzw")
    data = bytearray(buffer.getvalue())
    middle = len(data) // 2
    data[8:middle] = b"\xff" * (middle - 8)
    return bytes(data)


def run_over(folder: Path, *more: str | Path) -> Finished:
    """Run over a folder of odd names."""

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            return await run_cli(
                *("--input-dir", folder / f"in{ODD}", "--output-dir", folder / f"out{ODD}"),
                *("--prompt", PROMPT, "--api-base-url", emulator.base_url, *more),
            )

    return asyncio.run(scenario())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with images of odd names, good and bad ones."""
    images = tmp_path / f"in{ODD}"
    (images / f"sub{ODD}").mkdir(parents=True)
    Image.new("RGB", (8, 8), 1).save(images / f"good{ODD}.png")
    Image.new("RGB", (8, 8), 2).save(images / f"sub{ODD}" / "good.png")
    (images / f"bad{ODD}.png").write_bytes(b"no picture")
    (images / "noisy.tif").write_bytes(noisy_tiff())
    return tmp_path


@pytest.mark.parametrize("more", [(), ("--quiet",), ("-v",)], ids=["normal", "quiet", "verbose"])
def test_names_cannot_command_the_terminal(folder: Path, more: tuple[str, ...]) -> None:
    """Streams, log, reports and ``--status`` show marks and commands escaped, and nothing of a library."""
    log = folder / "run.log"

    done = run_over(folder, "--log-file", log, *more)
    status = asyncio.run(run_cli("--status", "--output-dir", folder / f"out{ODD}", key=None))

    assert done.code == 3, done.stderr
    shown = [done.stdout, done.stderr, status.stdout, status.stderr, log.read_text(encoding="utf-8")]
    shown += [path.read_text(encoding="utf-8") for path in (folder / f"out{ODD}").rglob("*.log")]
    assert not [found[0] for text in shown for found in RAW.finditer(text)]
    libraries = [line for line in done.stderr.splitlines() if "TIFF" in line or "LZW" in line]
    assert all(line.startswith(("warning: ", "noisy.tif")) for line in libraries), done.stderr
    assert more != ("-v",) or "its decoder says" in done.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ("--input-dir", f"missing{ODD}"),
        ("--prompt-edits", f"missing{ODD}.toml"),
        ("--job", f"missing{ODD}.toml"),
        ("--log-file", f"/dev/null/{ODD}"),
        ("--model", f"model{ODD}"),
        (f"--nonsense{ODD}",),
        ("--max-retries", ODD),
    ],
    ids=lambda flags: flags[0][:14],
)
def test_a_wrong_flag_is_repeated_without_its_commands(folder: Path, flags: tuple[str, ...]) -> None:
    """The sentence about a flag shows what was typed, escaped."""
    done = asyncio.run(
        run_cli(
            *("--dry-run", "--input-dir", folder / f"in{ODD}", "--output-dir", folder / "out"),
            *("--prompt", PROMPT, "--enable-prompt-optimization", *flags),
        )
    )

    assert done.code in {0, 2, 3}, done.stderr
    assert not RAW.findall(done.stderr), done.stderr
    assert not RAW.findall(done.stdout)
