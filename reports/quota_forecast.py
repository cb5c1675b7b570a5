"""Forecast after a stopped run: when quota is available again, and how many days the rest takes.

Quotas per day reset at midnight Pacific time, so each reset is read from the calendar there and shown in the
user's zone: the two change to daylight saving on different days, and such a day has 23 or 25 hours.
A spend limit counts the last ten minutes.
Source: docs/api-facts.md, section 4.1, 2026-08-18; https://ai.google.dev/gemini-api/docs/rate-limits.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from errors import FatalError, StopReason
from reports.advice import RAISE_SPENDING_CAP, WAITING_IS_USELESS, stop_remedy
from reports.formatting import format_count, format_images

PACIFIC = ZoneInfo("America/Los_Angeles")
_AFTER_RESET = timedelta(minutes=5)
"""Margin after the reset for a cron job, because clocks differ a little."""
_MAX_DAYS_WITH_DATE = 1_000
_DAYS_PER_YEAR = 366
_MAX_WAIT_S = 366 * 86_400.0
"""Longer waits are shown as this one; the calendar ends in the year 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaForecast:
    """What the user can do after a run that was stopped, and when."""

    remedy: str
    """What to do now, as one sentence without its full stop."""
    images_left: int
    resets_at: datetime | None = None
    """UTC; None if unknown, or if it does not depend on time."""
    resets_at_local: str | None = None
    """The same moment in the user's zone, with its offset from UTC."""
    images_per_night: int | None = None
    nights_left: int | None = None
    """Days that the rest takes; None if unknown."""


def next_reset(now: datetime) -> datetime:
    """Return when the quotas per day reset: the first midnight in California after ``now``, in UTC."""
    return _pacific_midnight(now, days=1)


def last_reset(now: datetime) -> datetime:
    """Return when the current quota day began, in UTC: at ``now`` or at most 25 hours before."""
    return _pacific_midnight(now, days=0)


def cron_time(now: datetime, zone: tzinfo | None = None) -> time:
    """Return a time of day in ``zone`` that comes soon after every reset of the coming year.

    In some weeks the reset comes an hour earlier on the local clock, because the zones change on different
    days. The later time is right all year.
    """
    first = next_reset(now).astimezone(zone)
    latest = max(
        _clock_difference(_pacific_midnight(now, days=day).astimezone(zone), first)
        for day in _next_year_days()
    )
    # Arithmetic on the time of day alone, so daylight saving does not matter.
    return (datetime.combine(first.date(), first.time()) + latest + _AFTER_RESET).time()


