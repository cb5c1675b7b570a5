"""Rules of app/prompt_proposer.py and costs/optimizer_budget.py.

Who is asked for words, how often, and for how much.
"""

import asyncio
from decimal import Decimal

import pytest

from app.finalize import entries
from costs.optimizer_budget import ANSWER_TOKENS, MOST_CALLS
from errors import ApiFailure, ErrorKind, FatalError, StopReason
from models import Usage
from prompts.candidates import ENOUGH_IMAGES, Standing
from tests.support.budgets import TODAY, budget, tariff
from tests.support.proposer_scenario import OPTIMIZER, TOOK, World, network

WORDS = "Tell in plain words what the picture shows"
COST = tariff(OPTIMIZER).cost(TOOK, TODAY)


def test_a_model_is_asked_in_words_alone_and_its_words_go_on_trial() -> None:
    """By its own name, without an image, with a bounded answer, and once."""
    world = World(WORDS)

    world.run(world.fail_and_wait())

    (request,) = world.model.requests
    assert (request.model, request.image, request.mime_type) == (OPTIMIZER, b"", "")
    assert request.max_output_tokens == ANSWER_TOKENS
    assert "Describe the picture" in request.prompt
    (entry,) = entries(world.optimizer)
    assert (entry.outcome, entry.prompt, entry.kind) == ("on_trial", WORDS, ErrorKind.BLOCKED)
    assert (entry.input_tokens, entry.output_tokens) == (TOOK.input_tokens, TOOK.output_tokens)
    assert entry.cost_usd == float(round(COST, 6))


def test_nothing_is_asked_without_need() -> None:
    """Too few images, or a reason that words are not for."""
    world = World(WORDS)

    async def little() -> None:
        world.fail(images=ENOUGH_IMAGES - 1)
        world.fail(images=50, kind=ErrorKind.PROHIBITED)
        await asyncio.sleep(900.0)

    world.run(little())
    assert world.model.requests == []


def test_every_call_is_in_the_runs_totals() -> None:
    """Requests, tokens and money, those of answers that are of no use too."""
    world = World("", WORDS)

    world.run(world.fail_and_wait())

    assert world.outcomes == ["refused", "on_trial"]
    assert (world.tally.requests, world.tally.results) == (2, {"proposal": 2})
    assert (world.tally.usage, world.tally.cost) == (TOOK + TOOK, 2 * COST)
    assert world.purse.spending().spent == 2 * COST
    assert world.allowance.left == Decimal("0.25") - 2 * COST


def test_answers_of_no_use_are_asked_for_twice_and_no_more() -> None:
    """However many images go on failing."""
    world = World("Describe the picture", "```\nrm\n``` x")

    world.run(world.fail_and_wait(), world.fail_and_wait())

    assert world.outcomes == ["refused", "refused"]
    assert len(world.model.requests) == 2


def test_a_refusal_is_no_prompt() -> None:
    """What the client knows as one is not looked at further."""
    declined = ApiFailure(kind=ErrorKind.REFUSED, detail="the model declined the task", input_tokens=300)
    world = World(declined)

    world.run(world.fail_and_wait())

    assert world.outcomes == ["refused", "refused"]
    assert world.tally.usage == Usage(input_tokens=600)


def test_calls_are_capped_retries_counted() -> None:
    """Over all classes together."""
    world = World(network(), most="10")
    kinds = (ErrorKind.BLOCKED, ErrorKind.EMPTY, ErrorKind.REFUSED, ErrorKind.MALFORMED, ErrorKind.SCHEMA)

    world.run(world.fail_and_wait(*kinds), world.fail_and_wait(*kinds))

    assert len(world.model.requests) == MOST_CALLS
    assert world.purse.spending().requests == MOST_CALLS


def test_failures_are_warned_of_and_end_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """One warning for each question."""
    world = World(network())

    world.run(world.fail_and_wait())

    assert world.stop.cause is None
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == [f"{OPTIMIZER} gave no words: the connection was lost"] * 2


