"""A run's deadline is an instant of the wall clock, on every day of the year."""

import asyncio
import time as clocks
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.deadline import CHECK_INTERVAL_S, Deadline, compute_deadline, enforce, next_instant, watch
from errors import ExitCode, FatalError, StopReason
from processing.stop_signal import RunStoppedError, StopSignal
from tests.support.virtual_loop import run_virtual

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def berlin(text: str) -> datetime:
    """Return an instant by what the clock shows, with its distance to UTC."""
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("now", "shows", "expected"),
    [
        pytest.param("2026-11-23T22:00+01:00", "06:00", "2026-11-24T06:00+01:00", id="tomorrow-morning"),
        pytest.param("2026-11-24T05:59:59+01:00", "06:00", "2026-11-24T06:00+01:00", id="in-a-second"),
        pytest.param("2026-11-24T06:00+01:00", "06:00", "2026-11-25T06:00+01:00", id="this-very-instant"),
        pytest.param("2026-11-24T06:01+01:00", "06:00", "2026-11-25T06:00+01:00", id="just-missed"),
        pytest.param("2026-12-31T23:00+01:00", "00:00", "2027-01-01T00:00+01:00", id="midnight"),
        pytest.param("2026-03-28T22:00+01:00", "06:00", "2026-03-29T06:00+02:00", id="an-hour-less"),
        pytest.param("2026-03-29T01:00+01:00", "02:30", "2026-03-29T03:00+02:00", id="the-jump-over-it"),
        pytest.param("2026-03-28T02:31+01:00", "02:30", "2026-03-29T03:00+02:00", id="the-jump-tomorrow"),
        pytest.param("2026-03-29T03:00+02:00", "02:30", "2026-03-30T02:30+02:00", id="after-the-jump"),
        pytest.param("2026-03-29T01:00+01:00", "03:00", "2026-03-29T03:00+02:00", id="where-it-jumps-to"),
        pytest.param("2026-03-29T01:00+01:00", "02:00", "2026-03-29T03:00+02:00", id="where-it-jumps-from"),
        pytest.param("2026-10-24T22:00+02:00", "06:00", "2026-10-25T06:00+01:00", id="an-hour-more"),
        pytest.param("2026-10-25T01:00+02:00", "02:30", "2026-10-25T02:30+02:00", id="the-first-of-two"),
        pytest.param("2026-10-25T02:45+02:00", "02:30", "2026-10-25T02:30+01:00", id="between-the-two"),
        pytest.param("2026-10-25T02:30+01:00", "02:30", "2026-10-26T02:30+01:00", id="after-both"),
    ],
)
def test_the_next_time_the_clock_shows_it(now: str, shows: str, expected: str) -> None:
    """A deadline is the next instant at which the clock in its zone comes to show it."""
    found = next_instant(time.fromisoformat(shows), berlin(now), BERLIN)

    assert found == berlin(expected)
    assert found.tzinfo is UTC


def find_minute_by_minute(shows: time, now: datetime, zone: tzinfo) -> datetime:
    """Return the same by looking at the clock minute after minute."""
    before = now
    while True:
        after = before + MINUTE
        clock = after.astimezone(zone).replace(tzinfo=None)
        due = datetime.combine(clock.date(), shows)
        if clock == due or before.astimezone(zone).replace(tzinfo=None) < due < clock:
            return after
        before = after


