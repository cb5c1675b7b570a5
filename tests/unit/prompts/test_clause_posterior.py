"""Rules of prompts/clause_posterior.py: the guilty words are found by what is answered without them."""

import random

import pytest

from prompts.clause_posterior import ClausePosterior

PARTS = 24


def play(
    posterior: ClausePosterior, guilty: list[set[int]], *, images: int, tries: int, seed: int
) -> tuple[int, int]:
    """Let images fail until their guilty parts are left out; return rescues and calls."""
    rng, rescues, calls = random.Random(seed), 0, 0
    for number in range(images):
        wanted = sum(1 << at for at in guilty[number % len(guilty)])
        failed: list[int] = []
        for left in range(tries, 0, -1):
            mask, _, _ = posterior.choose(failed, always=0, tries_left=left, rng=rng)
            rescued = not wanted & ~mask
            posterior.learn(failed, mask, rescued=rescued)
            failed.append(mask)
            calls += 1
            if rescued:
                rescues += 1
                break
    return rescues, calls


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("guilty", [[{7}], [{2}, {19}], [{3, 11}]])
def test_the_guilty_parts_are_found(guilty: list[set[int]], seed: int) -> None:
    """One part, two on different images, or two that both must go."""
    posterior = ClausePosterior(1 << at for at in range(PARTS))
    play(posterior, guilty, images=60, tries=4, seed=seed)
    rescues, calls = play(posterior, guilty, images=60, tries=4, seed=seed + 100)
    blame = posterior.blame()
    most = sorted(range(PARTS), key=lambda at: -blame[at])[: len(set().union(*guilty))]

    assert rescues >= 57
    assert calls <= 1.7 * rescues
    assert set(most) == set().union(*guilty)


def test_a_listed_part_is_the_first_guess() -> None:
    """It is in the first set on most images."""
    first = [
        ClausePosterior((1 << at for at in range(PARTS)), listed=[5]).choose(
            [], always=0, tries_left=4, rng=random.Random(seed)
        )[0]
        for seed in range(50)
    ]

    assert sum(mask >> 5 & 1 for mask in first) >= 40


def test_where_no_words_are_to_blame_the_chance_falls() -> None:
    """After some images on which nothing helped, words are not expected to matter."""
    posterior = ClausePosterior(1 << at for at in range(PARTS))
    play(posterior, [{PARTS}], images=10, tries=3, seed=1)

    assert posterior.chance_words_matter(0.5) < 0.1
    play(posterior, [{4}], images=3, tries=4, seed=1)
    assert posterior.chance_words_matter(0.5) == 1.0


def test_what_was_left_out_takes_its_inner_parts_with_it() -> None:
    """Part 0 holds part 1."""
    posterior = ClausePosterior([0b11, 0b10])
    masks = {posterior.choose([], always=0, tries_left=1, rng=random.Random(seed))[0] for seed in range(20)}

    assert masks <= {0b11, 0b10}
