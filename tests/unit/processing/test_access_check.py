"""Rules of processing/access_check.py: one odd refusal is not the night, and a real one ends it soon."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from errors import ApiFailure, Cause, ErrorKind, FatalError, StopReason
from models import Deferred, Failed, Generation, GenerationRequest, Succeeded, Usage
from processing.access_check import EXTRA_TRIES, MIN_SPAN_S
from reports.error_log import build_error_log
from tests.support.batch_scenario import Scenario
from tests.support.fakes import ScriptedModel
from tests.support.outcomes import run_info

S = StopReason
REASONS = [S.KEY_INVALID, S.PERMISSION, S.UNKNOWN_MODEL]
Rule = Callable[[int, str, float], bool]
"""Whether a call is refused, by its number in the run, its image and the time."""


@dataclass(slots=True, kw_only=True)
class Gatekeeper(ScriptedModel):
    """A model whose answers take a second, and whose refusals are instant."""

    refuses: Rule
    reason: StopReason = S.KEY_INVALID
    refusals: Counter[str] = field(default_factory=Counter)
    numbers: list[float] = field(default_factory=list)

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer, or refuse as the rule says."""
        now_s = asyncio.get_running_loop().time()
        self.numbers.append(now_s)
        if self.refuses(len(self.numbers), request.key, now_s):
            self.refusals[request.key] += 1
            raise FatalError(self.reason, "not valid", http_status=403)
        await asyncio.sleep(1.0)
        return Generation(text="answer", usage=Usage(input_tokens=1120, output_tokens=10))


def play(
    folder: Path,
    count: int,
    refuses: Rule,
    *,
    slots: int = 1,
    retries: int = 5,
    reason: StopReason = S.KEY_INVALID,
) -> tuple[Scenario, Gatekeeper]:
    """Run a batch behind a gatekeeper; return it, and the gatekeeper."""
    model = Gatekeeper(refuses=refuses, reason=reason)
    names = [f"{number:03}.png" for number in range(count)]
    return Scenario(folder=folder, names=names, model=model, slots=slots, retries=retries).play(), model


def kinds_of(scenario: Scenario) -> Counter[str]:
    """Return how many images ended how."""
    return Counter(type(outcome).__name__ for outcome in scenario.outcomes)


@pytest.mark.parametrize("slots", [1, 5, 40])
@pytest.mark.parametrize("reason", REASONS)
def test_one_refusal_among_answers_costs_nothing(tmp_path: Path, reason: StopReason, slots: int) -> None:
    """The image is asked again after a short wait, and all are answered; nobody else waits."""
    scenario, model = play(tmp_path, 60, lambda number, _key, _now: number == 50, slots=slots, reason=reason)

    assert kinds_of(scenario) == {"Succeeded": 60}
    assert model.refusals.total() == 1
    ((key, _),) = model.refusals.items()
    assert len(scenario.attempts_of(key)) == 2


def test_refusals_now_and_then_end_nothing(tmp_path: Path) -> None:
    """A gate that refuses every seventh call, all night."""
    scenario, _ = play(tmp_path, 100, lambda number, _key, _now: number > 5 and number % 7 == 0, slots=3)

    assert kinds_of(scenario) == {"Succeeded": 100}


@pytest.mark.parametrize("retries", [0, 5])
def test_a_gate_that_is_closed_for_some_seconds_is_waited_for(tmp_path: Path, retries: int) -> None:
    """A firewall that blocks for ten seconds ends nothing, whatever --max-retries."""
    scenario, _ = play(tmp_path, 40, lambda _number, _key, now: 5.0 < now < 15.0, slots=4, retries=retries)

    assert kinds_of(scenario) == {"Succeeded": 40}


@pytest.mark.parametrize("slots", [1, 5, 40])
@pytest.mark.parametrize("reason", REASONS)
def test_a_key_that_is_withdrawn_ends_the_run_within_a_minute(
    tmp_path: Path, reason: StopReason, slots: int
) -> None:
    """Refusals without an answer between are believed; no image fails for them, and few calls are made."""
    scenario, model = play(tmp_path, 400, lambda _number, _key, now: now > 8.5, slots=slots, reason=reason)

    assert kinds_of(scenario).keys() == {"Succeeded", "Deferred"}
    ended = [
        attempt.ended_run
        for one in scenario.outcomes
        if isinstance(one, Deferred)
        for attempt in one.attempts
    ]
    assert reason in ended
    assert MIN_SPAN_S <= model.numbers[-1] - 8.5 <= 60.0
    assert model.refusals.total() <= 8 * slots + 20


@pytest.mark.parametrize("answers", [0, 1])
def test_at_the_start_a_refusal_is_believed(tmp_path: Path, answers: int) -> None:
    """Before there are answers enough, the first refusal ends the run at once, as a wrong key should."""
    scenario, model = play(tmp_path, 20, lambda number, _key, _now: number > answers)

    assert model.refusals.total() == 1
    assert kinds_of(scenario)["Succeeded"] == answers
    assert kinds_of(scenario)["Failed"] == 0


def test_an_image_that_alone_is_refused_fails_alone(tmp_path: Path) -> None:
    """A firewall that dislikes one image's bytes: the others are answered, the next run asks again."""
    scenario, model = play(tmp_path, 60, lambda _number, key, _now: key == "020.png", slots=2)

    assert kinds_of(scenario) == {"Succeeded": 59, "Failed": 1}
    failed = scenario.outcome_of("020.png")
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.cause) == (ErrorKind.NETWORK, Cause.GATEWAY)
    assert model.refusals == {"020.png": 1 + EXTRA_TRIES}
    log = build_error_log(failed, run_info())
    assert "other calls were let through" in log
    assert "Repair the image" not in log
    calls = [attempt.started_at for attempt in failed.attempts]
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(calls)]
    assert waits == sorted(waits)
    assert waits[0] >= 1.0


@pytest.mark.parametrize("reason", [S.CREDIT_SPENT, S.NO_QUOTA, S.SPEND_LIMIT])
def test_money_is_no_odd_reply(tmp_path: Path, reason: StopReason) -> None:
    """Spent credit and missing tiers end the run at once, however many answers came before."""
    scenario, model = play(tmp_path, 20, lambda number, _key, _now: number > 10, reason=reason)

    assert model.refusals.total() == 1
    assert kinds_of(scenario)["Succeeded"] == 10


def test_a_reply_with_status_200_speaks_for_the_key(tmp_path: Path) -> None:
    """Blocked answers were let through as well: they count as answers against a refusal."""
    blocked = [(1.0, ApiFailure(kind=ErrorKind.BLOCKED, detail="x", http_status=200))]
    refused = [(0.1, FatalError(S.KEY_INVALID, "not valid"))]
    model = ScriptedModel(script={"a.png": blocked, "b.png": blocked, "c.png": refused})

    scenario = Scenario(folder=tmp_path, names=["a.png", "b.png", "c.png"], model=model).play()

    assert isinstance(scenario.outcome_of("c.png"), Succeeded)
