"""What limits a run: beside the progress, in ``processing_stats.json``, and in the summary.

It names the cause (the service's quota, the user's own ceiling, or an outage) and until when.
"""

import math
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from rate_limit.types import RateLimitStats, WaitCause

if TYPE_CHECKING:
    from reports.documents import Pacing

_UNITS_FROM = 10_000
_DAY_S = 86_400.0
_MAX_WAIT_S = 1e9


def describe_limit(
    stats: RateLimitStats,
    *,
    now_s: float,
    utcnow: datetime,
    rpm: float | None = None,
    tpm: float | None = None,
    zone: tzinfo | None = None,
) -> str:
    """Return what limits the run at the moment; empty if nothing does.

    It has about 50 columns at most, but for the reason of an outage, which names the host.

    Args:
        stats: statistics of the rate limiter.
        now_s: the current time on the clock of ``stats``, in seconds.
        utcnow: the same moment on the wall clock.
        rpm: the user's own ceiling on requests a minute; None if unlimited.
        tpm: the same for tokens.
        zone: time zone of the user; None for the zone of the machine.
    """
    match stats.waiting_for:
        case WaitCause.OUTAGE:
            return f"{stats.outage or 'service overloaded'}: one probe at a time"
        case WaitCause.QUOTA:
            until = _format_until(stats.waiting_until_s, now_s, utcnow, zone)
            return _describe_quota_wait(stats, until)
        case WaitCause.CEILING:
            ceilings = (("--rpm", rpm), ("--tpm", tpm))
            return " ".join(f"{flag} {_format_plain(most)}" for flag, most in ceilings if most is not None)
        case WaitCause.PACE if stats.pace_rpm is not None:
            return ", ".join(
                filter(None, (f"pace {_format_short(stats.pace_rpm)}/min", _describe_binding_limit(stats)))
            )
        case _:
            return stats.outage


def build_pacing_section(stats: RateLimitStats | None) -> "Pacing | None":
    """Return the section ``pacing``; None if the rate limiter was not started."""
    if stats is None:
        return None
    from reports.documents import Pacing  # noqa: PLC0415 - 20 ms, and due only at the end of a run

    share = min(1.0, stats.rejected / stats.requests) if stats.requests else 0.0
    by_quota = sorted(stats.rejections.items(), key=lambda item: (-item[1], item[0]))
    return Pacing(
        limit_requests_per_minute=_round(stats.limit_rpm),
        limit_tokens_per_minute=_round(stats.limit_tpm),
        limit_is_named=stats.limit_is_named,
        pace_at_end=_round(stats.pace_rpm),
        concurrency=stats.concurrency,
        requests=stats.requests,
        refused=stats.rejected,
        refused_share=round(share, 4),
        refused_by_quota=dict(by_quota),
        waited_seconds={str(cause): round(stats.waited_s.get(cause, 0.0), 1) for cause in WaitCause},
        wasted_upload_bytes=stats.wasted_upload_bytes,
    )


def summary_line(pacing: "Pacing | None") -> str:
    """Return how the service limited the run, as half a sentence; empty if it rejected no call."""
    if pacing is None or not pacing.refused:
        return ""
    limits = (
        (pacing.limit_requests_per_minute, "requests"),
        (pacing.limit_tokens_per_minute, "tokens"),
    )
    known = [f"{limit:,.0f} {what}" for limit, what in limits if limit is not None]
    about = "" if pacing.limit_is_named else "about "
    limit = f"{about}{' and '.join(known)} a minute; " if known else ""
    percent = 100.0 * pacing.refused / max(pacing.requests, pacing.refused)
    share = "less than 0.1" if percent < 0.1 else f"{percent:.1f}"
    was = "was" if pacing.refused == 1 else "were"
    return (
        f"the service limited us: {limit}{pacing.refused:,} of {pacing.requests:,} calls {was} refused"
        f" ({share} %)"
    )


def _describe_quota_wait(stats: RateLimitStats, until: str) -> str:
    limit, waiting = _describe_binding_limit(stats), stats.waiting
    # A limit on tokens has a longer text, so "for quota" is left out to fit the line.
    what = "waiting" if "tokens" in limit else "waiting for quota"
    waits = f"{waiting} {what}{until}" if waiting else ""
    return ", ".join(filter(None, (limit, waits)))


def _describe_binding_limit(stats: RateLimitStats) -> str:
    """Return the limit that binds, as far as known: the one that rejected more calls."""
    if stats.limit_tpm is not None and (stats.limit_rpm is None or _is_about_tokens(stats)):
        return f"limit {_format_short(stats.limit_tpm)} tokens/min"
    return "" if stats.limit_rpm is None else f"limit {_format_short(stats.limit_rpm)}/min"


def _is_about_tokens(stats: RateLimitStats) -> bool:
    tokens = sum(count for quota, count in stats.rejections.items() if "token" in quota.lower())
    return 2 * tokens > sum(stats.rejections.values())


def _format_until(until_s: float | None, now_s: float, utcnow: datetime, zone: tzinfo | None) -> str:
    if until_s is None or not math.isfinite(until_s):
        return ""
    wait_s = min(max(0.0, until_s - now_s), _MAX_WAIT_S)
    # Added in UTC, so that the local time is right when daylight saving begins or ends in between.
    local = (utcnow + timedelta(seconds=wait_s)).astimezone(zone)
    return f" until {local:%H:%M:%S}" if wait_s < _DAY_S else f" until {local.day} {local:%b}"


def _format_short(number: float) -> str:
    """Return a rate in few characters: ``4.5``, ``58``, ``2000``, ``250k``, ``1.5M``."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= max(size, _UNITS_FROM):
            return f"{number / size:.3g}{unit}" if number < 1_000 * size else f"{number / size:.0f}{unit}"
    return f"{number:.1f}".removesuffix(".0") if number < 10 else f"{number:.0f}"


def _format_plain(number: float) -> str:
    """Return the value of a flag as it can be typed."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _round(number: float | None) -> float | None:
    return round(number, 1) if number is not None and math.isfinite(number) else None
