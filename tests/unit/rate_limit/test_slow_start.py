"""Rules of rate_limit/slow_start.py and rate_limit/limit_detection.py.

The search for a pace, and the rejections that prove a limit.
"""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rate_limit.limit_detection import LimitDetector
from rate_limit.limit_estimation import Rejection
from rate_limit.request_log import RequestLog, SentRequest
from rate_limit.slow_start import INITIAL_WINDOW, SlowStart
from rate_limit.types import Unit
from tests.emulator.quotas import FixedWindow, Meter, SlidingWindow, TokenBucket


@dataclass(slots=True)
class Caller:
    """Sends requests, and passes their outcomes to a ``LimitDetector``."""

    sendings: RequestLog = field(default_factory=RequestLog)
    detector: LimitDetector = field(default_factory=lambda: LimitDetector(Unit.REQUESTS))

    def accept(self, at_s: float) -> None:
        """Send a request that the quota accepts."""
        self._send(at_s)
        self.detector.on_accepted()

    def reject(self, at_s: float, *, hint_s: float | None, named: float | None = None) -> bool:
        """Send one that is rejected; return whether a limit is confirmed."""
        request = self._send(at_s)
        self.sendings.on_rejected(request, at_s)
        rejection = Rejection(request=request, sent_s=at_s, hint_s=hint_s, named_limit=named)
        return self.detector.confirms(rejection, self.sendings)

    def count_until_confirmed(
        self, meter: Meter, *, named: float | None, every_s: float, start_s: float
    ) -> int:
        """Send to a quota, obeying its hints, until its limit is confirmed; return the rejections."""
        at_s, refusals = start_s, 0
        for _ in range(10_000):
            wait_s = meter.wait_s(at_s, 1)
            if wait_s <= 0.0:
                meter.take(at_s, 1)
                self.accept(at_s)
                at_s += every_s
                continue
            refusals += 1
            if self.reject(at_s, hint_s=wait_s, named=named):
                return refusals
            at_s += wait_s + 0.05
        raise AssertionError("never believed")

    def _send(self, at_s: float) -> SentRequest:
        request = SentRequest(estimated_tokens=1.0, tokens=1.0)
        self.sendings.on_granted(request)
        self.sendings.on_sent(request, at_s)
        return request


@pytest.mark.parametrize("named", [None, 5.0, 10.0, 60.0, 1000.0])
@pytest.mark.parametrize("hint_s", [0.2, 1.0, 30.0, 36.43])
@pytest.mark.parametrize("seed", range(5))
def test_refusals_at_random_prove_no_limit(seed: int, hint_s: float, named: float | None) -> None:
    """One call in twenty rejected with the same words each time, in three hundred: no limit is confirmed."""
    rng, caller, at_s, believed = random.Random(seed), Caller(), 0.0, 0
    for _ in range(300):
        at_s += 0.05
        if rng.random() < 0.05:
            believed += caller.reject(at_s, hint_s=hint_s, named=named)
            at_s += hint_s
        else:
            caller.accept(at_s)

    # A named limit that happens to be the amount that has just passed looks like a true one.
    assert believed == 0 or named in {60.0, 1000.0}


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(5, 500), start_s=st.floats(0.0, 59.0))
def test_a_window_of_the_clock_is_believed_at_the_second_refusal(limit: int, start_s: float) -> None:
    """Its hints point at ends of windows that lie whole minutes apart."""
    caller = Caller()

    assert (
        caller.count_until_confirmed(FixedWindow(limit), named=None, every_s=20.0 / limit, start_s=start_s)
        <= 2
    )


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(5, 500), start_s=st.floats(0.0, 1000.0))
def test_a_sliding_window_is_believed_at_the_first_or_second_refusal(limit: int, start_s: float) -> None:
    """Its hint is the moment when the oldest request leaves it; a round one needs a second."""
    caller = Caller()

    assert (
        caller.count_until_confirmed(SlidingWindow(limit), named=None, every_s=20.0 / limit, start_s=start_s)
        <= 2
    )


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(10, 1000), burst=st.integers(1, 20), is_named=st.booleans())
def test_a_bucket_is_believed_soon(*, limit: int, burst: int, is_named: bool) -> None:
    """Its hints are short, precise and never the same."""
    named = float(limit) if is_named else None
    meter = TokenBucket(limit, burst=burst)

    assert Caller().count_until_confirmed(meter, named=named, every_s=20.0 / limit, start_s=0.0) <= 4


