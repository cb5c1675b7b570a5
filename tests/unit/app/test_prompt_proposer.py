"""Rules of app/prompt_proposer.py and costs/optimizer_budget.py.

Who is asked for words, how often, and for how much.
"""

import asyncio
from decimal import Decimal

import pytest

from app.finalize import to_proposal_entries
from costs.optimizer_budget import ANSWER_TOKENS, MAX_CALLS
from errors import ApiFailure, ErrorKind, FatalError, StopReason
from models import Usage
from prompts.candidates import MIN_FAILED_IMAGES
from prompts.records import CandidateStatus
from tests.support.budgets import TODAY, load_pricing, new_budget
from tests.support.proposer_scenario import OPTIMIZER, TOOK, ProposerScenario, network

WORDS = "Tell in plain words what the picture shows"
COST = load_pricing(OPTIMIZER).cost(TOOK, TODAY)


def test_a_model_is_asked_in_words_alone_and_its_words_go_on_trial() -> None:
    """By its own name, without an image, with a bounded answer, and once."""
    scenario = ProposerScenario(WORDS)

    scenario.run(scenario.fail_and_wait())

    (request,) = scenario.model.requests
    assert (request.model, request.image, request.mime_type) == (OPTIMIZER, b"", "")
    assert request.max_output_tokens == ANSWER_TOKENS
    assert "Describe the picture" in request.prompt
    (entry,) = to_proposal_entries(scenario.optimizer)
    assert (entry.outcome, entry.prompt, entry.kind) == ("on_trial", WORDS, ErrorKind.BLOCKED)
    assert (entry.input_tokens, entry.output_tokens) == (TOOK.input_tokens, TOOK.output_tokens)
    assert entry.cost_usd == float(round(COST, 6))


def test_nothing_is_asked_without_need() -> None:
    """Too few images, or a reason that words are not for."""
    scenario = ProposerScenario(WORDS)

    async def little() -> None:
        scenario.fail(images=MIN_FAILED_IMAGES - 1)
        scenario.fail(images=50, kind=ErrorKind.PROHIBITED)
        await asyncio.sleep(900.0)

    scenario.run(little())
    assert scenario.model.requests == []


def test_every_call_is_in_the_runs_totals() -> None:
    """Requests, tokens and money, those of answers that are of no use too."""
    scenario = ProposerScenario("", WORDS)

    scenario.run(scenario.fail_and_wait())

    assert scenario.outcomes == ["refused", "on_trial"]
    assert (scenario.tally.requests, scenario.tally.results) == (2, {"proposal": 2})
    assert (scenario.tally.usage, scenario.tally.cost) == (TOOK + TOOK, 2 * COST)
    assert scenario.run_budget.status().spent == 2 * COST
    assert scenario.optimizer_budget.remaining == Decimal("0.25") - 2 * COST


def test_answers_of_no_use_are_asked_for_twice_and_no_more() -> None:
    """However many images go on failing."""
    scenario = ProposerScenario("Describe the picture", "```\nrm\n``` x")

    scenario.run(scenario.fail_and_wait(), scenario.fail_and_wait())

    assert scenario.outcomes == ["refused", "refused"]
    assert len(scenario.model.requests) == 2


def test_a_refusal_is_no_prompt() -> None:
    """What the client knows as one is not looked at further."""
    declined = ApiFailure(
        kind=ErrorKind.REFUSED, detail="the model declined the task", usage=Usage(input_tokens=300)
    )
    scenario = ProposerScenario(declined)

    scenario.run(scenario.fail_and_wait())

    assert scenario.outcomes == ["refused", "refused"]
    assert scenario.tally.usage == Usage(input_tokens=600)


def test_calls_are_capped_retries_counted() -> None:
    """Over all classes together."""
    scenario = ProposerScenario(network(), max_cost="10")
    kinds = (ErrorKind.BLOCKED, ErrorKind.EMPTY, ErrorKind.REFUSED, ErrorKind.MALFORMED, ErrorKind.SCHEMA)

    scenario.run(scenario.fail_and_wait(*kinds), scenario.fail_and_wait(*kinds))

    assert len(scenario.model.requests) == MAX_CALLS
    assert scenario.run_budget.status().requests == MAX_CALLS


def test_failures_are_warned_of_and_end_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """One warning for each question."""
    scenario = ProposerScenario(network())

    scenario.run(scenario.fail_and_wait())

    assert scenario.stop.cause is None
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == [f"{OPTIMIZER} gave no words: the connection was lost"] * 2


