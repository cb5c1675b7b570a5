"""Mutated images: samples of every format with bytes changed at random, between whole ones."""

import hashlib
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.attack.arena import Arena
from tests.attack.tally import Harm
from tests.crash.checks import ledger_lines
from tests.emulator import Emulator
from tests.support.cli import document
from tests.support.hostile_images import encoded, picture
from tests.support.sample_images import WHOLE

IMAGES = 240
"""Mutated ones in a batch."""
_CONTROLS = 10
_SOME_FAILED = 3
_MOST_CHANGED = 20
_SUFFIX = {"jpeg": ".jpg", "mpo": ".jpg", "tiff": ".tif", "heic": ".heic", "2000": ".jp2"}


def _flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, _MOST_CHANGED)):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _change_head(data: bytes, draw: random.Random) -> bytes:
    """Change bytes where sizes, counts and offsets stand."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, _MOST_CHANGED)):
        changed[draw.randrange(min(len(changed), 200))] = draw.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(changed)


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def _insert(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + draw.randbytes(draw.randint(1, 400)) + data[at:]


def _remove(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + data[at + draw.randint(1, 200) :]


def _repeat(data: bytes, draw: random.Random) -> bytes:
    """Say a piece of it many times."""
    at = draw.randrange(len(data))
    piece = data[at : at + draw.randint(2, 60)]
    return data[:at] + piece * draw.choice([2, 50, 2_000]) + data[at:]


def _join(data: bytes, draw: random.Random) -> bytes:
    """Begin as one format and go on as another."""
    other = WHOLE[draw.choice(sorted(WHOLE))]
    return data[: draw.randrange(len(data))] + other[draw.randrange(len(other)) :]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _flip, _change_head, _change_head, _cut, _insert, _remove, _repeat, _join,
)  # fmt: skip


async def play(arena: Arena) -> None:
    """Ask about a folder of mutated images and some whole ones; each ends in one outcome."""
    arena.tally.cases += IMAGES
    mutated, controls = _write_images(arena)
    async with arena.emulator(check_images=True) as emulator:
        done = await arena.run(
            *arena.arguments(emulator.base_url, "--max-concurrent", "20", "--max-retries", "0")
        )
        arena.tally.note_if(
            done.code not in {0, _SOME_FAILED}, Harm.WRONG, f"exit code {done.code}: {done.stderr[-600:]}"
        )
        _check(arena, emulator, mutated, controls)


def _write_images(arena: Arena) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Write the images; return the hashes of the mutated and of the whole ones, by key."""
    mutated, controls = {}, {}
    for number in range(IMAGES):
        kind = arena.random.choice(sorted(WHOLE))
        data = arena.random.choice(MUTATIONS)(WHOLE[kind], arena.random)
        key = f"mutated{number:03}{_SUFFIX.get(kind.split()[-1], '.' + kind.split()[-1])}"
        mutated[key] = _write(arena.photos / key, data)
    for number in range(_CONTROLS):
        data = encoded(picture(arena.seed * _CONTROLS + number, (40 + number, 30)), "PNG")
        controls[f"whole{number}.png"] = _write(arena.photos / f"whole{number}.png", data)
    return mutated, controls


def _write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _check(arena: Arena, emulator: Emulator, mutated: Mapping[str, str], controls: Mapping[str, str]) -> None:
    lines: dict[str, dict[str, Any]] = {line["key"]: line for line in ledger_lines(arena.output)}
    hashes = {**mutated, **controls}
    for key in controls:
        arena.tally.note_if(key not in lines, Harm.LOST, f"{key} is whole and has no answer")
    known = set(hashes.values())
    for key, line in lines.items():
        text = (arena.output / line["artefacts"][0]["path"]).read_text(encoding="utf-8")
        named = text.partition("image ")[2].partition("\n")[0]
        is_other = named in known - {hashes[key]}
        arena.tally.note_if(is_other, Harm.WRONG, f"{key} has the answer to another image")
    for call in emulator.calls:
        is_refused = call.outcome.startswith("http ")
        arena.tally.note_if(is_refused, Harm.WRONG, f"bytes of no image were sent: {call.outcome}")
    surplus = len(emulator.calls) - len(lines)
    arena.tally.note_if(surplus > 0, Harm.DOUBLED, f"{surplus} calls more than answers")
    accounting = document(arena.output, "processing_stats.json")["accounting"]
    arena.tally.note_if(accounting["answered"] != len(lines), Harm.WRONG, f"the accounting: {accounting}")
    arena.tally.what["answered"] += len(lines) - len(controls)
