"""Benchmark of prompt repair where words of the prompt are to blame (``content_world``).

Plays 200 hidden prompts with 40 and 500 failing images, against the plain way (no optimizer: one second
call after failures that are often chance) and the bundled edits alone; prints tables in Markdown. The
constants were chosen on worlds 0 to 59; what is reported are worlds from 1,000 on, made of other phrases.
"""

import argparse
import os
import platform
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from bench.content_world import HELD_OUT_FROM, ContentResult, ContentWorld, Reviser, draw_world, play
from models import Prompt
from prompt_optimizer import PromptOptimizer
from prompts import edits
from prompts.edit_stats import EditStats
from prompts.policy import RepairLimits
from prompts.retry_once import RetryOnce

SIZES = (40, 500)
WAYS = ("plain", "edits alone", "edits and words")


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One world, played once in each way."""

    seed: int
    size: int
    is_prompt_to_blame: bool
    results: dict[str, ContentResult]


def build_optimizer(world: ContentWorld, *, leaves_out: bool) -> PromptOptimizer:
    """Return the program's own optimizer for a world."""
    return PromptOptimizer(
        base=Prompt(text=world.prompt),
        edits=replace(edits.load(), leaves_out=leaves_out),
        edit_stats=EditStats("model", "0" * 64),
        rng=random.Random(f"{world.seed} draws"),
        limits=RepairLimits(max_edits=4, max_calls=5),
    )


def play_world(seed: int, size: int, ways: Sequence[str] = WAYS) -> Played:
    """Play one world in each way, with the same images."""
    world = draw_world(seed)
    images = world.failing_images(size)
    revisers: dict[str, Callable[[], Reviser]] = {
        "plain": RetryOnce,
        "edits alone": partial(build_optimizer, world, leaves_out=False),
        "edits and words": partial(build_optimizer, world, leaves_out=True),
    }
    results = {way: play(world, images, revisers[way]()) for way in ways}
    return Played(seed=seed, size=size, is_prompt_to_blame=bool(world.rules), results=results)


def total(played: Sequence[Played], way: str, *, size: int, blamed: bool) -> ContentResult:
    """Return all runs of one way and size as one, of worlds where words are to blame or of the others."""
    chosen = [one for one in played if one.size == size and one.is_prompt_to_blame == blamed]
    return sum((one.results[way] for one in chosen), ContentResult())


def rescued_share(result: ContentResult) -> float:
    """Return the share of the images that could be rescued and were."""
    return result.rescues / max(result.curable, 1)


def calls_per_rescue(result: ContentResult) -> float:
    """Return the calls after the first of each image, for one rescue."""
    return result.calls / max(result.rescues, 1)


def table(played: Sequence[Played]) -> Iterator[str]:
    """Yield what each way came to."""
    yield "| way | " + " | ".join(f"{size} failing images" for size in SIZES) + " |"
    yield "|---|" + "---:|" * len(SIZES)
    for way in played[0].results:
        cells = [_cell(total(played, way, size=size, blamed=True)) for size in SIZES]
        yield f"| {way} | {' | '.join(cells)} |"
    for way in played[0].results:
        idle = [total(played, way, size=size, blamed=False) for size in SIZES]
        cells = [f"{one.calls / max(one.images, 1):.2f}" for one in idle]
        yield f"| {way}, nothing to blame: calls per image | {' | '.join(cells)} |"


def _cell(result: ContentResult) -> str:
    dropped = result.dropped_words / max(result.rescues, 1)
    return f"{rescued_share(result):.1%}, {calls_per_rescue(result):.2f}, {dropped:.0%} of the words left out"


def worst_worlds(played: Sequence[Played], number: int = 8) -> Iterator[str]:
    """Yield the worlds in which the words served least, with the largest number of images."""
    size = max(SIZES)
    ours = [
        (rescued_share(one.results[WAYS[-1]]), one)
        for one in played
        if one.size == size and one.is_prompt_to_blame
    ]
    yield "| world | rescued | calls per rescue | guilty words |"
    yield "|---:|---:|---:|---|"
    for share, one in sorted(ours, key=lambda item: item[0])[:number]:
        words = "; ".join(f"{rule.words} ({rule.kind})" for rule in draw_world(one.seed).rules)
        yield f"| {one.seed} | {share:.1%} | {calls_per_rescue(one.results[WAYS[-1]]):.2f} | {words} |"


def _play_job(job: tuple[int, int]) -> Played:
    return play_world(*job)


def main(argv: Sequence[str] | None = None) -> None:
    """Play, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.content", description=__doc__)
    parser.add_argument("--worlds", type=int, default=200, help="how many prompts")
    parser.add_argument("--first", type=int, default=HELD_OUT_FROM, help="the number of the first")
    arguments = parser.parse_args(argv)
    seeds = range(arguments.first, arguments.first + arguments.worlds)
    print(f"{len(seeds)} prompts from {seeds.start} on; Python {platform.python_version()}.\n")
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = [(seed, size) for size in SIZES for seed in seeds]
        played = list(pool.map(_play_job, jobs, chunksize=2))
    print("\n".join(table(played)), end="\n\n")
    print("\n".join(worst_worlds(played)))


if __name__ == "__main__":
    main()
