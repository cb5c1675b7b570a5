"""Rules of prompt repair where words of the prompt are to blame: a small version of ``bench.content``."""

from functools import cache

import pytest

from bench.content import Played, calls_per_rescue, play_world, rescued_share, total
from bench.content_world import HELD_OUT_FROM, ContentResult, draw_world

WORLDS = range(HELD_OUT_FROM + 500, HELD_OUT_FROM + 515)
OURS, EDITS, PLAIN = "edits and words", "edits alone", "plain"


@cache
def play_worlds(size: int) -> tuple[Played, ...]:
    """Play all worlds of the test."""
    ways = (PLAIN, EDITS, OURS) if size == 40 else (OURS,)
    return tuple(play_world(seed, size, ways) for seed in WORLDS)


def result(way: str, size: int, *, blamed: bool = True) -> ContentResult:
    """Return what a way came to."""
    return total(play_worlds(size), way, size=size, blamed=blamed)


@pytest.mark.parametrize(("size", "share"), [(40, 0.85), (500, 0.95)])
def test_most_of_what_could_be_rescued_is(size: int, share: float) -> None:
    """With 40 failing images and with 500."""
    assert rescued_share(result(OURS, size)) >= share


def test_a_rescue_takes_few_calls() -> None:
    """All calls after the first of each image, those on hopeless images and plain second ones included."""
    assert calls_per_rescue(result(OURS, 500)) <= 2.2


def test_other_ways_are_left_behind() -> None:
    """The plain way, and the edits that were there before."""
    assert result(OURS, 40).rescues > 1.2 * result(EDITS, 40).rescues
    assert result(OURS, 40).rescues > 5 * result(PLAIN, 40).rescues
    assert calls_per_rescue(result(OURS, 40)) < calls_per_rescue(result(EDITS, 40))


@pytest.mark.parametrize(("size", "calls"), [(40, 2.5), (500, 0.5)])
def test_where_no_words_are_to_blame_little_is_spent(size: int, calls: float) -> None:
    """No call is answered there at all."""
    run = result(OURS, size, blamed=False)

    assert run.calls <= calls * run.images


def test_a_world_is_the_same_for_everybody() -> None:
    """The same number gives the same prompt, images and run, to the call."""
    assert draw_world(1_007) == draw_world(1_007)
    assert play_world(1_007, 30, (OURS,)) == play_world(1_007, 30, (OURS,))


def test_guilty_words_stand_in_the_prompt() -> None:
    """And the prompts are as long as is said."""
    for seed in range(1_000, 1_100):
        world = draw_world(seed)
        assert all(rule.words in world.prompt for rule in world.rules)
        assert 12 <= len(world.prompt.split()) <= 125
