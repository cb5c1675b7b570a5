"""Deadline of a run: the instant from which on it takes no new work.

A deadline is looked up on the calendar of its zone, because adding 24 hours is wrong twice a year. The wall
clock is read again and again, because timers stand still while the machine sleeps.
"""

from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from errors import FatalError, StopReason
from processing.stop_signal import RunStoppedError, StopSignal
from utils.background import running
from utils.durations import format_duration

CHECK_INTERVAL_S = 10.0
"""A machine that slept through the deadline notices it at most so much later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """Instant from which on no new work is taken."""

    at: datetime
    """In UTC."""
    cause: str
    """One sentence without its full stop."""

    def seconds_left(self, now: datetime) -> float:
        """Return the time from ``now`` until the deadline; 0 after it."""
        return max(0.0, (self.at - now).total_seconds())

    def describe(self, now: datetime, zone: tzinfo | None = None) -> str:
        """Return the deadline as a text, with its date, since one that was just missed is tomorrow's."""
        local, left = self.at.astimezone(zone), format_duration(round(self.seconds_left(now)))
        return f"no new work after {local:%Y-%m-%d %H:%M:%S} (UTC{local:%z}), {left} from now"


def compute_deadline(
    started_at: datetime,
    *,
    deadline: time | None,
    max_duration_s: float | None,
    zone: tzinfo | None = None,
) -> Deadline | None:
    """Return the earlier of the two limits; None if unlimited.

    Both are instants of the wall clock: hours in which the machine slept count.

    Args:
        started_at: when the program was started, before it waited for the lock.
        deadline: time of day of ``--deadline``.
        max_duration_s: how long the run may take.
        zone: of the time of day; None for the system's own.

    """
    limits = []
    if deadline is not None:
        at = next_instant(deadline, started_at, zone)
        limits.append(Deadline(at=at, cause=f"the deadline {deadline:%H:%M} has come"))
    if max_duration_s is not None:
        at = started_at.astimezone(UTC) + timedelta(seconds=max_duration_s)
        limits.append(Deadline(at=at, cause=f"--max-duration {format_duration(max_duration_s)} is over"))
    return min(limits, key=lambda limit: limit.at, default=None)


def next_instant(clock_time: time, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return, in UTC, the next instant after ``now`` at which the clock shows ``clock_time``.

    At 06:00:00 and at 06:01, the next 06:00 is tomorrow's. Where the clock jumps over 02:30, it is the
    instant of the jump. Where 02:30 comes twice, it is the first of the two that lies ahead.
    """
    today = now.astimezone(zone).date()
    days = (today + timedelta(days=ahead) for ahead in range(3))
    return next(at for day in days for at in _find_instants(day, clock_time, zone) if at > now)


@asynccontextmanager
async def enforce(
    deadline: Deadline | None, stop: StopSignal, utcnow: Callable[[], datetime]
) -> AsyncIterator[None]:
    """Stop the run at the deadline while the block runs."""
    async with running(watch(deadline, stop, utcnow)) if deadline else nullcontext():
        yield


async def watch(deadline: Deadline, stop: StopSignal, utcnow: Callable[[], datetime]) -> None:
    """Wait for the deadline and stop the run; return early if it stops for another reason."""
    with suppress(RunStoppedError):
        while left_s := deadline.seconds_left(utcnow()):
            await stop.sleep(min(left_s, CHECK_INTERVAL_S))
        stop.request(FatalError(StopReason.DEADLINE, deadline.cause))


def _find_instants(day: date, clock_time: time, zone: tzinfo | None) -> tuple[datetime, ...]:
    """Return the instants of that day at which the clock shows the time: one, the jump, or two."""
    wall = datetime.combine(day, clock_time)
    # Not astimezone(UTC): for the system's zone it swaps the two readings of a time that is jumped over.
    stamps = (wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    first, second = (datetime.fromtimestamp(stamp, UTC) for stamp in stamps)
    if second < first:  # PEP 495: where no clock ever shows it, the two readings lie around the jump
        return (_find_jump(wall, second, first, zone),)
    return first, second


def _find_jump(wall: datetime, before: datetime, after: datetime, zone: tzinfo | None) -> datetime:
    """Return the first full second between the two at which the clock is past ``wall``."""

    def is_past(seconds: int) -> bool:
        local = (before + timedelta(seconds=seconds)).astimezone(zone)
        return local.replace(tzinfo=None) >= wall

    between = range(round((after - before).total_seconds()))
    return before + timedelta(seconds=bisect_left(between, x=True, key=is_past))