def test_refusals_without_hints_are_believed_when_hardly_anything_passes_between() -> None:
    """Three in a row, seconds apart."""
    caller = Caller()
    for number in range(40):
        caller.accept(0.1 * number)

    assert [caller.reject(5.0 * number, hint_s=None) for number in (1, 2, 3)] == [False, False, True]


def test_a_flood_of_refusals_is_believed_whatever_they_say() -> None:
    """When a third of all calls is rejected, it does not matter why."""
    caller, believed = Caller(), []
    for number in range(60):
        at_s = 2.0 * number
        if number % 2:
            believed.append(caller.reject(at_s, hint_s=1.0))
        else:
            caller.accept(at_s)

    assert believed[-1]


def test_the_window_grows_by_one_for_each_answer() -> None:
    """Each answer lets two follow: itself and one more."""
    slow_start = SlowStart(observed_rpm=None)
    assert slow_start.earliest_start_s(0.0, in_flight=int(INITIAL_WINDOW) - 1, share=1.0) == 0.0
    assert slow_start.earliest_start_s(0.0, in_flight=int(INITIAL_WINDOW), share=1.0) is None

    slow_start.on_accepted()

    assert slow_start.earliest_start_s(1.0, in_flight=int(INITIAL_WINDOW), share=1.0) == 1.0
    assert slow_start.earliest_start_s(1.0, in_flight=int(INITIAL_WINDOW) + 1, share=1.0) is None


def test_after_the_first_answers_requests_are_spread_over_the_time_an_answer_takes() -> None:
    """So that a small quota rejects one or two before the first rejection arrives, not a whole window."""
    slow_start = SlowStart(observed_rpm=None)
    slow_start.on_accepted()

    slow_start.on_granted(10.0, 7.0, in_flight=1)

    assert slow_start.earliest_start_s(10.0, in_flight=1, share=1.0) == 10.0 + 7.0 / (INITIAL_WINDOW + 1.0)


def test_silence_is_news_where_a_refusal_would_have_come_by_now() -> None:
    """One more leaves after four times as long as it takes to reach the service, beside all in flight."""
    slow_start = SlowStart(observed_rpm=None)
    slow_start.on_granted(10.0, None, in_flight=int(INITIAL_WINDOW) - 1)
    assert slow_start.earliest_start_s(10.0, in_flight=int(INITIAL_WINDOW), share=1.0) is None

    slow_start.on_connected(0.1)
    slow_start.on_connected(0.3)

    assert slow_start.earliest_start_s(10.0, in_flight=int(INITIAL_WINDOW), share=1.0) == 10.4
    slow_start.on_granted(10.4, None, in_flight=int(INITIAL_WINDOW))
    assert slow_start.earliest_start_s(10.4, in_flight=int(INITIAL_WINDOW) + 1, share=1.0) == 10.8
    slow_start.on_connected(0.0)
    assert slow_start.earliest_start_s(10.4, in_flight=int(INITIAL_WINDOW) + 1, share=1.0) == 10.408


def test_after_a_refusal_silence_says_nothing() -> None:
    """A run that met a quota waits for answers."""
    slow_start = SlowStart(observed_rpm=None)
    slow_start.on_connected(0.1)
    slow_start.on_rejected(in_flight=5)

    assert slow_start.earliest_start_s(10.0, in_flight=5, share=1.0) is None


def test_a_refusal_leaves_a_quarter() -> None:
    """Of what was in flight; never less than one."""
    slow_start = SlowStart(observed_rpm=None)
    for _ in range(34):
        slow_start.on_accepted()

    slow_start.on_rejected(in_flight=39)
    assert slow_start.earliest_start_s(0.0, in_flight=9, share=1.0) == 0.0
    assert slow_start.earliest_start_s(0.0, in_flight=10, share=1.0) is None
    slow_start.on_rejected(in_flight=0)
    assert slow_start.earliest_start_s(0.0, in_flight=0, share=1.0) == 0.0
    assert slow_start.earliest_start_s(0.0, in_flight=1, share=1.0) is None


def test_what_another_night_saw_to_pass_may_leave_sooner() -> None:
    """A tenth of what passed in a minute; two runs on a key share it."""
    slow_start = SlowStart(observed_rpm=300.0)

    assert slow_start.earliest_start_s(0.0, in_flight=29, share=1.0) == 0.0
    assert slow_start.earliest_start_s(0.0, in_flight=30, share=1.0) is None
    assert slow_start.earliest_start_s(0.0, in_flight=15, share=0.5) is None
