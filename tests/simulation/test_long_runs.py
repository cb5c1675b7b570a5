"""Bounds of the rate limiter in long runs against limits that are unknown to it.

The real RateLimiter in virtual time (tests/simulation/rate_limit), twenty minutes each, against the
emulator's three ways to count. docs/pacing.md has the figures of more seeds.
"""

from dataclasses import dataclass
from functools import cache

import pytest

from tests.simulation.rate_limit.clients import CLIENTS, USUAL_CLIENTS
from tests.simulation.rate_limit.scenarios import SCENARIOS, Hints, Kind
from tests.simulation.rate_limit.simulation import Result, simulate

SECOND_RUN = 1_000
"""Added to a seed, so that the next run differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Bounds for one run."""

    share: float
    refused: float = 0.015
    seeds: int = 3


FIRST_RUN = {
    "10": Bound(share=0.97, refused=0.06),
    "60": Bound(share=0.97),
    "300": Bound(share=0.97, seeds=2),
    "tokens": Bound(share=0.97),
    "2000": Bound(share=0.93, seeds=1),
}
REDUCED_LIMITS = {"halved": 0.93, "shared": 0.93}
SLOTS = (1, 2, 5, 20, 200)
COMPARED = (
    ("10", Kind.FIXED),
    ("60", Kind.SLIDING),
    ("300", Kind.BUCKET),
    ("tokens", Kind.FIXED),
    ("halved", Kind.SLIDING),
    ("shared", Kind.BUCKET),
    ("2000", Kind.FIXED),
)
"""Each scenario under one way to count: clients with many rejections take the most time to play."""

every_kind = pytest.mark.parametrize("kind", Kind)


@cache
def play(
    client: str, name: str, kind: Kind, seed: int, *, hints: Hints = Hints.UNNAMED, slots: int = 0
) -> Result:
    """Play one run; the same one is played only once."""
    scenario = SCENARIOS[name].with_service(kind, hints)
    return simulate(CLIENTS[client], scenario.with_slots(slots) if slots else scenario, seed)


def play_next(first: Result, seed: int) -> Result:
    """Play the run after it, with what was learned."""
    return simulate(CLIENTS["ours"], first.scenario, SECOND_RUN + seed, learned=first.learned)


def describe(result: Result) -> str:
    """Return the figures that a failure should show."""
    return (
        f"{result.scenario.name} {result.scenario.kind} {result.scenario.hints}:"
        f" {result.share_of_limit:.2%} of the limit, {result.refused_share:.2%} refused,"
        f" {result.images_failed} failed, {result.images_deferred} deferred, stopped: {result.stopped};"
        f" accepted {result.accepted_per_minute}, refused {result.refused_per_minute}"
    )


def is_complete(result: Result) -> bool:
    """Return whether no image was given up."""
    return not (result.images_failed or result.images_deferred or result.stopped)


@every_kind
@pytest.mark.parametrize("name", FIRST_RUN)
def test_a_first_night_finds_the_limit_with_few_refusals(name: str, kind: Kind) -> None:
    """Without a known limit, for each seed by itself."""
    bound = FIRST_RUN[name]
    for seed in range(bound.seeds):
        result = play("ours", name, kind, seed)
        assert result.share_of_limit >= bound.share, describe(result)
        assert result.refused_share <= bound.refused, describe(result)
        assert is_complete(result), describe(result)


@every_kind
@pytest.mark.parametrize("name", FIRST_RUN)
def test_the_second_night_starts_where_the_first_ended(name: str, kind: Kind) -> None:
    """With what was learned and another seed."""
    for seed in range(FIRST_RUN[name].seeds):
        result = play_next(play("ours", name, kind, seed), seed)
        assert result.share_of_limit >= 0.98, describe(result)
        assert result.refused_share <= 0.005, describe(result)
        assert is_complete(result), describe(result)


@every_kind
@pytest.mark.parametrize("hints", [Hints.UNNAMED, Hints.NAMED])
@pytest.mark.parametrize("name", REDUCED_LIMITS)
def test_what_a_smaller_limit_leaves_is_used(name: str, kind: Kind, hints: Hints) -> None:
    """Halved for seven minutes, or shared with a client that uses half; a named value must not mislead."""
    for seed in range(2 if hints is Hints.UNNAMED else 1):
        result = play("ours", name, kind, seed, hints=hints)
        assert result.share_of_limit >= REDUCED_LIMITS[name], describe(result)
        assert is_complete(result), describe(result)


@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize(
    ("name", "kind", "hints"),
    [
        ("10", Kind.FIXED, Hints.UNNAMED),
        ("10", Kind.BUCKET, Hints.SILENT),
        ("300", Kind.BUCKET, Hints.UNNAMED),
        ("tokens", Kind.SLIDING, Hints.UNNAMED),
        ("shared", Kind.SLIDING, Hints.UNNAMED),
    ],
)
def test_no_image_is_given_up_because_of_limits(name: str, kind: Kind, hints: Hints, slots: int) -> None:
    """At any concurrency, also where rejections carry nothing but their status."""
    result = play("ours", name, kind, 7, hints=hints, slots=slots)
    assert is_complete(result), describe(result)
    assert result.images_answered, describe(result)


@pytest.mark.parametrize("peer", USUAL_CLIENTS)
@pytest.mark.parametrize(("name", "kind"), COMPARED)
def test_no_usual_client_reaches_both_our_share_and_our_refusals(name: str, kind: Kind, peer: str) -> None:
    """A client that uses as much of the limit meets more rejections; one that meets as few uses less."""
    ours, theirs = play("ours", name, kind, 0), play(peer, name, kind, 0)
    as_much = theirs.share_of_limit >= ours.share_of_limit
    as_clean = theirs.refused_share <= ours.refused_share
    assert not (as_much and as_clean), f"{describe(ours)}\n{peer}: {describe(theirs)}"


def test_a_simulation_repeats_to_the_last_digit() -> None:
    """Else no figure here means anything."""
    scenario = SCENARIOS["300"].with_service(Kind.SLIDING)
    first, again = (simulate(USUAL_CLIENTS["AIMD"], scenario, 3, minutes=3) for _ in range(2))
    assert first == again
