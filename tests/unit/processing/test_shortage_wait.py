"""Rules of processing/shortage_wait.py."""

import asyncio

import pytest

from errors import FatalError, StopReason
from processing.shortage_wait import AFTER_STOP_S, HURRIED_S, RETRY_S, ShortageWait
from processing.stop_signal import RunStoppedError, StopSignal
from tests.support.virtual_loop import run_virtual


def stopped() -> StopSignal:
    """Return the signal of a run that stops."""
    stop = StopSignal()
    stop.request(FatalError(StopReason.INTERRUPTED, "stopped by Ctrl-C"))
    return stop


def test_a_run_that_goes_on_waits_without_end_and_says_so_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An hour of shortage gives no answer up; there is a line every ten minutes, not at every try."""

    async def scenario() -> float:
        wait = ShortageWait(StopSignal())
        for _ in range(7_200):
            assert await wait.before_storing_again("photo.png")
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 7_200 * RETRY_S
    assert len(caplog.records) == 6
    assert "photo.png: the system is short of descriptors" in caplog.text


@pytest.mark.parametrize(("is_hurried", "within_s"), [(False, AFTER_STOP_S), (True, HURRIED_S)])
def test_a_run_that_stops_tries_a_little_longer(*, is_hurried: bool, within_s: float) -> None:
    """After a first signal answers in memory have some seconds, after a second one a moment."""

    async def scenario() -> float:
        wait = ShortageWait(stopped())
        if is_hurried:
            wait.hurry()
        while await wait.before_storing_again("photo.png"):
            pass
        return asyncio.get_running_loop().time()

    assert within_s <= run_virtual(scenario()) <= within_s + RETRY_S


def test_what_is_not_paid_for_is_not_waited_for_after_a_stop() -> None:
    """An image that cannot be read now is left to the next run."""

    async def scenario() -> None:
        await ShortageWait(stopped()).before_retry("photo.png")

    with pytest.raises(RunStoppedError):
        run_virtual(scenario())
