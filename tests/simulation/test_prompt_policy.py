"""Rules of the prompt optimizer in hidden worlds: a small version of ``make bench-optimizer``."""

import random
from functools import cache

import pytest

from bench.optimizer import Job, WorldResult, calls_per_rescue, play_job, rescued_share, result_of
from bench.optimizer_rivals import AskingAgain, Setting, play_world
from bench.optimizer_world import Family, RunResult, draw_world, play

WORLDS = range(5_000, 5_020)


@cache
def play_worlds(size: int) -> tuple[WorldResult, ...]:
    """Play all worlds of the test."""
    return tuple(play_job(Job(seed=seed, images=size, runs=2 if size == 500 else 1)) for seed in WORLDS)


def result(policy: str, size: int, *, run: int = 1) -> RunResult:
    """Return what a policy made of all worlds where anything helps."""
    return result_of(play_worlds(size), policy, run=run)


def test_the_oracles_rescues_are_nearly_reached_at_nearly_their_price() -> None:
    """With 500 images: at least 92 % of the rescues at no more than 1.2 times the calls for each."""
    assert result("optimizer", 500).rescues >= 0.92 * result("oracle", 500).rescues
    assert calls_per_rescue(result("optimizer", 500)) <= 1.2 * calls_per_rescue(result("oracle", 500))


def test_a_round_robin_is_left_behind() -> None:
    """With 500 images: at least 1.15 times the rescues at no more than 0.70 times the calls for each."""
    assert result("optimizer", 500).rescues >= 1.15 * result("round robin", 500).rescues
    assert calls_per_rescue(result("optimizer", 500)) <= 0.70 * calls_per_rescue(result("round robin", 500))


def test_the_second_night_begins_where_the_first_ended() -> None:
    """Through the rows that are kept: no dearer than the oracle, and cheaper than the first run."""
    assert calls_per_rescue(result("optimizer", 500, run=2)) <= 1.08 * calls_per_rescue(
        result("oracle", 500, run=2)
    )
    assert calls_per_rescue(result("optimizer", 500, run=2)) < calls_per_rescue(result("optimizer", 500))


def test_twenty_images_already_gain() -> None:
    """Never worse than a round robin, neither in rescues nor in calls for each."""
    assert result("optimizer", 20).rescues >= result("round robin", 20).rescues
    assert calls_per_rescue(result("optimizer", 20)) <= calls_per_rescue(result("round robin", 20))


@pytest.mark.parametrize(("size", "calls"), [(20, 4.5), (500, 0.5)])
def test_where_nothing_helps_little_is_spent(size: int, calls: float) -> None:
    """A run in which no call rescues an image ends early."""
    run = result_of(play_worlds(size), "optimizer", families=[Family.NOTHING])

    assert run.calls <= calls * run.images


def test_no_policy_makes_more_than_five_calls_for_an_image() -> None:
    """All are bound by the same limit."""
    for policy in ("asking again", "round robin", "optimizer", "oracle"):
        assert result(policy, 20).calls <= 5 * result(policy, 20).images


def test_a_world_is_what_it_says() -> None:
    """Asking again five times rescues as many of the curable images as its rate implies."""
    world = draw_world(5_001)
    images = world.images(20_000, random.Random(3))
    run = play(world, images, AskingAgain(), rng=random.Random(4))
    expected = [1.0 - (1.0 - world.rate(one.kind, "ask_again", 0.0)) ** 5 for one in images if one.curable]

    assert rescued_share(run) == pytest.approx(sum(expected) / len(expected), abs=0.015)


def test_a_world_is_the_same_for_everybody() -> None:
    """The same number gives the same run, to the call."""
    runs = [play_world(draw_world(7), 30, 7, Setting()) for _ in range(2)]

    assert runs[0] == runs[1]
