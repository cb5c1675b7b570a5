"""Rules of processing/api_call.py: however a call ends, money, pace and record agree."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from models import ImageJob
from processing.image_state import ImageState
from processing.stop_signal import RunStoppedError, StopSignal
from tests.support.batch_scenario import BASE, new_caller
from tests.support.budgets import new_budget
from tests.support.fakes import Result, ScriptedModel
from tests.support.virtual_loop import run_virtual
from utils.image_validator import UnreadableImage, read_image

TIMED_OUT = ApiFailure(kind=ErrorKind.TIMEOUT, detail="no answer", reached_server=True)
REJECTED = ApiFailure(kind=ErrorKind.INVALID_REQUEST, detail="bad", http_status=400, reached_server=True)
KEY_REFUSED = FatalError(StopReason.PERMISSION, "the key is refused")


class OneImage:
    """An image, a model that plays a script for it, and a budget of one dollar."""

    def __init__(self, folder: Path, *results: Result, rpm: float | None = None) -> None:
        self.path = folder / "a.png"
        Image.new("RGB", (2, 2), "red").save(self.path)
        job = ImageJob(key="a.png", path=self.path, size_bytes=self.path.stat().st_size, mtime_ns=0)
        self.state = ImageState(job=job, prompt=BASE)
        self.facts, _ = read_image(self.path)
        self.stop = StopSignal()
        self.model = ScriptedModel(script={"a.png": [(2.0, result) for result in results]})
        self.budget = new_budget("1", stop=self.stop)
        self.caller = new_caller(self.model, self.stop, rpm=rpm, budget=self.budget)

    async def call(self) -> str:
        """Send one call; return the answer's text."""
        generation = await self.caller.call(self.state, self.facts, 180.0)
        return generation.text

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work on the virtual clock; nothing is in flight or reserved after it."""
        run_virtual(work)
        assert self.caller.in_flight == 0
        assert self.budget.status().reserved == 0


def test_an_answer_is_paid_for_and_recorded(tmp_path: Path) -> None:
    """The reservation becomes the bill, and the attempt has its seconds and its usage."""
    image = OneImage(tmp_path, "fine")

    async def scenario() -> None:
        assert await image.call() == "fine"

    image.run(scenario())
    (attempt,) = image.state.attempts
    assert (attempt.kind, attempt.seconds, attempt.usage.input_tokens) == (None, 2.0, 1120)
    assert image.budget.status().spent > image.budget.status().unconfirmed == 0
    assert image.caller.served_count == 1


@pytest.mark.parametrize(("failure", "is_maybe_billed"), [(TIMED_OUT, True), (REJECTED, False)])
def test_a_failure_is_paid_for_only_if_it_may_be_billed(
    tmp_path: Path, failure: ApiFailure, *, is_maybe_billed: bool
) -> None:
    """A call that timed out counts with its whole reservation, a rejected one with nothing."""
    image = OneImage(tmp_path, failure)

    async def scenario() -> None:
        with pytest.raises(ApiFailure):
            await image.call()

    image.run(scenario())
    status = image.budget.status()
    assert status.spent == status.unconfirmed
    assert (status.spent > 0) is is_maybe_billed
    assert [attempt.kind for attempt in image.state.attempts] == [failure.kind]


def test_a_call_cancelled_in_flight_counts_as_billed(tmp_path: Path) -> None:
    """It is counted as cancelled, and with its whole reservation."""
    image = OneImage(tmp_path, "late")

    async def scenario() -> None:
        task = asyncio.create_task(image.call())
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait([task])

    image.run(scenario())
    assert image.caller.cancelled_count == 1
    assert image.budget.status().unconfirmed > 0


def test_an_error_that_ends_the_run_costs_nothing_and_is_recorded(tmp_path: Path) -> None:
    """The attempt names the reason of the stop."""
    image = OneImage(tmp_path, KEY_REFUSED)

    async def scenario() -> None:
        with pytest.raises(FatalError):
            await image.call()

    image.run(scenario())
    assert [attempt.ended_run for attempt in image.state.attempts] == [KEY_REFUSED.reason]
    assert image.budget.status().spent == 0


def test_a_stop_while_a_call_waits_for_its_permit_costs_nothing(tmp_path: Path) -> None:
    """The call is not sent, its reservation is released, and no attempt is recorded."""
    image = OneImage(tmp_path, "fine", "never", rpm=1)

    async def scenario() -> None:
        await image.call()
        waiting = asyncio.create_task(image.call())
        await asyncio.sleep(5.0)
        assert image.budget.status().reserved > 0
        image.stop.request(KEY_REFUSED)
        with pytest.raises(RunStoppedError):
            await waiting

    image.run(scenario())
    assert len(image.model.calls) == len(image.state.attempts) == 1


def test_an_image_that_changed_since_its_check_is_not_sent(tmp_path: Path) -> None:
    """The bytes that are sent are those that were checked and hashed."""
    image = OneImage(tmp_path, "never")
    Image.new("RGB", (3, 3), "blue").save(image.path)

    async def scenario() -> None:
        with pytest.raises(UnreadableImage):
            await image.call()

    image.run(scenario())
    assert image.model.calls == []
    assert image.budget.status().spent == 0
