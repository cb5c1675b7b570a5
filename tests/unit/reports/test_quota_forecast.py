"""Rules of reports/quota_forecast.py: the next reset on every clock, and the days that the rest takes."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import FatalError, StopReason
from reports.quota_forecast import (
    PACIFIC,
    QuotaForecast,
    cron_time,
    daily_capacity,
    days_needed,
    forecast_quota,
    last_reset,
    next_reset,
)

BERLIN = ZoneInfo("Europe/Berlin")
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
TOKENS_PER_DAY = "GenerateContentInputTokensPerModelPerDay"
ZONES = (
    "America/Los_Angeles", "America/Phoenix", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Tokyo",
    "Australia/Lord_Howe", "Australia/Sydney", "Europe/Berlin", "Europe/London", "Pacific/Chatham",
    "Pacific/Honolulu", "Pacific/Kiritimati", "Pacific/Pitcairn", "UTC",
)  # fmt: skip
INSTANTS = st.datetimes(
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001 - the zone is the next argument
    max_value=datetime(2027, 1, 1),  # noqa: DTZ001 - the same
    timezones=st.just(UTC),
)


def utc(text: str) -> datetime:
    """Return an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def forecast(
    now: str = "2026-11-25T12:00",
    *,
    left: int = 740,
    answered: int = 0,
    zone: str = "Europe/Berlin",
    quota_ids: tuple[str, ...] = (PER_DAY,),
    quota_value: int | None = 250,
) -> QuotaForecast:
    """Return the forecast after a daily quota was used up."""
    stop = FatalError(StopReason.DAILY_QUOTA, "x", quota_ids=quota_ids, quota_value=quota_value)
    return forecast_quota(stop, now=utc(now), images_left=left, answered=answered, zone=ZoneInfo(zone))


# When


@given(INSTANTS)
def test_the_reset_is_the_next_midnight_in_california(now: datetime) -> None:
    """At any instant of a year: in the future, at most 25 hours ahead, and 00:00 there."""
    reset = next_reset(now)

    assert timedelta(0) < reset - now <= timedelta(hours=25)
    assert f"{reset.astimezone(PACIFIC):%H:%M:%S.%f}" == "00:00:00.000000"
    assert reset.utcoffset() == timedelta(0)


@given(INSTANTS)
def test_the_last_reset_is_the_one_before_the_next(now: datetime) -> None:
    """The quota day holds the instant, its first moment included, and no other reset lies in it."""
    assert last_reset(now) <= now < next_reset(now)
    assert next_reset(last_reset(now)) == next_reset(now)


def test_every_day_of_a_year_has_its_length() -> None:
    """One day has 23 hours, one has 25, all others 24."""
    resets = [next_reset(utc("2026-01-01T00:00"))]
    while len(resets) < 366:
        resets.append(next_reset(resets[-1]))
    hours = [(later - earlier) / timedelta(hours=1) for earlier, later in pairwise(resets)]

    assert {length: hours.count(length) for length in set(hours)} == {23: 1, 24: 363, 25: 1}


@pytest.mark.parametrize(
    ("now", "reset"),
    [
        ("2026-03-08T07:59:59", "2026-03-08T08:00"),
        ("2026-03-08T08:00", "2026-03-09T07:00"),
        ("2026-11-01T06:59:59", "2026-11-01T07:00"),
        ("2026-11-01T07:00", "2026-11-02T08:00"),
        ("2026-12-31T20:00", "2027-01-01T08:00"),
    ],
    ids=["before-23h", "23h", "before-25h", "25h", "new-year"],
)
def test_the_days_on_which_california_switches(now: str, reset: str) -> None:
    """The reset follows the calendar there, also from the very moment of the reset before."""
    assert next_reset(utc(now)) == utc(reset)


