"""Rules of rate_limit/limit_estimation.py, request_log.py, cooldown.py and of ``fair_share``.

The limit that a rejection points at, and the units that it concerns.
"""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rate_limit import cooldown
from rate_limit.limit_estimation import Anchor, EstimationContext, Phase, Rejection, estimate_limit
from rate_limit.pacer import fair_share
from rate_limit.request_log import RequestLog, SentRequest
from rate_limit.types import Unit
from tests.emulator.quotas import FixedWindow, Meter, SlidingWindow, TokenBucket
from tests.support.rate_limit_calls import PER_DAY, PER_MINUTE, TOKENS, rate_limited

A_LIMIT = st.integers(5, 400)


def new_context(
    *, phase: Phase = Phase.CLIMB, limit: float | None = None, anchor: Anchor | None = None
) -> EstimationContext:
    """Return the context of a rejection at a pace of 300 a minute."""
    return EstimationContext(
        unit=Unit.REQUESTS,
        phase=phase,
        pace=300.0,
        limit=limit,
        is_bucket=anchor is not None,
        anchor=anchor,
        was_raised=False,
        recent_hints_s=(),
        longest_hint_s=0.0,
        is_new=limit is None,
        others=0.0,
    )


def send_until_rejected(meter: Meter, request_log: RequestLog, start_s: float, every_s: float) -> Rejection:
    """Send evenly until a request does not fit."""
    at_s = start_s
    while True:
        request = SentRequest(estimated_tokens=1.0, tokens=1.0)
        request_log.on_granted(request)
        request_log.on_sent(request, at_s)
        wait_s = meter.wait_s(at_s, 1)
        if wait_s > 0.0:
            request_log.on_rejected(request, at_s)
            return Rejection(request=request, sent_s=at_s, hint_s=wait_s, named_limit=None)
        meter.take(at_s, 1)
        at_s += every_s


@settings(max_examples=60, deadline=None)
@given(limit=A_LIMIT, phase_s=st.floats(0.0, 20.0))
def test_one_refusal_of_a_window_of_the_clock_tells_its_limit(limit: int, phase_s: float) -> None:
    """To the request, wherever in its window the run began."""
    request_log = RequestLog()
    rejection = send_until_rejected(FixedWindow(limit), request_log, phase_s, 20.0 / limit)

    assert estimate_limit(rejection, request_log, new_context()).per_minute == limit


@settings(max_examples=60, deadline=None)
@given(limit=A_LIMIT, start_s=st.floats(0.0, 1_000.0))
def test_one_refusal_of_a_sliding_window_tells_its_limit(limit: int, start_s: float) -> None:
    """The hint is the moment when its oldest request leaves it."""
    request_log = RequestLog()
    rejection = send_until_rejected(SlidingWindow(limit), request_log, start_s, 30.0 / limit)

    assert estimate_limit(rejection, request_log, new_context()).per_minute == limit


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(10, 400), burst_s=st.floats(5.0, 30.0))
def test_two_refusals_of_a_bucket_tell_its_rate(limit: int, burst_s: float) -> None:
    """Whatever it had saved before the first."""
    meter = TokenBucket(limit, burst=max(2, round(limit * burst_s / 60.0)))
    request_log = RequestLog()
    first = send_until_rejected(meter, request_log, 0.0, 14.9 / limit)
    before = estimate_limit(first, request_log, new_context())
    second = first
    while second.sent_s < first.sent_s + 20.0:  # every hint is obeyed, so that the bucket is never full
        start_s = second.sent_s + (second.hint_s or 0.0) + 1e-6
        second = send_until_rejected(meter, request_log, start_s, 49.7 / limit)

    found = estimate_limit(
        second, request_log, new_context(phase=Phase.HOLD, limit=2.0 * limit, anchor=before.anchor)
    )

    assert found.is_bucket
    assert found.per_minute == pytest.approx(limit, rel=0.01)


def test_a_hint_that_is_always_the_same_says_nothing() -> None:
    """What was taken in the last minute says more."""
    request_log = RequestLog()
    rejection = send_until_rejected(FixedWindow(300), request_log, 0.0, 0.19)
    lying = Rejection(request=rejection.request, sent_s=rejection.sent_s, hint_s=30.0, named_limit=None)
    seen = EstimationContext(
        unit=Unit.REQUESTS,
        phase=Phase.HOLD,
        pace=300.0,
        limit=None,
        is_bucket=False,
        anchor=None,
        was_raised=False,
        recent_hints_s=(30.0, 30.0),
        longest_hint_s=0.0,
        is_new=True,
        others=0.0,
    )

    assert estimate_limit(lying, request_log, seen).per_minute == 300


