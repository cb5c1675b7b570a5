"""Benchmark of the prompt optimizer in hidden worlds: images rescued, and calls for each of them.

Plays hidden worlds (``optimizer_world``) with 20, 100 and 500 failing images, against asking again, a round
robin and oracles (``optimizer_rivals``); prints tables in Markdown and draws the plot.
The constants of the policy were chosen on worlds 0 to 59; what is reported are worlds from 1,000 on.
"""

import argparse
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.optimizer_rivals import HELPFUL, Setting, play_world, total
from bench.optimizer_world import Family, RunResult, draw_world

HELD_OUT = 1_000
SIZES = (20, 100, 500)
PLOT = Path(__file__).resolve().parent.parent / "docs" / "img" / "prompt-optimization.svg"
AS_IN_A_RUN = Setting()
VARIANTS = {
    "Each image to its end before the next": Setting(in_rounds=False),
    "Counted from the first failure, with the plain second call that everybody makes": Setting(
        first_ask=True
    ),
}
COLOURS = {
    "asking again": "#9aa0a6",
    "round robin": "#e8710a",
    "optimizer": "#1a73e8",
    "oracle that stops": "#7cb342",
    "oracle": "#2e7d32",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One world, played once by each policy."""

    seed: int
    images: int
    setting: Setting = AS_IN_A_RUN
    runs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldResult:
    """Result of a job."""

    job: Job
    family: Family
    runs: dict[str, list[RunResult]]
    """For each policy."""


def play_job(job: Job) -> WorldResult:
    """Play one world."""
    world = draw_world(job.seed)
    return WorldResult(
        job=job,
        family=world.family,
        runs=play_world(world, job.images, job.seed, job.setting, runs=job.runs),
    )


def result_of(
    found: Iterable[WorldResult], policy: str, *, run: int = 1, families: Iterable[Family] = HELPFUL
) -> RunResult:
    """Return the result of a policy in one run, over all worlds of these families."""
    wanted = set(families)
    return total(one.runs[policy][run - 1] for one in found if one.family in wanted)


def rescued_share(result: RunResult) -> float:
    """Return the share of the curable images that were rescued."""
    return result.rescues / max(result.curable, 1)


def calls_per_rescue(result: RunResult) -> float:
    """Return calls per rescue."""
    return result.calls / max(result.rescues, 1)


def cell(result: RunResult) -> str:
    """Return share and price for people."""
    return f"{rescued_share(result):.1%}, {calls_per_rescue(result):.2f}"


def policies_table(found: Sequence[WorldResult], sizes: Sequence[int]) -> Iterator[str]:
    """Yield rescued shares and calls per rescue by policy and size."""
    yield "| policy | " + " | ".join(f"{size} images" for size in sizes) + " |"
    yield "|---|" + "---:|" * len(sizes)
    run_count = max(one.job.runs for one in found)
    for run, suffix in ((1, ""), (2, ", second run"))[:run_count]:
        for policy in COLOURS:
            if run == 1 or policy in {"optimizer", "oracle"}:
                cells = [_cell_of(_sized(found, size), policy, run) for size in sizes]
                yield f"| {policy}{suffix} | {' | '.join(cells)} |"
    idle = [result_of(_sized(found, size), "optimizer", families=[Family.NOTHING]) for size in sizes]
    yield (
        "| optimizer where nothing helps: calls per image | "
        + " | ".join(f"{result.calls / max(result.images, 1):.2f}" for result in idle)
        + " |"
    )


def _cell_of(found: Sequence[WorldResult], policy: str, run: int) -> str:
    return cell(result_of(found, policy, run=run)) if run <= found[0].job.runs else ""


def _sized(found: Iterable[WorldResult], size: int) -> list[WorldResult]:
    return [one for one in found if one.job.images == size]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One figure and what it must be."""

    what: str
    value: float
    least: float = 0.0
    most: float = float("inf")

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        return self.least <= self.value <= self.most

    @property
    def requirement(self) -> str:
        """What it must be, for people."""
        return f"at least {self.least:g}" if self.least else f"at most {self.most:g}"


def targets(found: Sequence[WorldResult]) -> list[Target]:
    """Return the figures that are held, from the sizes that were played."""
    many, few = _sized(found, max(SIZES)), _sized(found, min(SIZES))
    ours, oracle, robin = (result_of(many, name) for name in ("optimizer", "oracle", "round robin"))
    again, oracle_again = (result_of(many, name, run=2) for name in ("optimizer", "oracle"))
    small, small_robin = (result_of(few, name) for name in ("optimizer", "round robin"))
    idle = result_of(many, "optimizer", families=[Family.NOTHING])
    return [
        Target(what="500: rescues, of the oracle's", value=ours.rescues / oracle.rescues, least=0.94),
        Target(
            what="500: calls per rescue, of the oracle's",
            value=calls_per_rescue(ours) / calls_per_rescue(oracle),
            most=1.2,
        ),
        Target(what="500: rescues, of round robin's", value=ours.rescues / robin.rescues, least=1.15),
        Target(
            what="500: calls per rescue, of round robin's",
            value=calls_per_rescue(ours) / calls_per_rescue(robin),
            most=0.65,
        ),
        Target(
            what="500, second run: calls per rescue, of the oracle's",
            value=calls_per_rescue(again) / calls_per_rescue(oracle_again),
            most=1.05,
        ),
        Target(what="20: rescues, of round robin's", value=small.rescues / small_robin.rescues, least=1.0),
        Target(
            what="20: calls per rescue, of round robin's",
            value=calls_per_rescue(small) / calls_per_rescue(small_robin),
            most=1.0,
        ),
        Target(what="500, nothing helps: calls per image", value=idle.calls / max(idle.images, 1), most=1.5),
    ]


def targets_table(found: Sequence[WorldResult]) -> Iterator[str]:
    """Yield each figure with what it must be."""
    yield "| figure | wanted | reached | |"
    yield "|---|---|---:|---|"
    for one in targets(found):
        yield f"| {one.what} | {one.requirement} | {one.value:.3f} | {'yes' if one.is_met else '**no**'} |"


def families_table(found: Sequence[WorldResult]) -> Iterator[str]:
    """Yield rescued shares and calls per rescue by family, at the largest size."""
    shown = ("round robin", "optimizer", "oracle")
    many = _sized(found, max(one.job.images for one in found))
    yield "| worlds | " + " | ".join(shown) + " |"
    yield "|---|" + "---:|" * len(shown)
    for family in (one for one in Family if one in HELPFUL):
        cells = [cell(result_of(many, policy, families=[family])) for policy in shown]
        yield f"| {family.value} | {' | '.join(cells)} |"


def draw(found: Sequence[WorldResult], sizes: Sequence[int], path: Path) -> None:
    """Draw share against price: a line for each policy from the smallest size to the largest."""
    import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - for plots alone

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "prompt-optimization"
    from matplotlib import pyplot as plt  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(7.2, 4.4))
    for policy, colour in COLOURS.items():
        run_results = [result_of(_sized(found, size), policy) for size in sizes]
        xs, ys = (
            [calls_per_rescue(run) for run in run_results],
            [100 * rescued_share(run) for run in run_results],
        )
        axes.plot(xs, ys, "o-", color=colour, label=policy)
        if policy == "optimizer":
            for size, x, y in zip(sizes, xs, ys, strict=True):
                axes.annotate(f"{size} images", (x, y), textcoords="offset points", xytext=(7, 4))
    second = result_of(_sized(found, max(sizes)), "optimizer", run=2)
    axes.plot(
        calls_per_rescue(second),
        100 * rescued_share(second),
        "*",
        ms=12,
        color=COLOURS["optimizer"],
        label="its second run",
    )
    axes.set_xlabel("calls per rescue (fewer is better)")
    axes.set_ylabel("rescued, % of the curable images")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def play_all(jobs: Iterable[Job]) -> list[WorldResult]:
    """Play every job, on all processors."""
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(play_job, jobs, chunksize=4))