@pytest.mark.parametrize(
    ("now", "zone", "local"),
    [
        ("2026-11-25T22:00", "Europe/Berlin", "2026-11-26T09:00:00+01:00"),
        ("2026-07-01T22:00", "Europe/Berlin", "2026-07-02T09:00:00+02:00"),
        ("2026-03-10T22:00", "Europe/Berlin", "2026-03-11T08:00:00+01:00"),
        ("2026-03-29T00:30", "Europe/Berlin", "2026-03-29T09:00:00+02:00"),
        ("2026-03-28T08:30", "Europe/Berlin", "2026-03-29T09:00:00+02:00"),
        ("2026-10-25T00:30", "Europe/Berlin", "2026-10-25T08:00:00+01:00"),
        ("2026-10-28T22:00", "Europe/London", "2026-10-29T07:00:00+00:00"),
        ("2026-11-25T22:00", "Europe/London", "2026-11-26T08:00:00+00:00"),
        ("2026-10-10T00:00", "Australia/Sydney", "2026-10-10T18:00:00+11:00"),
        ("2026-09-10T00:00", "Australia/Sydney", "2026-09-10T17:00:00+10:00"),
        ("2026-12-10T00:00", "Australia/Sydney", "2026-12-10T19:00:00+11:00"),
        ("2026-07-01T00:00", "Asia/Tokyo", "2026-07-01T16:00:00+09:00"),
        ("2026-12-01T00:00", "Asia/Tokyo", "2026-12-01T17:00:00+09:00"),
        ("2026-07-01T00:00", "Asia/Kolkata", "2026-07-01T12:30:00+05:30"),
        ("2026-12-01T00:00", "Pacific/Kiritimati", "2026-12-01T22:00:00+14:00"),
        ("2026-11-01T07:00", "America/Los_Angeles", "2026-11-02T00:00:00-08:00"),
    ],
)  # fmt: skip
def test_the_reset_on_a_local_clock(now: str, zone: str, local: str) -> None:
    """It is right where both zones switched, where only one of them has yet, and on the day itself."""
    assert forecast(now, zone=zone).resets_at_local == local


@given(INSTANTS, st.sampled_from(ZONES))
def test_local_and_universal_time_are_one_moment(now: datetime, zone: str) -> None:
    """The moment on the local clock is the reset, whatever both zones do."""
    stop = FatalError(StopReason.DAILY_QUOTA, "x")
    seen = forecast_quota(stop, now=now, images_left=1, answered=1, zone=ZoneInfo(zone))

    assert seen.resets_at_local
    assert datetime.fromisoformat(seen.resets_at_local) == seen.resets_at == next_reset(now)


@pytest.mark.parametrize(
    ("zone", "suits"),
    [
        ("Europe/Berlin", "09:05"),
        ("Europe/London", "08:05"),
        ("Asia/Tokyo", "17:05"),
        ("Asia/Kolkata", "13:35"),
        ("Australia/Sydney", "19:05"),
        ("America/Los_Angeles", "00:05"),
        ("Pacific/Pitcairn", "00:05"),
    ],
)
@pytest.mark.parametrize("now", ["2026-03-10T12:00", "2026-06-10T12:00", "2026-10-27T12:00"])
def test_one_time_of_day_suits_cron_all_year(zone: str, suits: str, now: str) -> None:
    """It is the same whenever it is asked for: a time that is too early in some weeks would ask in vain."""
    assert f"{cron_time(utc(now), ZoneInfo(zone)):%H:%M}" == suits


@pytest.mark.parametrize("zone", ZONES)
def test_the_time_for_cron_comes_soon_after_every_reset(zone: str) -> None:
    """Within 5 minutes and two hours after each of a year's resets (more only where clocks change)."""
    now, here = utc("2026-11-25T12:00"), ZoneInfo(zone)
    suits = cron_time(now, here)

    for _ in range(365):
        now = next_reset(now)
        local = now.astimezone(here)
        late = (suits.hour - local.hour) * 60 + suits.minute - local.minute
        assert 5 <= late % 1440 <= 125


# How many days


@given(st.integers(0, 10**7), st.integers(1, 10**5))
def test_the_nights_are_enough_and_not_one_too_many(left: int, each: int) -> None:
    """So many days suffice, one less would not."""
    count = days_needed(left, each)

    assert count * each >= left
    assert not left or (count - 1) * each < left


@pytest.mark.parametrize(
    ("quota_ids", "quota_value", "answered", "each"),
    [
        ((PER_DAY,), 250, 31, 250),
        ((PER_DAY,), None, 31, 31),
        ((PER_DAY,), 0, 31, 31),
        ((PER_MINUTE, PER_DAY), 10, 31, 31),
        ((TOKENS_PER_DAY,), 1_000_000, 31, 31),
        ((), 250, 31, 31),
        ((PER_DAY,), None, 0, None),
    ],
    ids=["named", "not-named", "zero", "mixed", "tokens", "no-id", "nothing-known"],
)
def test_what_a_night_is_good_for(
    quota_ids: tuple[str, ...], quota_value: int | None, answered: int, each: int | None
) -> None:
    """The quota where the service named it in requests a day, else what was answered, else unknown."""
    stop = FatalError(StopReason.DAILY_QUOTA, "x", quota_ids=quota_ids, quota_value=quota_value)

    assert daily_capacity(stop, answered) == each