@pytest.mark.parametrize("reason", [StopReason.UNKNOWN_MODEL, StopReason.PERMISSION, StopReason.NO_QUOTA])
def test_a_model_that_cannot_be_asked_is_asked_once(
    reason: StopReason, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, the run goes on, and nothing was paid."""
    scenario = ProposerScenario(FatalError(reason, "it is not there"))
    kinds = (ErrorKind.BLOCKED, ErrorKind.EMPTY)

    scenario.run(scenario.fail_and_wait(*kinds), scenario.fail_and_wait(*kinds))

    assert len(scenario.model.requests) == 1
    assert scenario.stop.cause is None
    assert [record.levelname for record in caplog.records if record.name == "app.prompt_proposer"] == [
        "WARNING"
    ]
    assert scenario.run_budget.status().spent == 0
    assert scenario.optimizer_budget.remaining == Decimal("0.25")


def test_its_own_cap_on_money_holds_for_the_worst_case() -> None:
    """A call whose longest answer might overrun it is not sent."""
    price = load_pricing(OPTIMIZER)
    worst = price.worst_case_cost(input_tokens=2_000, output_tokens=ANSWER_TOKENS, at=TODAY)
    too_cheap, sufficient = (
        ProposerScenario(WORDS, max_cost="0.02"),
        ProposerScenario("", max_cost=str(worst)),
    )

    for scenario in (too_cheap, sufficient):
        scenario.run(scenario.fail_and_wait(), scenario.fail_and_wait(ErrorKind.EMPTY))

    assert Decimal("0.02") < price.worst_case_cost(input_tokens=0, output_tokens=ANSWER_TOKENS, at=TODAY)
    assert too_cheap.model.requests == []
    assert len(sufficient.model.requests) == 1
    assert sufficient.stop.cause is None


def test_the_runs_caps_hold_over_both_kinds_of_calls() -> None:
    """Money and requests alike; where the caps are used up there is no question, and the run is not ended."""
    for run_budget in (new_budget("0.01"), new_budget(max_requests=1)):
        scenario = ProposerScenario("", WORDS, run_budget=run_budget)
        scenario.run(scenario.fail_and_wait(), scenario.fail_and_wait())
        assert len(scenario.model.requests) == (1 if run_budget.committed_cost() is None else 0)
        assert scenario.stop.cause is None


def test_what_images_leave_over_may_be_asked_with() -> None:
    """Money that was only set aside comes back."""
    run_budget = new_budget("0.1")
    scenario = ProposerScenario(WORDS, run_budget=run_budget)

    async def image() -> None:
        held = [await run_budget.reserve(input_tokens=1_200) for _ in range(4)]
        await scenario.fail_and_wait()
        assert scenario.model.requests == []
        for one in held:
            one.release(sent=True)
        await scenario.fail_and_wait()

    scenario.run(image())
    assert scenario.outcomes == ["on_trial"]


def test_without_a_price_only_the_calls_are_capped() -> None:
    """Without prices the cost is unknown, and a cap on money allows no question."""
    scenario, capped = (
        ProposerScenario(WORDS, is_priced=False),
        ProposerScenario(WORDS, is_priced=False, run_budget=new_budget("5")),
    )

    scenario.run(scenario.fail_and_wait())
    capped.run(capped.fail_and_wait())

    assert [entry.cost_usd for entry in to_proposal_entries(scenario.optimizer)] == [None]
    assert scenario.tally.cost == 0
    assert capped.model.requests == []


def test_images_never_wait_for_an_answer() -> None:
    """When they are done, the question is cut off, its worst case counts as spent, and its trial as none."""
    scenario = ProposerScenario(WORDS, delay_s=500.0)

    left_s = scenario.run(scenario.fail_and_wait(seconds=3.0))

    assert left_s == 3.0
    spending = scenario.run_budget.status()
    assert spending.unconfirmed == spending.spent > Decimal("0.03")
    assert spending.reserved == 0
    assert scenario.tally.requests == 1
    assert scenario.outcomes == ["refused"]
    assert scenario.rate_limit_stats.in_flight == 0


def test_nothing_is_asked_once_the_run_stops() -> None:
    """Any stop of the run ends the questions."""
    scenario = ProposerScenario(network(), delay_s=0.0)

    async def stop() -> None:
        scenario.stop.request(FatalError(StopReason.INTERRUPTED, "Ctrl-C"))
        await scenario.fail_and_wait()

    scenario.run(stop())
    assert scenario.model.requests == []
    assert scenario.run_budget.status().requests == 0


def test_a_stop_ends_the_wait_for_a_retry() -> None:
    """What had been sent is counted, and nothing follows."""
    scenario = ProposerScenario(network(), delay_s=0.0)

    async def stop() -> None:
        scenario.fail()
        await asyncio.sleep(0.01)
        scenario.stop.request(FatalError(StopReason.INTERRUPTED, "Ctrl-C"))
        await asyncio.sleep(900.0)

    scenario.run(stop())
    assert len(scenario.model.requests) == scenario.tally.requests == 1
    assert scenario.outcomes == ["refused"]


@pytest.mark.parametrize("model", [OPTIMIZER, "own"])
def test_another_models_quota_teaches_the_pacer_nothing(model: str) -> None:
    """A 429 of its own holds up no image; one of the run's own model does."""
    limited = ApiFailure(
        kind=ErrorKind.RATE_LIMITED,
        detail="quota",
        http_status=429,
        retry_after_s=20.0,
        quota_ids=("GenerateRequestsPerMinutePerProjectPerModel",),
        quota_value=1,
    )
    scenario = ProposerScenario(limited, WORDS, model=model)

    scenario.run(scenario.fail_and_wait())

    stats = scenario.rate_limit_stats
    assert scenario.outcomes == ["on_trial"]
    assert stats.rejected == (1 if model == "own" else 0)
    assert stats.requests == 2
    assert stats.in_flight == 0


def test_a_trial_that_failed_asks_anew_and_tells_what_failed() -> None:
    """The words that did not help are in the next question."""
    scenario = ProposerScenario(WORDS, "Just name the things that are to be seen")

    async def images() -> None:
        await scenario.fail_and_wait()
        trials = scenario.optimizer.candidates
        for _ in range(4):
            trials.reserve("proposed_blocked_1")
            trials.learn("proposed_blocked_1", rescued=False)
        await scenario.fail_and_wait()

    scenario.run(images())
    assert scenario.outcomes == [CandidateStatus.DROPPED.value, CandidateStatus.ON_TRIAL.value]
    assert WORDS in scenario.model.requests[1].prompt
