"""Live copies: the output copied again and again while a run goes on, then resumed from each copy."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.attack.arena import Arena
from tests.attack.payments import Payments
from tests.attack.tally import Harm
from tests.crash.checks import check_finished
from tests.emulator import Emulator
from tests.support.cli_cases import make_images

COPIES = 4
"""In a batch."""
_IMAGES = 8
_CONCURRENT = 3
_LATENCY_S = (0.02, 0.15)
_UNTIL_S = 0.5
"""The copies begin within this time."""


async def play(arena: Arena) -> None:
    """Copy the output some times during one run; then finish each copy."""
    hashes = make_images(arena.photos, _IMAGES)
    async with arena.emulator(latency_s=_LATENCY_S) as emulator:
        running = asyncio.ensure_future(_run(arena, emulator))
        copies = [await _copy(arena, number) for number in range(COPIES)]
        await running
        check_finished(arena.output, hashes)
        for copy in copies:
            arena.tally.cases += 1
            await _resume(arena, copy, emulator, hashes)


async def _run(arena: Arena, emulator: Emulator) -> None:
    flags = ["--max-concurrent", str(_CONCURRENT)]
    # Not watched: the copies are made beside it.
    done = await arena.run(*arena.arguments(emulator.base_url, *flags), watched=False)
    arena.tally.note_if(done.code, Harm.WRONG, f"exit code {done.code}: {done.stderr[-500:]}")


async def _copy(arena: Arena, number: int) -> Path:
    """Copy the output at a random instant; files that vanish meanwhile are left out, as rsync does."""
    await asyncio.sleep(arena.random.uniform(0, _UNTIL_S / COPIES * 2))
    copy = arena.folder / f"copy{number}"
    await asyncio.to_thread(_copy_tree, arena.output, copy)
    return copy


def _copy_tree(source: Path, target: Path) -> None:
    target.mkdir()
    try:
        shutil.copytree(source, target, dirs_exist_ok=True)
    except (shutil.Error, FileNotFoundError):  # of files that were renamed or removed meanwhile
        return


async def _resume(arena: Arena, copy: Path, emulator: Emulator, hashes: Mapping[str, str]) -> None:
    arena.output = copy
    emulator.reset()
    payments = Payments(emulator, copy)
    payments.record_proven()
    done = await arena.run(*arena.arguments(emulator.base_url))
    arena.tally.note_if(done.code, Harm.WRONG, f"exit code {done.code}: {done.stderr[-500:]}")
    payments.note_harms(arena.tally, may_repeat=0)
    check_finished(copy, hashes)
    arena.check_left_over()
