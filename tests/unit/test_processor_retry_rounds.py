"""Rules of processor.py about images that keep failing: they wait for their turn, and none is lost."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from errors import ErrorKind, FatalError, StopReason
from models import Deferred, Failed, Succeeded
from processing.retry_queue import MAX_WAITING
from processing.stop_signal import StopSignal
from tests.support.batch_scenario import BASE, Scenario, failure
from tests.support.fakes import ScriptedModel

BLOCKED = (1.0, failure(ErrorKind.BLOCKED))


def test_an_image_that_is_to_see_an_edit_lets_new_images_go_first(tmp_path: Path) -> None:
    """Two failing calls, then the eight others, and only then the third call with another prompt."""
    others = [f"{number}.png" for number in range(8)]
    model = ScriptedModel(script={"a.png": [BLOCKED, BLOCKED]})

    scenario = Scenario(folder=tmp_path, names=["a.png", *others], model=model, optimize=True).play()

    keys = [call.key for call in model.calls]
    assert keys.count("a.png") == 3
    assert keys[-1] == "a.png"
    assert BASE.text not in model.prompts("a.png")[2:]
    assert isinstance(scenario.outcome_of("a.png"), Succeeded)


def test_failing_images_go_in_rounds(tmp_path: Path) -> None:
    """No image has a fourth call before all had the third."""
    names = [f"{number}.png" for number in range(12)]
    model = ScriptedModel(default=[BLOCKED] * 9)

    Scenario(folder=tmp_path, names=names, model=model, optimize=True).play()

    nth = {key: iter(range(1, 10)) for key in names}
    rounds = [next(nth[call.key]) for call in model.calls]
    edited = [number for number in rounds if number > 2]
    assert edited == sorted(edited)
    assert edited.count(3) == len(names)


@pytest.mark.parametrize("slots", [1, 4])
def test_every_image_has_one_outcome_when_more_fail_than_the_queue_holds(tmp_path: Path, slots: int) -> None:
    """A full queue pops an image before it takes the next; no image is lost, none has two outcomes."""
    names = [f"{number}.png" for number in range(MAX_WAITING + 100)]
    model = ScriptedModel(default=[(0.01, failure(ErrorKind.REFUSED))] * 9)

    scenario = Scenario(folder=tmp_path, names=names, model=model, optimize=True, slots=slots).play()

    assert sorted(outcome.job.key for outcome in scenario.outcomes) == sorted(names)
    assert {type(outcome) for outcome in scenario.outcomes} == {Failed}
    assert scenario.max_waiting == MAX_WAITING - 1  # whenever a new image begins
    assert model.most_in_flight <= slots


def test_copies_of_a_failing_image_do_not_wait_for_the_end(tmp_path: Path) -> None:
    """More copies than workers, all of one image that keeps failing: each has its outcome."""
    names = [f"{number}.png" for number in range(10)]
    for name in names:
        Image.new("RGB", (2, 2), "red").save(tmp_path / name)
    model = ScriptedModel(default=[BLOCKED] * 9)

    scenario = Scenario(folder=tmp_path, names=names, model=model, optimize=True, slots=2).play()

    assert sorted(outcome.job.key for outcome in scenario.outcomes) == sorted(names)
    assert {type(outcome) for outcome in scenario.outcomes} == {Failed}


def test_waiting_images_are_deferred_when_the_run_stops(tmp_path: Path) -> None:
    """Their next prompt is never sent, and their calls are in the record."""
    names = [f"{number}.png" for number in range(6)]
    model = ScriptedModel(default=[BLOCKED] * 9)

    def stop_soon(stop: StopSignal) -> None:
        cause = FatalError(StopReason.INTERRUPTED, "Ctrl-C")
        asyncio.get_running_loop().call_later(7.5, stop.request, cause)

    scenario = Scenario(
        folder=tmp_path, names=names, model=model, optimize=True, slots=1, on_start=stop_soon
    ).play()

    taken = {outcome.job.key for outcome in scenario.outcomes}
    assert len(scenario.outcomes) == len(taken) >= 3
    waited = [outcome for outcome in scenario.outcomes if isinstance(outcome, Deferred)]
    assert max(len(outcome.attempts) for outcome in waited) == 2
    assert {call.prompt for call in model.calls} == {BASE.text}
    assert model.calls[-1].at_s < 7.5


def test_without_optimization_no_image_waits(tmp_path: Path) -> None:
    """An empty answer is asked again at once, before the next image."""
    model = ScriptedModel(script={"a.png": [(1.0, failure(ErrorKind.EMPTY))] * 2})

    Scenario(folder=tmp_path, names=["a.png", "b.png", "c.png"], model=model).play()

    assert model.times("a.png") == [0.0, 2.0]
    assert model.times("b.png") == [1.0]
