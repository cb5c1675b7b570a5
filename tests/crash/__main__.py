"""The whole crash test, ``make crash-test``: all rounds, and every point of a run."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.crash.points import PICTURE_MODEL, TEXT_MODEL, Check, check_full_disk, check_killed, sweep
from tests.crash.rounds import play

SWEEPS: tuple[tuple[str, str, Check], ...] = (
    ("kill", TEXT_MODEL, check_killed),
    ("kill", PICTURE_MODEL, check_killed),
    ("full", TEXT_MODEL, check_full_disk),
    ("full once", TEXT_MODEL, check_full_disk),
)


async def all_points(stride: int) -> list[str]:
    """Cause every fault at every point, one after another; return what did not hold."""
    failed: list[str] = []
    for act, model, check in SWEEPS:
        with tempfile.TemporaryDirectory() as folder:
            points, failures = await sweep(Path(folder), act, check, stride=stride, model=model)
        sys.stdout.write(f"{act}, {model}: {points} points, {len(failures)} failed\n")
        sys.stdout.flush()
        failed += failures
    return failed


def main() -> int:
    """Return 1 if anything did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="rounds of random kills")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--parallel", type=int, default=2, help="rounds at a time")
    parser.add_argument("--stride", type=int, default=1, help="1: every point of a run, 2: every second, ...")
    flags = parser.parse_args()
    totals = asyncio.run(play(flags.rounds, seed=flags.seed, parallel=flags.parallel))
    sys.stdout.write(f"{totals}\n")
    failures = [*totals.failures, *asyncio.run(all_points(flags.stride))]
    sys.stdout.write("".join(f"{failure}\n" for failure in failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
