"""How many images does the prompt optimizer rescue, at what price, in nights it knows nothing about?

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
from bench.optimizer_world import Family, Night, draw_world

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
    """One world, played once by everybody."""

    seed: int
    images: int
    setting: Setting = AS_IN_A_RUN
    nights: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of it."""

    job: Job
    family: Family
    nights: dict[str, list[Night]]
    """For each policy."""


def played(job: Job) -> Played:
    """Play one world."""
    world = draw_world(job.seed)
    return Played(
        job=job,
        family=world.family,
        nights=play_world(world, job.images, job.seed, job.setting, nights=job.nights),
    )


def of(
    found: Iterable[Played], policy: str, *, night: int = 1, families: Iterable[Family] = HELPFUL
) -> Night:
    """Return what a policy made of one night in all worlds of these families together."""
    wanted = set(families)
    return total(one.nights[policy][night - 1] for one in found if one.family in wanted)


def rescued(night: Night) -> float:
    """Return the share of the curable images that were rescued."""
    return night.rescues / max(night.curable, 1)


def price(night: Night) -> float:
    """Return calls per rescue."""
    return night.calls / max(night.rescues, 1)


def cell(night: Night) -> str:
    """Return share and price for people."""
    return f"{rescued(night):.1%}, {price(night):.2f}"


def policies_table(found: Sequence[Played], sizes: Sequence[int]) -> Iterator[str]:
    """Yield rescued shares and calls per rescue by policy and size."""
    yield "| policy | " + " | ".join(f"{size} images" for size in sizes) + " |"
    yield "|---|" + "---:|" * len(sizes)
    nights = max(one.job.nights for one in found)
    for night, suffix in ((1, ""), (2, ", second night"))[:nights]:
        for policy in COLOURS:
            if night == 1 or policy in {"optimizer", "oracle"}:
                cells = [_cell_of(_sized(found, size), policy, night) for size in sizes]
                yield f"| {policy}{suffix} | {' | '.join(cells)} |"
    idle = [of(_sized(found, size), "optimizer", families=[Family.NOTHING]) for size in sizes]
    yield (
        "| optimizer where nothing helps: calls per image | "
        + " | ".join(f"{night.calls / max(night.images, 1):.2f}" for night in idle)
        + " |"
    )


def _cell_of(found: Sequence[Played], policy: str, night: int) -> str:
    return cell(of(found, policy, night=night)) if night <= found[0].job.nights else ""


def _sized(found: Iterable[Played], size: int) -> list[Played]:
    return [one for one in found if one.job.images == size]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One figure and what it must be."""

    what: str
    value: float
    least: float = 0.0
    most: float = float("inf")

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.least <= self.value <= self.most

    @property
    def wanted(self) -> str:
        """What it must be, for people."""
        return f"at least {self.least:g}" if self.least else f"at most {self.most:g}"


def targets(found: Sequence[Played]) -> list[Target]:
    """Return the figures that are held, from the sizes that were played."""
    many, few = _sized(found, max(SIZES)), _sized(found, min(SIZES))
    ours, oracle, robin = (of(many, name) for name in ("optimizer", "oracle", "round robin"))
    again, oracle_again = (of(many, name, night=2) for name in ("optimizer", "oracle"))
    small, small_robin = (of(few, name) for name in ("optimizer", "round robin"))
    idle = of(many, "optimizer", families=[Family.NOTHING])
    return [
        Target(what="500: rescues, of the oracle's", value=ours.rescues / oracle.rescues, least=0.94),
        Target(what="500: calls per rescue, of the oracle's", value=price(ours) / price(oracle), most=1.2),
        Target(what="500: rescues, of round robin's", value=ours.rescues / robin.rescues, least=1.15),
        Target(what="500: calls per rescue, of round robin's", value=price(ours) / price(robin), most=0.65),
        Target(
            what="500, second night: calls per rescue, of the oracle's",
            value=price(again) / price(oracle_again),
            most=1.05,
        ),
        Target(what="20: rescues, of round robin's", value=small.rescues / small_robin.rescues, least=1.0),
        Target(
            what="20: calls per rescue, of round robin's", value=price(small) / price(small_robin), most=1.0
        ),
        Target(what="500, nothing helps: calls per image", value=idle.calls / max(idle.images, 1), most=1.5),
    ]


def targets_table(found: Sequence[Played]) -> Iterator[str]:
    """Yield each figure with what it must be."""
    yield "| figure | wanted | reached | |"
    yield "|---|---|---:|---|"
    for one in targets(found):
        yield f"| {one.what} | {one.wanted} | {one.value:.3f} | {'yes' if one.met else '**no**'} |"


def families_table(found: Sequence[Played]) -> Iterator[str]:
    """Yield rescued shares and calls per rescue by family, at the largest size."""
    shown = ("round robin", "optimizer", "oracle")
    many = _sized(found, max(one.job.images for one in found))
    yield "| worlds | " + " | ".join(shown) + " |"
    yield "|---|" + "---:|" * len(shown)
    for family in (one for one in Family if one in HELPFUL):
        cells = [cell(of(many, policy, families=[family])) for policy in shown]
        yield f"| {family.value} | {' | '.join(cells)} |"


def draw(found: Sequence[Played], sizes: Sequence[int], path: Path) -> None:
    """Draw share against price: a line for each policy from the smallest size to the largest."""
    import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - for plots alone

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "prompt-optimization"
    from matplotlib import pyplot as plt  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(7.2, 4.4))
    for policy, colour in COLOURS.items():
        nights = [of(_sized(found, size), policy) for size in sizes]
        xs, ys = [price(night) for night in nights], [100 * rescued(night) for night in nights]
        axes.plot(xs, ys, "o-", color=colour, label=policy)
        if policy == "optimizer":
            for size, x, y in zip(sizes, xs, ys, strict=True):
                axes.annotate(f"{size} images", (x, y), textcoords="offset points", xytext=(7, 4))
    second = of(_sized(found, max(sizes)), "optimizer", night=2)
    axes.plot(
        price(second), 100 * rescued(second), "*", ms=12, color=COLOURS["optimizer"], label="its second night"
    )
    axes.set_xlabel("calls per rescue (fewer is better)")
    axes.set_ylabel("rescued, % of the curable images")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def play_all(jobs: Iterable[Job]) -> list[Played]:
    """Play every job, on all processors."""
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(played, jobs, chunksize=4))


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
        Job(seed=seed, images=size, nights=2 if size == most else 1) for size in SIZES for seed in seeds
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
