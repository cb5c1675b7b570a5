"""Rounds of the crash test: kill the program at random instants, then check every promise.

A round: a few images, the real command line against the emulator, SIGKILL at random instants, started
again until it ends by itself. ``make crash-test`` runs 200 and more of them; the test suite a few.
The same seed gives the same images and the same delays; the point of the kill is random.
"""

import asyncio
import contextlib
import random
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.checks import (
    PaymentCheck,
    check_any_instant,
    check_archive,
    check_finished,
    count_calls_by_image,
)
from tests.crash.points import PICTURE_MODEL, TEXT_MODEL
from tests.emulator import Emulator
from tests.support.cli import Finished, finish, start
from tests.support.cli_cases import PROMPT, make_images

LATENCY_S = (0.02, 0.2)
MAX_KILLS = 4


@dataclass(slots=True, kw_only=True)
class Totals:
    """Results of some rounds."""

    rounds: int = 0
    starts: int = 0
    kills: int = 0
    took_s: float = 0.0
    """Duration of the last run, from start to end."""
    images: int = 0
    calls: int = 0
    allowed: int = 0
    """The most calls that the promise allows: images + kills x calls in flight."""
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"{self.rounds} rounds, {self.starts} starts, {self.kills} kills: {self.calls} calls for"
            f" {self.images} images ({self.allowed} allowed), {len(self.failures)} rounds failed"
        )


@dataclass(kw_only=True)
class Round:
    """One round in a folder of its own."""

    seed: int
    folder: Path
    run_s: float
    """Rough duration of a run without a kill, in seconds."""
    kills: int = 0
    starts: int = 0
    took_s: float = 0.0
    """Duration of the last run, from start to end."""

    def __post_init__(self) -> None:
        """Draw the parameters of this round."""
        self.random = random.Random(self.seed)
        self.concurrent = self.random.randint(2, 4)
        self.hashes = make_images(self.folder / "photos", self.random.randint(4, 8))
        self.packs = self.random.random() < 0.4
        self.model = PICTURE_MODEL if self.random.random() < 0.3 else TEXT_MODEL

    async def play(self, totals: Totals) -> None:
        """Kill and start again until the program ends by itself; then check everything."""
        async with Emulator(latency_s=LATENCY_S, seed=self.seed) as emulator:
            payments = PaymentCheck(emulator, self.output)
            while (done := await self._run(emulator)) is None:
                check_any_instant(self.output)
                payments.record_proven()
            calls = count_calls_by_image(emulator)
            totals.calls += calls.total()
            assert done.code == 0, done.stderr
            assert not payments.find_paid_twice()
            assert calls.total() <= self.allowed
            assert set(calls) == set(self.hashes.values())
        check_finished(self.output, self.hashes)
        if self.packs:
            check_archive(self.output)

    @property
    def output(self) -> Path:
        """The output directory."""
        return self.folder / "out"

    @property
    def allowed(self) -> int:
        """The most calls that the promise allows."""
        return len(self.hashes) + self.kills * self.concurrent

    async def _run(self, emulator: Emulator) -> Finished | None:
        """Start the program once; return None if it was killed."""
        self.starts += 1
        clock = asyncio.get_running_loop().time
        start_s = clock()
        process = await start(
            *("--input-dir", self.folder / "photos", "--output-dir", self.output, "--prompt", PROMPT),
            *("--api-base-url", emulator.base_url, "--max-concurrent", str(self.concurrent)),
            *("--model", self.model, "--archive-format", "zip" if self.packs else "none"),
        )
        waiting = asyncio.ensure_future(finish(process))
        if self.kills < MAX_KILLS:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(waiting), self._delay_s())
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        done = await waiting
        self.took_s = clock() - start_s
        if done.code == -9:
            self.kills += 1
            return None
        return done

    def _delay_s(self) -> float:
        """Return when to kill: mostly while there is work, sometimes while the program only starts."""
        early_s = 0.0 if self.random.random() < 0.15 else 0.3 * self.run_s
        return self.random.uniform(early_s, 1.05 * self.run_s)


async def play(rounds: int, *, seed: int, parallel: int = 2) -> Totals:
    """Play so many rounds, some at a time; a failure names the seed of its round."""
    totals, gate = Totals(), asyncio.Semaphore(parallel)
    run_s = await _measure_run(seed)

    async def play_one(number: int) -> None:
        async with gate:
            with tempfile.TemporaryDirectory() as folder:
                one_round = Round(seed=number, folder=Path(folder), run_s=run_s)
                try:
                    await one_round.play(totals)
                except (AssertionError, OSError, ValueError, KeyError, TimeoutError):
                    totals.failures.append(f"round with seed {number}:\n{traceback.format_exc()}")
                _add_round(totals, one_round)

    async with asyncio.TaskGroup() as group:
        for number in range(seed, seed + rounds):
            group.create_task(play_one(number))
    return totals


def _add_round(totals: Totals, played: Round) -> None:
    totals.rounds += 1
    totals.starts += played.starts
    totals.kills += played.kills
    totals.images += len(played.hashes)
    totals.allowed += played.allowed


async def _measure_run(seed: int) -> float:
    """Return how long a run without a kill takes on this machine, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        reference = Round(seed=seed, folder=Path(folder), run_s=0.0, kills=MAX_KILLS)
        await reference.play(Totals())
        return reference.took_s
