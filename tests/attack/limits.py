"""Limits of the process: descriptors, memory, processes, sizes of files; then a run without them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.attack.arena import Arena
from tests.attack.payments import Payments
from tests.attack.tally import Harm
from tests.crash.checks import check_any_instant, check_finished
from tests.crash.points import PICTURE_MODEL, TEXT_MODEL
from tests.crash.surroundings import Surroundings
from tests.support.cli import Finished
from tests.support.cli_cases import make_images

_LATENCY_S = (0.01, 0.1)
_IMAGES = 40
_FIRST_USER = 41_000
"""Users of the cases of processes: the kernel counts by user, and root has no such limit."""
_MB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit, and the run that meets it."""

    name: str
    limits: Mapping[str, int]
    slots: int
    model: str = TEXT_MODEL
    flags: Sequence[str] = field(default_factory=tuple)


LIMITS = (
    Limit(name="64 descriptors", limits={"NOFILE": 64}, slots=40),
    Limit(name="64 descriptors, pictures", limits={"NOFILE": 64}, slots=40, model=PICTURE_MODEL),
    Limit(name="256 descriptors", limits={"NOFILE": 256}, slots=250),
    Limit(name="20 descriptors", limits={"NOFILE": 20}, slots=5),
    Limit(name="little memory", limits={"AS": 380 * _MB}, slots=20),
    Limit(name="less memory", limits={"AS": 300 * _MB}, slots=5, flags=["--archive-format", "zip"]),
    Limit(name="12 processes", limits={"NPROC": 12}, slots=20),
    Limit(name="4 processes", limits={"NPROC": 4}, slots=5),
    Limit(name="2 processes", limits={"NPROC": 2}, slots=5),
    Limit(name="1 process", limits={"NPROC": 1}, slots=5),
    Limit(name="files of 100 kB", limits={"FSIZE": 100_000}, slots=20),
    Limit(name="files of 4 kB", limits={"FSIZE": 4_096}, slots=5),
)


async def play(arena: Arena) -> None:
    """Play the limit of the seed, and go on without it."""
    limit = LIMITS[arena.seed % len(LIMITS)]
    hashes = make_images(arena.photos, arena.random.randint(_IMAGES // 2, _IMAGES))
    async with arena.emulator(latency_s=_LATENCY_S, picture_px=32) as emulator:
        payments = Payments(emulator, arena.output)
        more = ["--model", limit.model, "--max-concurrent", str(limit.slots), *limit.flags]
        arguments = arena.arguments(emulator.base_url, *more)
        done = await arena.run(*arguments, surroundings=_surroundings(arena, limit))
        _check_limited(arena, limit, done)
        check_any_instant(arena.output)
        payments.record_proven()
        paid = payments.count_paid()
        missing = set(paid) - payments.find_proven()
        arena.tally.note_if(
            missing,
            Harm.LOST,
            f"{limit.name}: {len(missing)} of {len(paid)} paid answers: {done.stderr[-600:]}",
        )
        done = await arena.run(*arguments)
        arena.tally.note_if(
            done.code, Harm.WRONG, f"{limit.name}: exit code {done.code}: {done.stderr[-400:]}"
        )
        payments.note_harms(arena.tally, may_repeat=0)
    check_finished(arena.output, hashes)


def _surroundings(arena: Arena, limit: Limit) -> Surroundings:
    if "NPROC" not in limit.limits:
        return Surroundings(env=arena.env(), limits=limit.limits)
    user = _FIRST_USER + arena.seed
    for path in [*arena.root.rglob("*"), arena.root]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    arena.output.mkdir()
    for name in ("out", "state", "home", "tmp", "cwd"):
        (arena.folder / name).chmod(0o777)
    return Surroundings(env=arena.env(), limits=limit.limits, uid=user)


def _check_limited(arena: Arena, limit: Limit, done: Finished) -> None:
    """Check that the last line is a sentence, and that success is one."""
    last = done.stderr.strip().splitlines()[-1:] or [""]
    is_sentence = "(exit code" in last[0] or "Next:" in last[0] or (done.code != 0 and len(last[0]) > 20)
    arena.tally.note_if(
        not is_sentence, Harm.WRONG, f"{limit.name}: no sentence at the end: {done.stderr[-300:]}"
    )