def days_needed(images_left: int, per_day: int) -> int:
    """Return how many days so many images take."""
    return -(-images_left // per_day)


def daily_capacity(stop: FatalError, answered: int) -> int | None:
    """Return how many images the quota of one day allows; None if unknown.

    Args:
        stop: names the quota, and sometimes its size.
        answered: images that were answered in the quota day in which the run ended.
    """
    # ``quota_value`` belongs to one of the quotas, so it is used only if all count requests per day.
    counts_requests = all("PerDay" in name and "token" not in name.lower() for name in stop.quota_ids)
    if stop.quota_ids and stop.quota_value and counts_requests:
        return stop.quota_value
    return answered or None


def forecast_quota(
    stop: FatalError, *, now: datetime, images_left: int, answered: int, zone: tzinfo | None = None
) -> QuotaForecast:
    """Return the forecast after a run that ``stop`` ended at ``now``.

    Args:
        stop: why the run ended.
        now: the end of the run.
        images_left: images that the next run has to do.
        answered: images that were answered in this quota day.
        zone: time zone of the user; None for the zone of the machine.
    """
    if stop.reason is StopReason.DAILY_QUOTA:
        return _forecast_daily_quota(stop, now=now, images_left=images_left, answered=answered, zone=zone)
    if stop.reason is StopReason.SPEND_LIMIT and stop.retry_after_s:
        frees_at = now + timedelta(seconds=stop.retry_after_s)
        return QuotaForecast(
            remedy=f"run again after {_format_moment(frees_at, zone)}, or {RAISE_SPENDING_CAP}"
            f"{_describe_left(images_left)}",
            images_left=images_left,
            resets_at=frees_at.astimezone(UTC),
            resets_at_local=_format_iso(frees_at, zone),
        )
    if stop.reason is StopReason.LONG_WAIT and stop.retry_after_s:
        ends_at = now + timedelta(seconds=min(stop.retry_after_s, _MAX_WAIT_S))
        return QuotaForecast(
            remedy=f"run again after {_format_moment(ends_at, zone)}{_describe_left(images_left)}",
            images_left=images_left,
            resets_at=ends_at.astimezone(UTC),
            resets_at_local=_format_iso(ends_at, zone),
        )
    return QuotaForecast(remedy=_describe_remedy(stop, images_left), images_left=images_left)


def _forecast_daily_quota(
    stop: FatalError, *, now: datetime, images_left: int, answered: int, zone: tzinfo | None
) -> QuotaForecast:
    resets_at, per_day = next_reset(now), daily_capacity(stop, answered)
    days = None if per_day is None else days_needed(images_left, per_day)
    remedy = (
        f"run again after {_format_moment(resets_at, zone)}, when the quota of a day resets"
        f" ({cron_time(now, zone):%H:%M} suits cron all year)"
    )
    if per_day and days:
        remedy += f"; at {per_day:,} a day {_describe_days(images_left, days)}"
        if days <= _MAX_DAYS_WITH_DATE:
            last = _pacific_midnight(now, days=days).astimezone(zone)
            remedy += f", until {_format_date(last, now.astimezone(zone))}"
    return QuotaForecast(
        remedy=remedy,
        images_left=images_left,
        resets_at=resets_at,
        resets_at_local=_format_iso(resets_at, zone),
        images_per_night=per_day,
        nights_left=days,
    )


def _describe_remedy(stop: FatalError, images_left: int) -> str:
    remedy = stop_remedy(stop)
    match stop.reason:
        case StopReason.SPEND_LIMIT:
            return (
                "run again in a quarter of an hour, since a limit on the last ten minutes frees itself, or"
                f" {RAISE_SPENDING_CAP}{_describe_left(images_left)}"
            )
        case StopReason.CREDIT_SPENT:
            return f"{remedy}{_describe_left(images_left)}"
        case StopReason.NO_QUOTA:
            return f"{remedy}; {WAITING_IS_USELESS}{_describe_left(images_left)}"
        case _:
            return remedy


def _pacific_midnight(now: datetime, *, days: int) -> datetime:
    """Return a midnight in California, in UTC; it always exists, because clocks change at 2 a.m. there."""
    day = now.astimezone(PACIFIC).date() + timedelta(days=days)
    return datetime.combine(day, time(), PACIFIC).astimezone(UTC)


def _next_year_days() -> range:
    return range(1, _DAYS_PER_YEAR + 1)


def _clock_difference(local: datetime, first: datetime) -> timedelta:
    """Return the difference of two times of day, from -12 to 12 hours: 00:00 is later than 23:00."""
    minutes = (local.hour - first.hour) * 60 + local.minute - first.minute
    return timedelta(minutes=(minutes + 720) % 1440 - 720)


def _format_moment(moment: datetime, zone: tzinfo | None) -> str:
    local = moment.astimezone(zone)
    return f"{local:%H:%M} on {local.day} {local:%b} (local time)"


def _format_date(local: datetime, today: datetime) -> str:
    year = "" if local.year == today.year else f" {local.year}"
    return f"{local.day} {local:%b}{year}"


def _format_iso(moment: datetime, zone: tzinfo | None) -> str:
    return moment.astimezone(zone).isoformat(timespec="seconds")


def _describe_days(images_left: int, count: int) -> str:
    some = "the remaining image takes" if images_left == 1 else f"the remaining {images_left:,} images take"
    return f"{some} {format_count(count, 'more day')}"


def _describe_left(images_left: int) -> str:
    if not images_left:
        return ""
    return f"; {format_images(images_left)} {'is' if images_left == 1 else 'are'} left"
