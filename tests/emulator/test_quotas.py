"""Rules of tests/emulator/quotas.py: quotas admit what they promise, and hint at the right instant."""

import math
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emulator.quotas import FixedWindow, Meter, Quota, QuotaBook, SlidingWindow, TokenBucket, Unit
from tests.emulator.scenario import meter_from

KINDS: dict[str, Callable[[int], Meter]] = {
    "fixed": lambda limit: FixedWindow(limit, 60),
    "sliding": lambda limit: SlidingWindow(limit, 60),
    "bucket": lambda limit: TokenBucket(limit, 60),
}
METERS = pytest.mark.parametrize("kind", KINDS)


def is_admitted(meter: Meter, now_s: float, amount: int = 1) -> bool:
    """Take the amount if it fits."""
    if meter.wait_s(now_s, amount) > 0:
        return False
    meter.take(now_s, amount)
    return True


@METERS
def test_a_fresh_meter_admits_its_limit_at_once_and_no_more(kind: str) -> None:
    """The limit is what fits at one instant."""
    meter = KINDS[kind](3)

    assert [is_admitted(meter, 10) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("kind", "wait_s"),
    [("fixed", 40), ("sliding", 50), ("bucket", 10)],
    ids=["fixed: end of the minute", "sliding: oldest is a minute old", "bucket: one has dripped in"],
)
def test_the_wait_is_what_the_kind_of_window_says(kind: str, wait_s: float) -> None:
    """Three taken at 10 s and three at 20 s of a limit of six: each kind frees a place at its own time."""
    meter = KINDS[kind](6)
    for at_s in (10, 10, 10, 20, 20, 20):
        meter.take(at_s, 1)
    if kind == "bucket":
        meter.take(20, 1)  # one dripped in between 10 and 20

    assert meter.wait_s(20, 1) == pytest.approx(wait_s)


@METERS
def test_what_is_above_the_limit_never_fits(kind: str) -> None:
    """An amount that no window can hold waits for ever."""
    assert math.isinf(KINDS[kind](3).wait_s(0, 4))


@METERS
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.tuples(st.floats(0, 90), st.integers(1, 5)), max_size=20))
def test_who_waits_as_told_is_admitted(kind: str, steps: list[tuple[float, int]]) -> None:
    """After exactly the hinted wait, the amount fits, whatever came before."""
    meter, now_s = KINDS[kind](5), 0.0
    for gap_s, amount in steps:
        now_s += gap_s
        now_s += meter.wait_s(now_s, amount)

        assert is_admitted(meter, now_s, amount)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(gaps=st.lists(st.floats(0, 40), max_size=60))
def test_a_sliding_window_never_holds_more_than_its_limit(gaps: list[float]) -> None:
    """In no stretch of a window's length is more admitted than the limit."""
    meter, now_s, taken_s = SlidingWindow(4, 60), 0.0, []
    for gap_s in gaps:
        now_s += gap_s
        if is_admitted(meter, now_s):
            taken_s.append(now_s)

    assert all(later - earlier > 60 - 1e-6 for earlier, later in zip(taken_s, taken_s[4:], strict=False))


def test_a_bucket_may_hold_less_than_its_rate() -> None:
    """With a burst of two, sixty a minute means two at once and one each second."""
    bucket = TokenBucket(60, 60, burst=2)

    assert [is_admitted(bucket, at_s) for at_s in (0, 0, 0, 1, 1, 2)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_refused_request_is_counted_by_no_quota() -> None:
    """What the tokens refuse does not use up the requests."""
    requests = Quota(meter=FixedWindow(2))
    tokens = Quota(meter=FixedWindow(100), unit=Unit.TOKENS)
    book = QuotaBook([requests, tokens])

    verdicts = [book.admit(0, amount) for amount in (90, 90, 90, 10)]

    assert [verdict is None for verdict in verdicts] == [True, False, False, True]
    assert verdicts[1] is not None
    assert verdicts[1].violations == (tokens,)


def test_a_daily_refusal_hints_at_the_next_minute() -> None:
    """A day's quota is spent until tomorrow, and still the hint is of seconds, as Google's is."""
    book = QuotaBook([Quota(meter=FixedWindow(1, 86_400), per_day=True)])
    book.admit(0, 1)

    refusal = book.admit(70, 1)

    assert refusal is not None
    assert refusal.retry_s == 50


def test_one_quota_serves_several_books() -> None:
    """A book counts for itself; the quota it was made from stays fresh."""
    quota = Quota(meter=FixedWindow(1))

    assert [QuotaBook([quota]).admit(0, 1) for _ in range(2)] == [None, None]


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [("fixed:1", 60), ("sliding:1@3", 3), ("bucket:2:1", 30), ("bucket:1@5", 5)],
)
def test_a_meter_is_written_in_one_word(text: str, wait_s: float) -> None:
    """Kind, limit, burst and window are read from a flag."""
    meter = meter_from(text)
    meter.take(0, 1)

    assert meter.wait_s(0, 1) == pytest.approx(wait_s)


@pytest.mark.parametrize("text", ["", "fixed", "leaky:3", "fixed:3:4", "fixed:x"])
def test_what_is_no_meter_is_said(text: str) -> None:
    """A flag that cannot be read is an error."""
    with pytest.raises(ValueError, match=r"meter|invalid literal"):
        meter_from(text)
