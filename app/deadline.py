"""When must a run take no new work any more, because its time is over?

Adding a day to this morning's six o'clock misses tomorrow's by an hour in two nights of the year, and
a timer set once for eight hours stands still while the machine sleeps. So a deadline is looked up on
the calendar of its zone, and the wall clock is read again and again. This file must not know what the
work is, nor how calls in flight come to their end.
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
"""So much later than it should, at most, a machine that slept notices that the time is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """The instant from which on no new work is taken."""

    at: datetime
    """In UTC."""
    cause: str
    """Why it is over, as one sentence without its full stop."""

    def seconds_left(self, now: datetime) -> float:
        """Return how long it is from ``now`` until the time is over; 0 when it is."""
        return max(0.0, (self.at - now).total_seconds())

    def describe(self, now: datetime, zone: tzinfo | None = None) -> str:
        """Return until when there is new work, with its date: a deadline just missed is tomorrow's."""
        local, left = self.at.astimezone(zone), format_duration(round(self.seconds_left(now)))
        return f"no new work after {local:%Y-%m-%d %H:%M:%S} (UTC{local:%z}), {left} from now"


def compute_deadline(
    started_at: datetime,
    *,
    deadline: time | None,
    max_duration_s: float | None,
    zone: tzinfo | None = None,
) -> Deadline | None:
    """Return the earlier of the two limits, or None where there is none.

    Both are instants of the wall clock: hours in which the machine slept count.

    Args:
        started_at: when the program was started; before it waited for anything.
        deadline: what the clock shows when the time is over.
        max_duration_s: how long the run may take.
        zone: where the clock hangs; None for the system's own zone.

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
    """Return, in UTC, the next instant after ``now`` at which the clock comes to show ``shows``.

    The deadline 06:00 asked for at 06:00:00 or at 06:01 is tomorrow's. In the night in which the
    clock jumps over 02:30 it is the instant of the jump. In the night in which 02:30 comes twice it is
    the first one that still lies ahead, so between the two it is the second.
    """
    today = now.astimezone(zone).date()
    days = (today + timedelta(days=ahead) for ahead in range(3))
    return next(at for day in days for at in _find_instants(day, clock_time, zone) if at > now)


@asynccontextmanager
async def enforce(
    deadline: Deadline | None, stop: StopSignal, utcnow: Callable[[], datetime]
) -> AsyncIterator[None]:
    """While the block runs, ask for a stop as soon as the time is over."""
    async with running(watch(deadline, stop, utcnow)) if deadline else nullcontext():
        yield


async def watch(deadline: Deadline, stop: StopSignal, utcnow: Callable[[], datetime]) -> None:
    """Ask for a stop once the time is over; return then, or when the run stops for another reason."""
    with suppress(RunStoppedError):
        while left_s := deadline.seconds_left(utcnow()):
            await stop.sleep(min(left_s, CHECK_INTERVAL_S))
        stop.request(FatalError(StopReason.DEADLINE, deadline.cause))


def _find_instants(day: date, clock_time: time, zone: tzinfo | None) -> tuple[datetime, ...]:
    """Return when the clock shows this on that day, in order: once, at a jump, or twice."""
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
