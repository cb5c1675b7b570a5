"""Rules of processor.py: whole batches on a virtual clock, with exact instants."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest
from PIL import Image

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from models import Deferred, Failed, Outcome, Reused, Succeeded
from processing.stop_signal import StopSignal
from processor import WORKERS_PER_SLOT
from prompts.rules import CURABLE_KINDS
from tests.support.batch_scenario import BASE, Scenario, failure, rate_limited, unavailable
from tests.support.fakes import ScriptedModel


def test_a_rate_limited_image_does_not_hold_the_slot(tmp_path: Path) -> None:
    """While one image waits out its backoff, the only slot serves the others; the 503 is retried in time."""
    model = ScriptedModel(script={"a.png": [(0.5, unavailable())], "b.png": [(0.75, "fine")]})

    scenario = Scenario(folder=tmp_path, names=["a.png", "b.png", "c.png"], model=model).play()

    assert model.times("a.png") == [0.0, 2.25]
    assert model.times("b.png") == [0.5]
    assert model.times("c.png") == [1.25]
    assert scenario.finished_at == {"b.png": 1.25, "c.png": 2.25, "a.png": 3.25}


def test_a_429_pauses_all_calls_until_the_moment_the_server_named(tmp_path: Path) -> None:
    """The hint of 20 s, and 50 ms more, holds for all; the limited one returns with its own jitter on top."""
    model = ScriptedModel(script={"a.png": [(0.5, rate_limited(20.0))]})

    Scenario(folder=tmp_path, names=["a.png", "b.png", "c.png"], model=model).play()

    assert model.times("b.png") == [20.55]
    assert model.times("c.png") == [21.55]
    assert model.times("a.png") == [0.0, 22.55]


def test_never_more_requests_in_flight_than_slots(tmp_path: Path) -> None:
    """However many images fail and return, the slots bound the requests, and all of them are used."""
    names = [f"{number}.png" for number in range(30)]
    model = ScriptedModel(default=[(2.0, unavailable())])

    scenario = Scenario(folder=tmp_path, names=names, model=model, slots=4).play()

    assert model.most_in_flight == 4
    assert len(scenario.outcomes) == 30
    assert all(isinstance(outcome, Succeeded) for outcome in scenario.outcomes)


def test_the_pace_bounds_retries_too(tmp_path: Path) -> None:
    """With 6 requests a minute each call, first or repeated, starts ten seconds after the one before."""
    model = ScriptedModel(script={"a.png": [(0.5, unavailable())]})

    Scenario(folder=tmp_path, names=["a.png", "b.png"], model=model, slots=2, rpm=6).play()

    assert sorted(call.at_s for call in model.calls) == [0.0, 10.0, 20.0]


def test_an_unreadable_image_is_failed_without_a_call(tmp_path: Path) -> None:
    """A file that is no image never costs a request and never stops the rest."""
    (tmp_path / "bad.png").write_text("not an image")
    model = ScriptedModel()

    scenario = Scenario(folder=tmp_path, names=["bad.png", "good.png"], model=model).play()

    bad = scenario.outcome_of("bad.png")
    assert isinstance(bad, Failed)
    assert (bad.kind, bad.attempts) == (ErrorKind.INVALID_REQUEST, ())
    assert isinstance(scenario.outcome_of("good.png"), Succeeded)
    assert [call.key for call in model.calls] == ["good.png"]


def test_an_invalid_request_costs_one_call(tmp_path: Path) -> None:
    """A 400 for one image is failed at once; the rest is done."""
    model = ScriptedModel(script={"a.png": [(1.0, failure(ErrorKind.INVALID_REQUEST))]})

    scenario = Scenario(folder=tmp_path, names=["a.png", "b.png"], model=model).play()

    assert isinstance(scenario.outcome_of("a.png"), Failed)
    assert len(model.times("a.png")) == 1
    assert isinstance(scenario.outcome_of("b.png"), Succeeded)


@pytest.mark.parametrize("cause", [rate_limited(5.0), unavailable()], ids=["429", "503"])
def test_an_image_is_not_to_blame_for_an_unavailable_service(tmp_path: Path, cause: ApiFailure) -> None:
    """Retries that ran out on 429 or 503 alone defer the image: the next run does it."""
    model = ScriptedModel(default=[(0.1, cause)] * 9)

    scenario = Scenario(folder=tmp_path, names=["a.png"], model=model, retries=2).play()

    assert isinstance(scenario.outcome_of("a.png"), Deferred)
    assert len(model.calls) == 3


def test_a_mix_of_transient_failures_fails_the_image(tmp_path: Path) -> None:
    """With another failure among them, the image counts as failed, with its last class."""
    steps = [(0.1, failure(ErrorKind.NETWORK)), (0.1, unavailable()), (0.1, failure(ErrorKind.TIMEOUT))]
    model = ScriptedModel(script={"a.png": steps})

    scenario = Scenario(folder=tmp_path, names=["a.png"], model=model, retries=2).play()

    outcome = scenario.outcome_of("a.png")
    assert isinstance(outcome, Failed)
    assert outcome.kind is ErrorKind.TIMEOUT
    assert [attempt.kind for attempt in outcome.attempts] == [
        ErrorKind.NETWORK,
        ErrorKind.SERVER,
        ErrorKind.TIMEOUT,
    ]


def test_every_attempt_is_on_record_with_its_time(tmp_path: Path) -> None:
    """The attempts of an image record when each call began, how long it took and its deadline."""
    model = ScriptedModel(script={"a.png": [(0.5, failure(ErrorKind.TIMEOUT)), (2.0, "fine")]})

    scenario = Scenario(folder=tmp_path, names=["a.png"], model=model).play()

    first, second = scenario.attempts_of("a.png")
    assert (first.number, first.seconds, first.timeout_s) == (1, 0.5, 180.0)
    assert (second.number, second.seconds, second.timeout_s) == (2, 2.0, 288.0)
    assert (second.started_at - first.started_at).total_seconds() == 1.5
    assert second.usage.input_tokens == 1120


def test_prompts_change_only_for_images_that_keep_failing(tmp_path: Path) -> None:
    """The blocked image gets its plain second try, then another prompt; the other image never does."""
    model = ScriptedModel(script={"a.png": [(1.0, failure(ErrorKind.BLOCKED))] * 2})

    scenario = Scenario(folder=tmp_path, names=["a.png", "b.png"], model=model, optimize=True).play()

    outcome = scenario.outcome_of("a.png")
    assert isinstance(outcome, Succeeded)
    assert model.prompts("a.png")[:2] == [BASE.text] * 2
    assert model.prompts("a.png")[2] == outcome.prompt.text != BASE.text
    assert model.prompts("b.png") == [BASE.text]


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - CURABLE_KINDS))
def test_what_words_cannot_cure_keeps_the_users_words(tmp_path: Path, kind: ErrorKind) -> None:
    """However often a quota, an outage, the network or the image fails it, no call has other words."""
    model = ScriptedModel(default=[(1.0, failure(kind))] * 9)

    Scenario(folder=tmp_path, names=["a.png", "b.png"], model=model, optimize=True).play()

    assert {call.prompt for call in model.calls} == {BASE.text}


def test_prohibited_content_costs_one_call_even_with_optimization(tmp_path: Path) -> None:
    """What the vendor forbids is never argued with."""
    model = ScriptedModel(default=[(1.0, failure(ErrorKind.PROHIBITED))] * 9)

    scenario = Scenario(folder=tmp_path, names=["a.png"], model=model, optimize=True).play()

    assert isinstance(scenario.outcome_of("a.png"), Failed)
    assert len(model.calls) == 1


def test_a_refused_key_stops_the_run_within_the_slots(tmp_path: Path) -> None:
    """At most as many calls as slots are made; what was taken is deferred, the rest is not even taken."""
    names = [f"{number}.png" for number in range(50)]
    model = ScriptedModel(default=[(1.0, FatalError(StopReason.KEY_INVALID, "API key not valid"))] * 9)

    scenario = Scenario(folder=tmp_path, names=names, model=model, slots=3).play()

    assert len(model.calls) <= 3
    assert scenario.taken_count <= 3 * WORKERS_PER_SLOT
    assert all(isinstance(outcome, Deferred) for outcome in scenario.outcomes)
    keys = [outcome.job.key for outcome in scenario.outcomes]
    ended = [attempt.ended_run for key in keys for attempt in scenario.attempts_of(key)]
    assert ended == [StopReason.KEY_INVALID] * len(model.calls)


def test_a_stop_lets_calls_in_flight_finish_and_ends_waits_at_once(tmp_path: Path) -> None:
    """The paid call is kept; the image in backoff is deferred at once; nothing new is begun."""
    model = ScriptedModel(script={"a.png": [(1.0, rate_limited(500.0))], "b.png": [(10.0, "paid")]})

    def stop_soon(stop: StopSignal) -> None:
        cause = FatalError(StopReason.INTERRUPTED, "Ctrl-C")
        asyncio.get_running_loop().call_later(5.0, stop.request, cause)

    names = ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png"]
    scenario = Scenario(folder=tmp_path, names=names, model=model, slots=2, on_start=stop_soon).play()

    assert isinstance(scenario.outcome_of("b.png"), Succeeded)
    assert isinstance(scenario.outcome_of("a.png"), Deferred)
    assert scenario.finished_at["a.png"] == 5.0
    assert {call.key for call in model.calls} == {"a.png", "b.png"}


def test_a_failing_store_is_not_swallowed(tmp_path: Path) -> None:
    """What ``store`` raises ends the run with all its causes."""

    class FailingScenario(Scenario):
        async def store(self, outcome: Outcome) -> Awaitable[None]:  # noqa: ARG002
            raise OSError(28, "No space left on device")

    with pytest.raises(ExceptionGroup) as caught:
        FailingScenario(folder=tmp_path, names=["a.png", "b.png"], model=ScriptedModel()).play()

    assert caught.group_contains(OSError)


@pytest.mark.parametrize(("stored_after_s", "next_call_s"), [(0.0, 1.0), (3.0, 4.0)])
def test_an_answer_holds_its_slot_until_it_is_stored(
    tmp_path: Path, stored_after_s: float, next_call_s: float
) -> None:
    """Until then a kill would cost it; no call waits for the row."""

    class Slow(Scenario):
        async def store(self, outcome: Outcome) -> Awaitable[None]:
            await asyncio.sleep(stored_after_s)
            await super().store(outcome)
            return asyncio.sleep(10.0)

    model = ScriptedModel(default=[(1.0, "fine")])
    Slow(folder=tmp_path, names=["a.png", "b.png"], model=model).play()

    assert model.times("b.png") == [next_call_s]


def test_images_are_taken_lazily(tmp_path: Path) -> None:
    """No more images are taken ahead than there are workers."""
    names = [f"{number}.png" for number in range(40)]
    ahead: list[int] = []
    model = ScriptedModel()

    class Watching(Scenario):
        async def store(self, outcome: Outcome) -> Awaitable[None]:
            recorded = await super().store(outcome)
            ahead.append(self.taken_count - len(self.outcomes))
            return recorded

    Watching(folder=tmp_path, names=names, model=model, slots=3).play()

    assert max(ahead) <= 3 * WORKERS_PER_SLOT


def test_the_same_bytes_cost_one_call(tmp_path: Path) -> None:
    """Copies of one image in one run wait for the first answer and take it over, whatever their number."""
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (2, 2), "red").save(tmp_path / name)
    model = ScriptedModel()

    scenario = Scenario(folder=tmp_path, names=["a.png", "b.png", "c.png"], model=model, slots=3).play()

    assert len(model.calls) == 1
    assert [type(scenario.outcome_of(name)) for name in ("a.png", "b.png", "c.png")] == [
        Succeeded,
        Reused,
        Reused,
    ]


def test_a_copy_of_a_failed_image_is_asked_about_itself(tmp_path: Path) -> None:
    """Only an answer can be taken over: where the first copy failed, the next is tried."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (2, 2), "red").save(tmp_path / name)
    model = ScriptedModel(script={"a.png": [(1.0, failure(ErrorKind.INVALID_REQUEST))]})

    scenario = Scenario(folder=tmp_path, names=["a.png", "b.png"], model=model, slots=2).play()

    assert [type(scenario.outcome_of(name)) for name in ("a.png", "b.png")] == [Failed, Succeeded]