CLOCK_CHANGES = [
    pytest.param("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC), id="berlin-spring"),
    pytest.param("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC), id="berlin-autumn"),
    pytest.param("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC), id="new-york"),
    pytest.param("Australia/Lord_Howe", datetime(2026, 10, 3, 15, tzinfo=UTC), id="half-an-hour-less"),
    pytest.param("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC), id="half-an-hour-more"),
    pytest.param("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC), id="no-midnight"),
    pytest.param("Asia/Kathmandu", datetime(2026, 6, 1, tzinfo=UTC), id="never-changes"),
]


@pytest.mark.parametrize(("name", "change"), CLOCK_CHANGES)
@settings(max_examples=40, deadline=None)
@given(minutes=st.integers(-1_500, 300), minute_of_day=st.integers(0, 1_439) | st.integers(0, 240))
def test_it_is_what_a_patient_look_at_the_clock_finds(
    name: str, change: datetime, *, minutes: int, minute_of_day: int
) -> None:
    """Generate deadlines anywhere in a day around every kind of change, more often in its early hours."""
    zone, now, shows = ZoneInfo(name), change + minutes * MINUTE, time(*divmod(minute_of_day, 60))

    assert next_instant(shows, now, zone) == find_minute_by_minute(shows, now, zone)


@pytest.fixture
def hang_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return what hangs the system's own clock in a zone."""

    def hang(name: str) -> None:
        patch.setenv("TZ", name)
        clocks.tzset()

    with monkeypatch.context() as patch:
        yield hang
    clocks.tzset()


@pytest.mark.parametrize(("name", "change"), CLOCK_CHANGES)
def test_the_systems_own_zone_knows_its_changes_too(
    hang_in: Callable[[str], None], name: str, change: datetime
) -> None:
    """Without a zone's name the system is asked for each instant, never today's distance taken for all."""
    hang_in(name)

    for hours_before, minute in product(range(-2, 26), range(0, 1_440, 15)):
        now, shows = change - timedelta(hours=hours_before), time(*divmod(minute, 60))
        assert next_instant(shows, now) == next_instant(shows, now, ZoneInfo(name)), (now, shows)


@pytest.mark.parametrize(
    ("deadline", "max_duration_s", "after", "cause"),
    [
        (time(6), None, timedelta(hours=8), "the deadline 06:00 has come"),
        (None, 18_000.0, timedelta(hours=5), "--max-duration 5h is over"),
        (time(6), 18_000.0, timedelta(hours=5), "--max-duration 5h is over"),
        (time(6), 32_400.0, timedelta(hours=8), "the deadline 06:00 has come"),
        (time(6), 28_800.0, timedelta(hours=8), "the deadline 06:00 has come"),
    ],
)
def test_the_earlier_limit_holds(
    deadline: time | None, max_duration_s: float | None, after: timedelta, cause: str
) -> None:
    """Of deadline and duration the earlier one ends the run, and says so."""
    limit = compute_deadline(START, deadline=deadline, max_duration_s=max_duration_s, zone=BERLIN)

    assert limit == Deadline(at=START + after, cause=cause)


def test_no_limit() -> None:
    """Nothing set, nothing ends."""
    assert compute_deadline(START, deadline=None, max_duration_s=None) is None


def test_what_is_left() -> None:
    """It counts down to nought and stays there."""
    limit = Deadline(at=START, cause="over")

    assert limit.seconds_left(START - timedelta(seconds=90.5)) == 90.5
    assert limit.seconds_left(START) == limit.seconds_left(START + timedelta(days=1)) == 0.0


def test_the_announcement_has_the_date() -> None:
    """Who asks at 06:01 for 06:00 reads that this is tomorrow."""
    now = berlin("2026-11-24T06:01+01:00")
    limit = compute_deadline(now, deadline=time(6), max_duration_s=None, zone=BERLIN)

    assert limit is not None
    assert limit.describe(now, BERLIN) == (
        "no new work after 2026-11-25 06:00:00 (UTC+0100), 23h59m from now"
    )


def wall_clock(jump: timedelta = timedelta(0), at_s: float = 0.0) -> Callable[[], datetime]:
    """Return a wall clock that goes with the loop's, but for a jump once the loop shows ``at_s``."""

    def utcnow() -> datetime:
        now_s = asyncio.get_running_loop().time()
        return START + timedelta(seconds=now_s) + (jump if now_s >= at_s else timedelta(0))

    return utcnow


async def watch_until_stop(
    limit: Deadline, utcnow: Callable[[], datetime]
) -> tuple[FatalError | None, float]:
    """Watch; return the cause of the stop, and the loop's time then."""
    stop = StopSignal()
    await watch(limit, stop, utcnow)
    return stop.cause, asyncio.get_running_loop().time()


EIGHT_HOURS = Deadline(at=START + timedelta(hours=8), cause="the deadline 06:00 has come")


def test_a_stop_is_asked_for_at_the_instant() -> None:
    """The stop comes at the deadline, neither earlier nor measurably later."""
    cause, now_s = run_virtual(watch_until_stop(EIGHT_HOURS, wall_clock()))

    assert now_s == pytest.approx(8 * 3600, abs=1e-3)
    assert now_s >= 8 * 3600
    assert cause is not None
    assert (cause.reason, cause.detail) == (StopReason.DEADLINE, "the deadline 06:00 has come")
    assert cause.reason.exit_code is ExitCode.DEADLINE


def test_a_machine_that_slept_stops_soon_after_it_wakes() -> None:
    """Ten hours asleep are no time of the loop, but they are on the wall."""
    cause, now_s = run_virtual(watch_until_stop(EIGHT_HOURS, wall_clock(timedelta(hours=10), at_s=1_003)))

    assert cause is not None
    assert 1_003 <= now_s <= 1_003 + CHECK_INTERVAL_S <= 1_033


def test_a_clock_set_back_gives_the_hour_again() -> None:
    """The wall clock alone decides."""
    _, now_s = run_virtual(watch_until_stop(EIGHT_HOURS, wall_clock(timedelta(hours=-1), at_s=500)))

    assert now_s == pytest.approx(9 * 3600, abs=1e-3)


def test_time_that_was_over_before_it_began() -> None:
    """Who waited for a lock beyond the limit begins nothing."""
    cause, now_s = run_virtual(watch_until_stop(Deadline(at=START, cause="over"), wall_clock()))

    assert (cause is not None, now_s) == (True, 0.0)


def test_another_reason_stays_the_reason() -> None:
    """A run that stops otherwise does so at once, and the watch says nothing more."""

    async def scenario() -> tuple[str, float]:
        stop = StopSignal()
        asyncio.get_running_loop().call_later(
            3.0, stop.request, FatalError(StopReason.INTERRUPTED, "stopped by Ctrl-C")
        )
        await watch(EIGHT_HOURS, stop, wall_clock())
        return str(stop.cause), asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == ("stopped by Ctrl-C", 3.0)


@pytest.mark.parametrize("limit", [EIGHT_HOURS, None])
def test_the_watch_ends_with_the_work(limit: Deadline | None) -> None:
    """Work that is done in time leaves no stop, and nothing that still runs; without a limit as well."""

    async def scenario() -> tuple[FatalError | None, int]:
        stop = StopSignal()
        async with enforce(limit, stop, wall_clock()):
            await asyncio.sleep(3_600)
        return stop.cause, len(asyncio.all_tasks())

    assert run_virtual(scenario()) == (None, 1)


def test_an_error_of_the_work_comes_out_as_it_is() -> None:
    """The watch leaves an exception of the block as it is."""

    async def scenario() -> None:
        async with enforce(EIGHT_HOURS, StopSignal(), wall_clock()):
            raise FatalError(StopReason.OUTAGE, "gone")

    with pytest.raises(FatalError, match="gone"):
        run_virtual(scenario())


def test_work_hears_of_the_end() -> None:
    """A wait by the stop signal ends at the deadline."""

    async def scenario() -> tuple[StopReason | None, float]:
        stop = StopSignal()
        async with enforce(EIGHT_HOURS, stop, wall_clock()):
            with suppress(RunStoppedError):
                await stop.sleep(86_400)
        return stop.cause.reason if stop.cause else None, asyncio.get_running_loop().time()

    reason, now_s = run_virtual(scenario())

    assert reason is StopReason.DEADLINE
    assert now_s == pytest.approx(8 * 3600, abs=1e-3)
