"""Signals: Ctrl-C and SIGTERM at random instants, while calls hang; a second one ends every run."""

import signal
from dataclasses import replace
from functools import cache
from pathlib import Path

from tests.attack.arena import KILLED, Arena
from tests.attack.payments import Payments
from tests.attack.tally import Harm
from tests.crash.checks import check_any_instant
from tests.crash.points import PICTURE_MODEL, TEXT_MODEL
from tests.crash.surroundings import Surroundings
from tests.emulator import Fault, FaultPlan
from tests.emulator.service import Service
from tests.support.cli_cases import make_images, text_of
from tests.support.slow_images import SLOW_IMAGES

_LATENCY_S = (0.02, 0.2)
_SLOTS = 4
_GRACE_S = 1.0
_MARGIN_S = 2.0
_FIRST_S, _SECOND_S = (0.1, 1.0), (0.02, 0.6)
_STOPPED = {128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM}
"""A signal in the last milliseconds ends the process itself: a shell shows the same codes."""
_HALF = 0.5
_WAYS = (Fault.HANG, Fault.SLOW_DRIP, Fault.UNAVAILABLE, Fault.RATE_LIMIT)


async def play(arena: Arena) -> None:
    """Send one or two signals, then finish the work."""
    draw = arena.random
    hashes = make_images(arena.photos, draw.randint(8, 14))
    scripts = {sha256: [draw.choice(_WAYS)] for sha256 in hashes.values() if draw.random() < 0.5}
    model = draw.choice([TEXT_MODEL, PICTURE_MODEL])
    plan = FaultPlan(per_image=scripts)
    async with arena.emulator(plan=plan, latency_s=_LATENCY_S, drip_s=2.0) as emulator:
        payments = Payments(emulator, arena.output)
        more = ["--model", model, "--max-concurrent", str(_SLOTS), "--grace", f"{_GRACE_S:g}s"]
        arguments = arena.arguments(emulator.base_url, *more)
        first_s = draw.uniform(*_FIRST_S)
        last_s = first_s + draw.uniform(*_SECOND_S)
        signals = [(first_s, draw.choice([signal.SIGINT, signal.SIGTERM]))]
        signals += [(last_s, draw.choice([signal.SIGINT, signal.SIGTERM]))]
        arena.tally.what["signals"] += len(signals)
        around = replace(Surroundings(env=arena.env()), signals=signals)
        slow = _write_slow_image(arena)
        done = await arena.run(*arguments, surroundings=around)
        slow.unlink(missing_ok=True)
        late_s = arena.launcher.seconds - last_s
        is_late = late_s > _GRACE_S + _MARGIN_S and done.code in {*_STOPPED, KILLED}
        arena.tally.note_if(is_late, Harm.LEFT_OVER, f"ended {late_s:.1f} s after the second signal")
        is_known = done.code in {0, *_STOPPED}
        arena.tally.note_if(not is_known, Harm.WRONG, f"exit code {done.code}: {done.stderr[-400:]}")
        check_any_instant(arena.output)
        payments.record_proven()
        emulator.plan = FaultPlan()
        Service.reset(emulator)  # the plan begins anew, the log goes on
        done = await arena.run(*arguments)
        arena.tally.note_if(done.code, Harm.WRONG, f"then: exit code {done.code}: {done.stderr[-400:]}")
        payments.note_harms(arena.tally, may_repeat=_SLOTS)
    for key, sha256 in hashes.items():
        text = text_of(arena.output, key)
        arena.tally.note_if(f"image {sha256}" not in text, Harm.WRONG, f"{key} has {text[:80]!r}")


def _write_slow_image(arena: Arena) -> Path:
    """Write an image that would hold a decoder for long, in half of the batches; return its path."""
    name = arena.random.choice(sorted(SLOW_IMAGES))
    path = arena.photos / name
    if arena.random.random() < _HALF:
        path.write_bytes(_build(name))
    return path


@cache
def _build(name: str) -> bytes:
    return SLOW_IMAGES[name]()
