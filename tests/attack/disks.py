"""Disks: full, without room for names, read-only, and other file systems over FUSE; then with room again."""

import contextlib
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.attack.arena import KILLED, Arena
from tests.attack.payments import Payments
from tests.attack.tally import Harm
from tests.crash.checks import check_finished, ledger_lines
from tests.crash.points import PICTURE_MODEL, TEXT_MODEL
from tests.emulator import Emulator
from tests.support.cli import Finished
from tests.support.cli_cases import make_images
from tests.support.disks import mounted

_LATENCY_S = (0.005, 0.05)
_IMAGES = 12
_SLOTS = 4
_CANNOT_WRITE = 1
_PLENTY = "64m"


async def play(arena: Arena) -> None:
    """Play the disk of the seed."""
    names = sorted(DISKS)
    name = names[arena.seed % len(names)]
    async with arena.emulator(latency_s=_LATENCY_S, picture_px=48) as emulator:
        try:
            await DISKS[name](arena, emulator)
        except pytest.skip.Exception as skipped:
            arena.tally.not_tried.add(f"{name} disk ({str(skipped).removeprefix('NOT TESTED: ')})")
        else:
            arena.tally.what[name] += 1


async def _play_full(arena: Arena, emulator: Emulator) -> None:
    """The disk has room for some answers only."""
    size = arena.random.choice(["120k", "180k", "260k", "400k"])
    await _play_short(arena, emulator, f"size={size}", f"size={_PLENTY}")


async def _play_without_names(arena: Arena, emulator: Emulator) -> None:
    """The disk has room for some names only."""
    inodes = arena.random.randint(8, 40)
    await _play_short(arena, emulator, f"nr_inodes={inodes},size={_PLENTY}", f"nr_inodes=9999,size={_PLENTY}")


async def _play_short(arena: Arena, emulator: Emulator, scarce: str, plenty: str) -> None:
    hashes = make_images(arena.photos, _IMAGES)
    payments = Payments(emulator, arena.output)
    model = arena.random.choice([TEXT_MODEL, PICTURE_MODEL])
    with _tmpfs(arena.output, scarce):
        done = await _run(arena, emulator, "--model", model)
        arena.tally.note_if(
            done.code not in {0, _CANNOT_WRITE},
            Harm.WRONG,
            f"{scarce}: exit code {done.code}: {done.stderr[-300:]}",
        )
        _note_unnamed(arena, payments, hashes, done)
        payments.record_proven()
        _mount("-o", f"remount,{plenty}", arena.output)
        done = await _run(arena, emulator, "--model", model)
        arena.tally.note_if(done.code, Harm.WRONG, f"then: exit code {done.code}: {done.stderr[-300:]}")
        payments.note_harms(arena.tally, may_repeat=_SLOTS)
        check_finished(arena.output, hashes)


def _note_unnamed(arena: Arena, payments: Payments, hashes: Mapping[str, str], done: Finished) -> None:
    """Note answers that were paid, could not be written, and are not named."""
    keys = {sha256: key for key, sha256 in hashes.items()}
    for sha256, _ in set(payments.count_paid()) - payments.find_proven():
        arena.tally.note_if(keys[sha256] not in done.stderr, Harm.LOST, f"{keys[sha256]} was lost in silence")


async def _play_read_only(arena: Arena, emulator: Emulator) -> None:
    """The disk is read-only, before the run or in the middle of it."""
    hashes = make_images(arena.photos, _IMAGES)
    payments = Payments(emulator, arena.output)
    with _tmpfs(arena.output, f"size={_PLENTY}"):
        if arena.random.random() < 0.5:
            await arena.run(*arena.arguments(emulator.base_url, "--max-requests", "3"))
            payments.record_proven()
        _mount("-o", "remount,ro", arena.output)
        calls = len(emulator.calls)
        done = await _run(arena, emulator)
        arena.tally.note_if(
            done.code != _CANNOT_WRITE, Harm.WRONG, f"exit code {done.code}: {done.stderr[-300:]}"
        )
        arena.tally.note_if(len(emulator.calls) > calls, Harm.LOST, "calls whose answers cannot be written")
        _mount("-o", "remount,rw", arena.output)
        done = await _run(arena, emulator)
        arena.tally.note_if(done.code, Harm.WRONG, f"then: exit code {done.code}: {done.stderr[-300:]}")
        payments.note_harms(arena.tally, may_repeat=0)
        check_finished(arena.output, hashes)


def _play_fuse(kind: str) -> Callable[[Arena, Emulator], Awaitable[None]]:
    """Return the attack on a disk of this kind: killed, then finished, then nothing new."""

    async def play_one(arena: Arena, emulator: Emulator) -> None:
        hashes = make_images(arena.photos, _IMAGES)
        disk = arena.folder / "fuse"
        disk.mkdir()
        with mounted(kind, disk) as folder:
            arena.output = folder / "out"
            payments = Payments(emulator, arena.output)
            done = await arena.run(
                *arena.arguments(emulator.base_url, "--max-concurrent", str(_SLOTS)),
                kill_after_s=arena.random.uniform(0.2, 0.8),
                watched=False,
            )
            payments.record_proven()
            killed = _SLOTS if done.code == KILLED else 0
            for _ in range(2):
                done = await arena.run(*arena.arguments(emulator.base_url), watched=False)
                arena.tally.note_if(
                    done.code, Harm.WRONG, f"{kind}: exit code {done.code}: {done.stderr[-300:]}"
                )
            payments.note_harms(arena.tally, may_repeat=killed)
            lines = {line["sha256"]: line for line in ledger_lines(arena.output)}
            for key, sha256 in hashes.items():
                text = (arena.output / lines[sha256]["artefacts"][0]["path"]).read_text(encoding="utf-8")
                arena.tally.note_if(
                    f"image {sha256}" not in text, Harm.WRONG, f"{kind}: {key} has {text[:80]!r}"
                )
            arena.check_left_over()
            arena.check_key()

    return play_one


async def _run(arena: Arena, emulator: Emulator, *more: str) -> Finished:
    return await arena.run(*arena.arguments(emulator.base_url, "--max-concurrent", str(_SLOTS), *more))


@contextlib.contextmanager
def _tmpfs(folder: Path, options: str) -> Iterator[None]:
    """Mount a small disk of memory; what stands there in the end is kept below it."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", options, "attack", folder)
    try:
        yield
    finally:
        subprocess.run([_find("umount"), "-l", str(folder)], check=False)


def _mount(*arguments: str | Path) -> None:
    done = subprocess.run([_find("mount"), *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT TESTED: mount is not allowed here: {done.stderr.strip()}")


def _find(program: str) -> str:
    return shutil.which(program) or program


DISKS: Mapping[str, Callable[[Arena, Emulator], Awaitable[None]]] = {
    "full": _play_full,
    "without names": _play_without_names,
    "read-only": _play_read_only,
    **{kind: _play_fuse(kind) for kind in ("ntfs", "exfat", "encrypted")},
}