def main(argv: Sequence[str] | None = None) -> None:
    """Play, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.optimizer", description=__doc__)
    parser.add_argument("--worlds", type=int, default=240, help="how many worlds, 20 and more")
    parser.add_argument("--first", type=int, default=HELD_OUT, help="the number of the first world")
    parser.add_argument("--no-plot", action="store_true", help="do not draw docs/img/prompt-optimization.svg")
    arguments = parser.parse_args(argv)
    seeds = range(arguments.first, arguments.first + arguments.worlds)
    print(f"{len(seeds)} worlds from {seeds.start} on; Python {platform.python_version()}.\n")
    most = max(SIZES)
    found = play_all(
        Job(seed=seed, images=size, runs=2 if size == most else 1) for size in SIZES for seed in seeds
    )
    for table in (targets_table(found), policies_table(found, SIZES), families_table(found)):
        print("\n".join(table), end="\n\n")
    half = seeds[: len(seeds) // 2]
    for title, setting in VARIANTS.items():
        print(f"{title} ({len(half)} worlds):\n")
        varied = play_all(Job(seed=seed, images=most, setting=setting) for seed in half)
        print("\n".join(policies_table(varied, (most,))), end="\n\n")
    if not arguments.no_plot:
        draw(found, SIZES, PLOT)


if __name__ == "__main__":
    main()
