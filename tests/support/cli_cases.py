"""Inputs of whole runs, and their answers."""

import asyncio
import hashlib
from pathlib import Path

from PIL import Image

from tests.emulator import Emulator

PROMPT = "Describe this picture"


def make_images(folder: Path, count: int) -> dict[str, str]:
    """Write so many different images in three nested folders; return sha256 by key."""
    hashes = {}
    for number in range(count):
        key = f"{('', 'trip/', 'trip/day 2/')[number % 3]}photo{number:03}.png"
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number % 256, number // 256, 77)).save(path)
        hashes[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


def text_of(output: Path, key: str) -> str:
    """Return the answer in the tree for an image."""
    return (output / "successful" / f"{key}_result.txt").read_text(encoding="utf-8")


def arguments(folder: Path, emulator: Emulator, *more: str | Path) -> list[str | Path]:
    """Return the arguments of a run over ``photos`` into ``out``."""
    return [
        *("--input-dir", folder / "photos", "--prompt", PROMPT, "--output-dir", folder / "out"),
        *("--api-base-url", emulator.base_url, *more),
    ]


async def until_calls(emulator: Emulator, number: int) -> None:
    """Wait until so many calls have arrived; a run that never makes them fails the test."""
    async with asyncio.timeout(60):
        await emulator.log.until_arrived(number)