def test_a_hint_never_lowers_the_limit_to_nothing() -> None:
    """One that names an hour is about something else."""
    request_log = RequestLog()
    rejection = send_until_rejected(FixedWindow(100), request_log, 0.0, 0.3)
    far = Rejection(request=rejection.request, sent_s=rejection.sent_s, hint_s=3_600.0, named_limit=None)

    assert estimate_limit(far, request_log, new_context()).per_minute == pytest.approx(30.0)


@given(
    st.lists(
        st.tuples(st.floats(0.0, 30.0), st.integers(1, 9), st.sampled_from(["kept", "refused", "billed"])),
        max_size=80,
    )
)
def test_totals_are_what_counting_would_give(steps: list[tuple[float, int, str]]) -> None:
    """At every moment, whatever was rejected or billed otherwise."""
    request_log, all_of_them, at_s = RequestLog(), list[SentRequest](), 0.0
    for gap_s, tokens, what in steps:
        at_s += gap_s
        request = SentRequest(estimated_tokens=float(tokens), tokens=float(tokens))
        request_log.on_granted(request)
        request_log.on_sent(request, at_s)
        all_of_them.append(request)
        if what == "refused":
            request_log.on_rejected(request, at_s)
        if what == "billed":
            request_log.on_billed(request, 2.0 * tokens, at_s)
            request.tokens = 2.0 * tokens
        counted = [one for one in all_of_them if not one.is_rejected and (one.sent_s or 0.0) + 60.0 > at_s]
        assert request_log.window_total(Unit.REQUESTS, at_s) == len(counted)
        assert request_log.window_total(Unit.TOKENS, at_s) == pytest.approx(
            sum(one.tokens for one in counted)
        )


def test_sendings_are_forgotten() -> None:
    """A run of millions of calls keeps those of two minutes."""
    request_log = RequestLog()
    for number in range(20_000):
        request = SentRequest(estimated_tokens=1.0, tokens=1.0)
        request_log.on_granted(request)
        request_log.on_sent(request, number * 0.1)
        request_log.window_total(Unit.REQUESTS, number * 0.1)

    assert request_log.window_total(Unit.REQUESTS, 2_000.0) <= 600
    assert request_log.sum_accepted(Unit.REQUESTS, -math.inf, math.inf) <= 1_310


@pytest.mark.parametrize(
    ("ids", "units"),
    [
        ((PER_MINUTE,), (Unit.REQUESTS,)),
        ((TOKENS,), (Unit.TOKENS,)),
        ((PER_DAY, PER_MINUTE, TOKENS), (Unit.REQUESTS, Unit.TOKENS)),
        ((PER_DAY,), ()),
        ((), (Unit.REQUESTS,)),
    ],
)
def test_a_refusal_is_about_the_limits_it_names(ids: tuple[str, ...], units: tuple[Unit, ...]) -> None:
    """Tokens move the pace of tokens alone; a day's quota moves none; silence means requests."""
    assert cooldown.find_limited_units(rate_limited(1.0, *ids)) == units


def test_a_named_value_belongs_to_the_first_quota() -> None:
    """A day's limit is no limit per minute, and a token limit none of requests."""
    assert cooldown.find_named_limit(rate_limited(1.0, TOKENS, PER_MINUTE, value=250), Unit.TOKENS) == 250.0
    assert cooldown.find_named_limit(rate_limited(1.0, TOKENS, PER_MINUTE, value=250), Unit.REQUESTS) is None
    assert cooldown.find_named_limit(rate_limited(1.0, PER_DAY, PER_MINUTE, value=20), Unit.REQUESTS) is None


def test_silent_refusals_in_a_row_lengthen_the_pause() -> None:
    """Five seconds at first, thirty at most, five again once something passed."""
    pause, at_s, waits = cooldown.Cooldown(), 0.0, list[float]()
    for _ in range(8):
        pause.on_rejected(rate_limited(), at_s)
        waits.append(pause.until_s - at_s)
        at_s = pause.until_s
    pause.on_accepted()
    pause.on_rejected(rate_limited(), at_s)

    assert waits[0] == 5.0
    assert waits == sorted(waits)
    assert waits[-1] == 30.0
    assert pause.until_s - at_s == 5.0


@given(
    pace=st.floats(1.0, 5_000.0), demands=st.lists(st.floats(0.0, 10_000.0) | st.just(math.inf), max_size=8)
)
def test_runs_on_one_key_share_its_limit(pace: float, demands: list[float]) -> None:
    """No run gets less than an equal share, and what the others leave is ours."""
    ours = fair_share(pace, demands) * pace
    equal = pace / (len(demands) + 1)

    assert ours >= equal * (1.0 - 1e-9)
    assert ours <= max(equal, pace - sum(min(demand, equal) for demand in demands)) * (1.0 + 1e-9)


def test_hungry_runs_share_equally() -> None:
    """Two that could use all of it get half of it each."""
    assert fair_share(300.0, [math.inf]) == 0.5
    assert fair_share(300.0, [30.0, math.inf]) == pytest.approx(0.45)
    assert fair_share(300.0, []) == 1.0
