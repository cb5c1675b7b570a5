"""A stop ends waits for an event at once, and cleans up behind them."""

import asyncio

import pytest

from errors import FatalError, StopReason
from processing.stop_signal import RunStoppedError, StopSignal
from tests.support.virtual_loop import run_virtual

CTRL_C = FatalError(StopReason.INTERRUPTED, "stopped by Ctrl-C")


def test_a_wait_ends_with_its_event() -> None:
    """The wait ends when the event is set, and leaves no task behind."""

    async def scenario() -> tuple[float, int]:
        stop, event = StopSignal(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.call_later(3.0, event.set)
        await stop.wait_for(event)
        ended_s = loop.time()
        await asyncio.sleep(1.0)
        return ended_s, len(asyncio.all_tasks())

    assert run_virtual(scenario()) == (3.0, 1)


@pytest.mark.parametrize("is_set", [True, False])
def test_a_stop_goes_before_the_event(*, is_set: bool) -> None:
    """A run that stops begins nothing new, even if the event is set as well."""

    async def scenario() -> float:
        stop, event = StopSignal(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.call_later(2.0, stop.request, CTRL_C)
        if is_set:
            loop.call_later(2.0, event.set)
        with pytest.raises(RunStoppedError):
            await stop.wait_for(event)
        return loop.time()

    assert run_virtual(scenario()) == 2.0
