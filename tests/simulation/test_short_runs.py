"""Bounds of the rate limiter in runs that are over within the first minute.

The real RateLimiter in virtual time (tests/simulation/rate_limit), beside a service on the same machine:
150 images, 600 requests a minute from a bucket of ten, as in ``bench.sidebyside``. A client with the limit
configured spaces its calls evenly, and needs 149 times the tenth of a second.
"""

import dataclasses

import pytest

from rate_limit.types import LearnedLimit, LearnedLimits
from tests.simulation.rate_limit.clients import CLIENTS
from tests.simulation.rate_limit.scenarios import SHORT, Distance, Hints, Kind
from tests.simulation.rate_limit.simulation import Result, simulate

SEEDS = range(8)
TOLD_S = 14.9


def span_s(result: Result) -> float:
    """Return how long it was from the first call that passed to the last."""
    return result.accepted_at_s[-1] - result.accepted_at_s[0]


def calls_per_image(result: Result) -> float:
    """Return the calls for each answer, rejected ones included."""
    return (len(result.accepted_at_s) + len(result.refused_at_s)) / result.images_answered


@pytest.mark.parametrize("hints", [Hints.UNNAMED, Hints.NAMED])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_bucket_is_measured_before_a_short_run_is_over(seed: int, hints: Hints) -> None:
    """At most 1.03 calls an image, and as fast as with a configured limit; in the next run as well."""
    scenario = SHORT.with_service(Kind.BUCKET, hints)
    first = simulate(CLIENTS["ours"], scenario, seed)
    second = simulate(CLIENTS["ours"], scenario, 1_000 + seed, learned=first.learned)

    for run in (first, second):
        assert run.images_answered == SHORT.images
        assert calls_per_image(run) <= 1.03
        assert span_s(run) <= 1.1 * TOLD_S


@pytest.mark.parametrize("burst_s", [1.0, 2.0, 6.0])
@pytest.mark.parametrize("rpm", [120, 600, 1_800])
def test_other_buckets_are_measured_as_well(rpm: int, burst_s: float) -> None:
    """The figures of one bench are no constants of the method."""
    images = max(100, rpm // 4)
    scenario = dataclasses.replace(SHORT, rpm=rpm, burst_s=burst_s, images=images)
    told_s = (images - 1) * 60.0 / rpm
    for seed in SEEDS[:3]:
        run = simulate(CLIENTS["ours"], scenario, seed)
        assert run.images_answered == images
        assert calls_per_image(run) <= 1.06
        assert span_s(run) <= 1.1 * told_s


def test_a_service_far_away_costs_some_refusals_and_no_time() -> None:
    """A client that gets a rejection an eighth of a second late has sent more meanwhile."""
    far = Distance(upload_s=(0.03, 0.09), refused_after_s=0.12, latency_s=(0.2, 0.2), connect_s=0.08)
    for seed in SEEDS:
        run = simulate(CLIENTS["ours"], dataclasses.replace(SHORT, distance=far), seed)
        assert run.images_answered == SHORT.images
        assert calls_per_image(run) <= 1.10
        assert span_s(run) <= 1.15 * TOLD_S


@pytest.mark.parametrize("kind", Kind)
def test_what_was_sent_before_the_run_does_not_lower_a_known_limit(kind: Kind) -> None:
    """The same command typed again within the minute meets a quota that is spent already."""
    known = LearnedLimits(requests=LearnedLimit(per_minute=60.0, confirmed=True), latency_s=0.2)
    # Two thirds of what is allowed are gone at once, taken by another client before ours begins.
    scenario = dataclasses.replace(SHORT, rpm=60, kind=kind, burst_s=10.0, images=240, requests_before=40)
    run = simulate(CLIENTS["ours"], scenario, 1, learned=known)

    assert run.images_answered == 240
    assert span_s(run) <= 285.0
    assert len(run.refused_at_s) <= 4


def test_a_service_without_limits_is_at_full_speed_before_its_first_answer() -> None:
    """Sixteen slots that answer in 0.2 s lose less than one turn against slots that all begin at once."""
    scenario = dataclasses.replace(SHORT, rpm=1_000_000, burst_s=60.0, images=300, max_concurrent=16)
    run = simulate(CLIENTS["ours"], scenario, 1)

    turn_s = 0.2 + 0.006
    assert span_s(run) <= (300 / 16) * turn_s