@pytest.mark.parametrize("reason", [StopReason.UNKNOWN_MODEL, StopReason.PERMISSION, StopReason.NO_QUOTA])
def test_a_model_that_cannot_be_asked_is_asked_once(
    reason: StopReason, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, the run goes on, and nothing was paid."""
    world = World(FatalError(reason, "it is not there"))
    kinds = (ErrorKind.BLOCKED, ErrorKind.EMPTY)

    world.run(world.fail_and_wait(*kinds), world.fail_and_wait(*kinds))

    assert len(world.model.requests) == 1
    assert world.stop.cause is None
    assert [record.levelname for record in caplog.records if record.name == "app.prompt_proposer"] == [
        "WARNING"
    ]
    assert world.purse.spending().spent == 0
    assert world.allowance.left == Decimal("0.25")


def test_its_own_cap_on_money_holds_for_the_worst_case() -> None:
    """A call whose longest answer might overrun it is not sent."""
    price = tariff(OPTIMIZER)
    worst = price.most(input_tokens=2_000, output_tokens=ANSWER_TOKENS, at=TODAY)
    poor, rich = World(WORDS, most="0.02"), World("", most=str(worst))

    for world in (poor, rich):
        world.run(world.fail_and_wait(), world.fail_and_wait(ErrorKind.EMPTY))

    assert Decimal("0.02") < price.most(input_tokens=0, output_tokens=ANSWER_TOKENS, at=TODAY)
    assert poor.model.requests == []
    assert len(rich.model.requests) == 1
    assert rich.stop.cause is None


def test_the_runs_caps_hold_over_both_kinds_of_calls() -> None:
    """Money and requests alike; where they leave no room there is no question, and the run is not ended."""
    for purse in (budget("0.01"), budget(max_requests=1)):
        world = World("", WORDS, purse=purse)
        world.run(world.fail_and_wait(), world.fail_and_wait())
        assert len(world.model.requests) == (1 if purse.committed() is None else 0)
        assert world.stop.cause is None


def test_what_images_leave_over_may_be_asked_with() -> None:
    """Money that was only set aside comes back."""
    purse = budget("0.1")
    world = World(WORDS, purse=purse)

    async def image() -> None:
        held = [await purse.reserve(input_tokens=1_200) for _ in range(4)]
        await world.fail_and_wait()
        assert world.model.requests == []
        for one in held:
            one.unused(sent=True)
        await world.fail_and_wait()

    world.run(image())
    assert world.outcomes == ["on_trial"]


def test_without_a_price_only_the_calls_are_capped() -> None:
    """Then no cost is told, and a cap of the run's allows none."""
    world, capped = World(WORDS, is_priced=False), World(WORDS, is_priced=False, purse=budget("5"))

    world.run(world.fail_and_wait())
    capped.run(capped.fail_and_wait())

    assert [entry.cost_usd for entry in entries(world.optimizer)] == [None]
    assert world.tally.cost == 0
    assert capped.model.requests == []


def test_images_never_wait_for_an_answer() -> None:
    """When they are done, the question is cut off, its worst case counts as spent, and its trial as none."""
    world = World(WORDS, takes_s=500.0)

    left_s = world.run(world.fail_and_wait(seconds=3.0))

    assert left_s == 3.0
    spending = world.purse.spending()
    assert spending.unsure == spending.spent > Decimal("0.03")
    assert spending.reserved == 0
    assert world.tally.requests == 1
    assert world.outcomes == ["refused"]
    assert world.figures.in_flight == 0


def test_nothing_is_asked_once_the_run_stops() -> None:
    """Whoever asked for the stop."""
    world = World(network(), takes_s=0.0)

    async def stop() -> None:
        world.stop.ask(FatalError(StopReason.INTERRUPTED, "Ctrl-C"))
        await world.fail_and_wait()

    world.run(stop())
    assert world.model.requests == []
    assert world.purse.spending().requests == 0


def test_a_stop_ends_the_wait_for_a_retry() -> None:
    """What had been sent is counted, and nothing follows."""
    world = World(network(), takes_s=0.0)

    async def stop() -> None:
        world.fail()
        await asyncio.sleep(0.01)
        world.stop.ask(FatalError(StopReason.INTERRUPTED, "Ctrl-C"))
        await asyncio.sleep(900.0)

    world.run(stop())
    assert len(world.model.requests) == world.tally.requests == 1
    assert world.outcomes == ["refused"]


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
    world = World(limited, WORDS, model=model)

    world.run(world.fail_and_wait())

    figures = world.figures
    assert world.outcomes == ["on_trial"]
    assert figures.refused == (1 if model == "own" else 0)
    assert figures.requests == 2
    assert figures.in_flight == 0


def test_a_trial_that_failed_asks_anew_and_tells_what_failed() -> None:
    """The words that did not help are in the next question."""
    world = World(WORDS, "Just name the things that are to be seen")

    async def images() -> None:
        await world.fail_and_wait()
        trials = world.optimizer.trials
        for _ in range(4):
            trials.give("proposed_blocked_1")
            trials.learn("proposed_blocked_1", rescued=False)
        await world.fail_and_wait()

    world.run(images())
    assert world.outcomes == [Standing.DROPPED.value, Standing.ON_TRIAL.value]
    assert WORDS in world.model.requests[1].prompt