def test_the_words_after_a_daily_quota() -> None:
    """When it resets here, when cron may come, how many days, and until when."""
    seen = forecast()

    assert seen.remedy == (
        "run again after 09:00 on 26 Nov (local time), when the quota of a day resets"
        " (09:05 suits cron all year); at 250 a day the remaining 740 images take 3 more days,"
        " until 28 Nov"
    )
    assert (seen.images_left, seen.images_per_night, seen.nights_left) == (740, 250, 3)


@pytest.mark.parametrize(
    ("left", "answered", "end"),
    [
        (1, 9, "; at 9 a day the remaining image takes 1 more day, until 26 Nov"),
        (9, 9, "; at 9 a day the remaining 9 images take 1 more day, until 26 Nov"),
        (10, 9, "; at 9 a day the remaining 10 images take 2 more days, until 27 Nov"),
        (400, 10, "; at 10 a day the remaining 400 images take 40 more days, until 4 Jan 2027"),
        (99_999, 1, "; at 1 a day the remaining 99,999 images take 99,999 more days"),
        (5, 0, "(09:05 suits cron all year)"),
        (0, 9, "(09:05 suits cron all year)"),
    ],
    ids=["one", "one-night", "two-nights", "next-year", "too-far", "unknown", "none-left"],
)
def test_the_nights_in_words(left: int, answered: int, end: str) -> None:
    """Without a known quota there is no number of days, and no date in the far future."""
    assert forecast(left=left, answered=answered, quota_value=None).remedy.endswith(end)


def test_the_last_night_is_told_right_across_a_switch() -> None:
    """Late in the evening the last of many resets lies on the local date, whatever changes in between."""
    assert forecast("2026-10-20T22:30", left=500, answered=0).remedy.endswith("2 more days, until 22 Oct")
    assert forecast("2026-10-20T22:30", left=5000).remedy.endswith("20 more days, until 9 Nov")
    assert forecast("2026-12-30T12:00", left=5000, zone="Asia/Tokyo").remedy.endswith("until 19 Jan 2027")


@pytest.mark.parametrize(
    ("reason", "retry_after_s", "remedy"),
    [
        (
            StopReason.CREDIT_SPENT,
            None,
            (
                "top up the project's credit at https://ai.studio/projects, then run again;"
                " 740 images are left"
            ),
        ),
        (
            StopReason.SPEND_LIMIT,
            None,
            (
                "run again in a quarter of an hour, since a limit on the last ten minutes frees itself, or"
                " raise the project's spending cap at https://ai.studio/projects; 740 images are left"
            ),
        ),
        (
            StopReason.SPEND_LIMIT,
            480.0,
            (
                "run again after 13:08 on 25 Nov (local time), or raise the project's spending cap at"
                " https://ai.studio/projects; 740 images are left"
            ),
        ),
        (
            StopReason.NO_QUOTA,
            59.0,
            (
                "choose another --model, or enable billing for the key's project; waiting does not help;"
                " 740 images are left"
            ),
        ),
        (StopReason.OUTAGE, 30.0, "run again later"),
    ],
    ids=["credit", "spending", "spending-hinted", "zero", "outage"],
)
def test_each_end_has_its_own_words(reason: StopReason, retry_after_s: float | None, remedy: str) -> None:
    """Money, a rolling limit, a model outside the tier: what helps, and when only where a clock decides."""
    stop = FatalError(reason, "x", retry_after_s=retry_after_s)
    seen = forecast_quota(stop, now=utc("2026-11-25T12:00"), images_left=740, answered=9, zone=BERLIN)

    assert seen.remedy == remedy
    assert seen.nights_left is None
    assert (seen.resets_at is not None) == (reason is StopReason.SPEND_LIMIT and retry_after_s is not None)


def test_a_spend_limit_that_names_its_time_tells_it() -> None:
    """The document gets the moment in both ways."""
    stop = FatalError(StopReason.SPEND_LIMIT, "x", retry_after_s=480.0)
    seen = forecast_quota(stop, now=utc("2026-11-25T12:00"), images_left=0, answered=0, zone=BERLIN)

    assert seen.resets_at == utc("2026-11-25T12:08")
    assert seen.resets_at_local == "2026-11-25T13:08:00+01:00"
    assert "left" not in seen.remedy
