"""Benchmark of runs with little or nothing to ask, over very many images that are answered.

Starts the real command line as a process for ``--help``, over 1,000 to 100,000 answered images, once with
nothing new and once with ten new images, and for a dry run over 1,000 and 100,000 fresh ones; prints wall
time, CPU and peak memory of that process as a table in Markdown. Imports only what is small: on Linux a
process counts the memory of the one that started it as its own.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter  # noqa: TID251 - a benchmark has no event loop

from bench.images import write_images

ROOT = Path(__file__).resolve().parent.parent
KEY = "bench-key"
NEW = 10
PER_FOLDER = 1_000
_MB = 1 << 20
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
"""Of ``ru_maxrss``: macOS counts bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    answered: tuple[int, ...]
    dry: tuple[int, ...]
    rounds: int


WHOLE = Sizes(answered=(1_000, 10_000, 100_000), dry=(1_000, 100_000), rounds=3)
QUICK = Sizes(answered=(100, 1_000), dry=(100, 500), rounds=1)


@dataclass(slots=True)
class World:
    """One input and one output directory, and the emulator that would see every call."""

    folder: Path
    base_url: str
    images: int = 0

    def add_images(self, count: int) -> None:
        """Write images that are not there yet."""
        write_images(self.folder / "in", first=self.images, count=count, per_folder=PER_FOLDER)
        self.images += count

    def answer_all(self) -> None:
        """Let every image have its answer."""
        subprocess.run([sys.executable, "-m", "bench.filled", *self._flags()], cwd=ROOT, check=True)

    def run(self, *more: str, calls: int = 0) -> Cost:
        """Run the program once; it must end well after exactly so many calls."""
        before = _calls(self.base_url)
        cost = measured([sys.executable, str(ROOT / "main.py"), *self._flags(), "--quiet", *more])
        made = _calls(self.base_url) - before
        if made != calls:
            raise SystemExit(f"the run made {made} calls, not {calls}: its figures mean nothing")
        return cost

    def _flags(self) -> list[str]:
        inside, outside = self.folder / "in", self.folder / "out"
        flags = {"--input-dir": inside, "--output-dir": outside, "--prompt": "Describe the photo."}
        flags["--api-base-url"] = self.base_url
        return [word for flag, value in flags.items() for word in (flag, str(value))]


def measured(command: list[str]) -> Cost:
    """Run a command to its end and return what the kernel counted; anything but exit code 0 is an error."""
    path = os.environ["PATH"]  # noqa: TID251 - a clean environment but for this
    started_s = perf_counter()
    env = {"PATH": path, "LANG": "C.UTF-8", "GEMINI_API_KEY": KEY}
    unseen = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, env, file_actions=unseen)
    _, status, used = os.wait4(pid, 0)
    wall_s = perf_counter() - started_s
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(
        wall_s=wall_s,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_mb=used.ru_maxrss * _RSS_UNIT_BYTES / _MB,
    )


def medians(costs: Sequence[Cost]) -> Cost:
    """Return the middle of each figure."""
    return Cost(
        wall_s=statistics.median(cost.wall_s for cost in costs),
        cpu_s=statistics.median(cost.cpu_s for cost in costs),
        peak_mb=statistics.median(cost.peak_mb for cost in costs),
    )


@contextmanager
def emulator() -> Iterator[str]:
    """Yield the base URL of an emulator that runs as a process of its own."""
    command = [sys.executable, "-m", "tests.emulator", "--port", "0", "--key", KEY]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield json.loads(child.stdout.readline() if child.stdout else "{}")["base_url"]
        finally:
            child.terminate()


def _calls(base_url: str) -> int:
    with urllib.request.urlopen(f"{base_url}/_emulator/requests", timeout=10) as answer:  # noqa: S310
        return len(json.load(answer))


def over_nothing(rounds: int) -> Cost:
    """Return the cost of a run that only says what there is; it is so short that it takes more rounds."""
    return medians([measured([sys.executable, str(ROOT / "main.py"), "--help"]) for _ in range(5 * rounds)])


def over_answered(folder: Path, base_url: str, images: int, rounds: int) -> dict[str, Cost]:
    """Return the costs of the runs over so many answered images."""
    world = World(folder, base_url)
    world.add_images(images)
    world.answer_all()
    nothing = [world.run() for _ in range(rounds)]
    ten = []
    for _ in range(rounds):
        world.add_images(NEW)
        ten.append(world.run(calls=NEW))
    return {"nothing new": medians(nothing), f"{NEW} new": medians(ten)}


def over_fresh(folder: Path, base_url: str, images: int) -> dict[str, Cost]:
    """Return the cost of one dry run over so many images that were never seen."""
    world = World(folder, base_url)
    world.add_images(images)
    return {"dry run, all new": world.run("--dry-run")}


def rows(sizes: Sizes, base_url: str) -> Iterator[tuple[str, int, Cost]]:
    """Yield scenario, images and cost; the files of each size are removed before the next is made."""
    yield "`--help`", 0, over_nothing(sizes.rounds)
    for images in sizes.answered:
        with tempfile.TemporaryDirectory(prefix="bench-plan-") as folder:
            costs = over_answered(Path(folder), base_url, images, sizes.rounds)
            yield from ((scenario, images, cost) for scenario, cost in costs.items())
    for images in sizes.dry:
        with tempfile.TemporaryDirectory(prefix="bench-plan-") as folder:
            costs = over_fresh(Path(folder), base_url, images)
            yield from ((scenario, images, cost) for scenario, cost in costs.items())


def table(found: Sequence[tuple[str, int, Cost]]) -> Iterator[str]:
    """Yield the lines of the table: for each scenario its sizes, then the largest against the smallest."""
    yield "| run | images | wall s | CPU s | peak MB |"
    yield "|---|---:|---:|---:|---:|"
    for scenario in dict.fromkeys(name for name, _, _ in found):
        of_it = [(images, cost) for name, images, cost in found if name == scenario]
        for images, cost in of_it:
            yield (f"| {scenario} | {images:,} | {cost.wall_s:.2f} | {cost.cpu_s:.2f} | {cost.peak_mb:.1f} |")
        if len(of_it) == 1:
            continue
        (few, least), (many, most) = of_it[0], of_it[-1]
        yield (
            f"| {scenario} | {many:,} : {few:,} | {most.wall_s / least.wall_s:.1f} x "
            f"| {most.cpu_s / least.cpu_s:.1f} x | {most.peak_mb - least.peak_mb:+.1f} |"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.plan", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images, one round: does it work at all?")
    sizes = QUICK if parser.parse_args(argv).quick else WHOLE
    found = []
    with emulator() as base_url:
        for row in rows(sizes, base_url):
            found.append(row)
            print(f"{row[0]}, {row[1]:,} images: {row[2].wall_s:.2f} s", file=sys.stderr)
    print(f"Medians of {sizes.rounds}; Python {platform.python_version()}, {os.cpu_count()} CPUs.\n")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
