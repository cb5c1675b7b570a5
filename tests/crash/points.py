"""Crash test at every single point of a run: killed there, or the disk full there.

For each point (every change of a file, every statement that writes to the journal) one run that meets
its fault there, and one that goes on. ``stride`` leaves points out where time is short.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.checks import (
    PaymentCheck,
    check_any_instant,
    check_archive,
    check_finished,
    count_calls_by_image,
    find_proven,
)
from tests.crash.launched import Launcher
from tests.crash.launcher import Fault
from tests.emulator import Emulator
from tests.support.cli import Finished
from tests.support.cli_cases import make_images

IMAGES = 3
CONCURRENT = 2
LATENCY_S = 0.01
KILLED = -9
TEXT_MODEL = "gemini-3.5-flash-lite"
PICTURE_MODEL = "gemini-nano-banana-2.1"


@dataclass(kw_only=True)
class Scene:
    """Some images in a folder, and runs over them."""

    folder: Path
    emulator: Emulator
    launcher: Launcher
    model: str = TEXT_MODEL
    hashes: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Write the images."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.hashes = make_images(self.folder / "photos", IMAGES)
        self.emulator.reset()
        self.payments = PaymentCheck(self.emulator, self.output)

    @property
    def output(self) -> Path:
        """The output directory."""
        return self.folder / "out"

    @property
    def keys(self) -> dict[str, str]:
        """The images' names by their hashes."""
        return {sha256: key for key, sha256 in self.hashes.items()}

    async def run(self, fault: Fault | None = None, *, prompt: str = "describe") -> Finished:
        """Run the program once."""
        return await self.launcher.run(
            *("--input-dir", self.folder / "photos", "--output-dir", self.output, "--prompt", prompt),
            *("--api-base-url", self.emulator.base_url, "--max-concurrent", str(CONCURRENT)),
            *("--model", self.model, "--archive-format", "zip", "--state-dir", self.folder / "state"),
            fault=fault or Fault(),
        )

    async def finish(self) -> None:
        """Run again after the fault; check that the result is as without it, and nothing paid again."""
        check_any_instant(self.output)
        self.payments.record_proven()
        done = await self.run()
        assert done.code == 0, done.stderr
        assert not self.payments.find_paid_twice()
        check_finished(self.output, self.hashes)
        check_archive(self.output)


Check = Callable[[Scene, Finished], None]


def check_killed(scene: Scene, done: Finished) -> None:
    """Killed: at most the calls in flight are made again."""
    assert done.code == KILLED, done.stderr


def check_full_disk(scene: Scene, done: Finished) -> None:
    """Full: exit code 1 with a reason and without a trace; each answer that is not there is named."""
    assert done.code in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr
    if done.code == 1:
        last = done.stderr.splitlines()[-1].lower()
        assert "no space left" in last or "disk is full" in last, done.stderr
    missing = set(count_calls_by_image(scene.emulator)) - find_proven(scene.output)
    for sha256 in missing:
        assert scene.keys[sha256] in done.stderr, f"{scene.keys[sha256]} was lost in silence: {done.stderr}"


async def sweep(
    folder: Path, act: str, check: Check, *, stride: int = 1, first: int = 1, model: str = TEXT_MODEL
) -> tuple[int, list[str]]:
    """Let a run meet its fault at one point after another; return how many, and what did not hold."""
    points, failures = 0, []
    with Launcher() as launcher:
        async with Emulator(latency_s=LATENCY_S) as emulator:
            await Scene(folder=folder, emulator=emulator, launcher=launcher, model=model).run()
            total = launcher.points
            for nth in range(first, total + 1, stride):
                points += 1
                scene = Scene(folder=folder, emulator=emulator, launcher=launcher, model=model)
                try:
                    await check_point(scene, Fault(act=act, nth=nth), check)
                except AssertionError as error:
                    failures.append(f"{act} at point {nth}: {error}")
    return points, failures


async def check_point(scene: Scene, fault: Fault, check: Check) -> None:
    """Run with the fault, check what it left, run again, check the end."""
    done = await scene.run(fault)
    if done.code == KILLED or fault.act != "kill":
        check(scene, done)
    await scene.finish()
