"""Rules of prompt_optimizer.py."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorKind
from models import Attempt, Prompt
from prompt_optimizer import OptimizedImageRepair, PromptOptimizer
from prompts import edits
from prompts.edit_stats import EditStats
from prompts.policy import RepairLimits
from prompts.retry_once import RANDOM_KINDS, RetryOnce
from prompts.rules import CURABLE_KINDS
from retry_handler import POLICIES, Verdict
from tests.support.fakes import START

BASE = Prompt(text="Please convert this photo to anime style. Use bright colours (but not too bright)!")
WAITED_OUT = [ErrorKind.RATE_LIMITED, ErrorKind.SERVER, ErrorKind.NETWORK, ErrorKind.TIMEOUT]
BOOK = replace(edits.load(), leaves_out=False)
"""The bundled edits alone; ``test_prompt_optimizer_clauses`` has those that leave words out."""


def optimizer(
    *, seed: int = 0, control: float = 0.0, most_edits: int = 4, keep: Sequence[str] = ()
) -> PromptOptimizer:
    """Return an optimizer without any outcomes yet."""
    return PromptOptimizer(
        base=BASE,
        edits=BOOK,
        edit_stats=EditStats("model", "0" * 64),
        rng=random.Random(seed),
        keep=keep,
        limits=RepairLimits(max_edits=most_edits, max_calls=most_edits + 1, control_share=control),
    )


def failed(
    kind: ErrorKind | None, prompt: Prompt = BASE, number: int = 1, reason: str | None = None
) -> Attempt:
    """Return a call that failed in this way."""
    return Attempt(
        number=number,
        started_at=START,
        seconds=1.0,
        prompt=prompt,
        timeout_s=180.0,
        kind=kind,
        api_status=reason,
    )


def fail_and_revise(
    repair: OptimizedImageRepair | RetryOnce, prompt: Prompt, attempts: Sequence[Attempt]
) -> Prompt | None:
    """Let the last of these calls fail; return what comes next."""
    repair.on_failure(attempts)
    return repair.revise(prompt, attempts)


def play(
    reviser: PromptOptimizer | RetryOnce,
    kinds: Sequence[ErrorKind],
    *,
    then_answered: bool = False,
    reason: str | None = None,
) -> list[Prompt]:
    """Let an image fail in these ways, one after the other; return the prompts chosen in between."""
    repair, prompt, attempts, chosen = reviser.begin_image(), BASE, list[Attempt](), list[Prompt]()
    for kind in kinds:
        attempts.append(failed(kind, prompt, len(attempts) + 1, reason))
        if kind in WAITED_OUT:
            continue  # the processor waits and calls again with the same words
        next_prompt = fail_and_revise(repair, prompt, attempts)
        if next_prompt is None:
            return chosen
        prompt = next_prompt
        chosen.append(prompt)
    if then_answered:
        repair.on_success()
    return chosen


def test_exactly_the_kinds_to_repair_have_edits() -> None:
    """What the retry table calls repairable is what the edits serve: nothing else ever changes a prompt."""
    assert {kind for kind in ErrorKind if POLICIES[kind].verdict is Verdict.REPAIR} == CURABLE_KINDS


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - CURABLE_KINDS))
def test_what_words_cannot_cure_never_changes_the_prompt(kind: ErrorKind) -> None:
    """429s, outages, bad images and prohibited content end the image, however often they come."""
    attempts = [failed(kind, number=number) for number in range(1, 6)]
    ours = optimizer()

    assert fail_and_revise(ours.begin_image(), BASE, attempts) is None
    assert fail_and_revise(RetryOnce(), BASE, attempts) is None
    assert ours.outcomes_learned == 0


@pytest.mark.parametrize("kind", sorted(CURABLE_KINDS))
def test_the_first_failure_asks_again_with_the_same_words(kind: ErrorKind) -> None:
    """The cheapest cure comes first."""
    assert play(optimizer(), [kind]) == [BASE]


@pytest.mark.parametrize("kind", sorted(CURABLE_KINDS))
@pytest.mark.parametrize("seed", range(5))
def test_no_edit_is_tried_twice_on_one_image(kind: ErrorKind, seed: int) -> None:
    """From the second failure on, each try has words of its own, made from the user's own."""
    tried = [prompt for prompt in play(optimizer(seed=seed), [kind] * 10)[1:] if prompt.revision]

    assert len({prompt.edits for prompt in tried}) == len(tried) <= 4
    assert all(BOOK[prompt.edits[0]].apply(BASE.text) == prompt.text != BASE.text for prompt in tried)
    assert [prompt.revision for prompt in tried] == list(range(1, len(tried) + 1))


def test_failures_of_different_kinds_are_not_consistent() -> None:
    """One failure of each of two kinds is chance, not a reason for other words."""
    assert play(optimizer(), [ErrorKind.BLOCKED, ErrorKind.EMPTY]) == [BASE, BASE]


@pytest.mark.parametrize("kind", WAITED_OUT)
def test_transient_failures_are_left_out(kind: ErrorKind) -> None:
    """What waiting cures between two failures neither counts as one nor teaches anything about words."""
    ours = optimizer()

    assert play(ours, [kind, kind, ErrorKind.BLOCKED, kind]) == [BASE]
    assert ours.outcomes_learned == 0


def test_an_edit_that_ends_in_an_outage_is_not_blamed() -> None:
    """Retries that ran out on 503s end the image, and say nothing about the words they carried."""
    ours = optimizer()
    repair, blocked = ours.begin_image(), failed(ErrorKind.BLOCKED)
    fail_and_revise(repair, BASE, [blocked])
    edited = fail_and_revise(repair, BASE, [blocked, blocked])
    assert edited is not None
    before = ours.outcomes_learned

    assert fail_and_revise(repair, edited, [blocked, blocked, failed(ErrorKind.SERVER, edited)]) is None
    assert ours.outcomes_learned == before


def test_no_edits_allowed_means_no_edit() -> None:
    """With a maximum of 0 edits only the plain second try is left."""
    assert play(optimizer(most_edits=0), [ErrorKind.BLOCKED] * 3) == [BASE]


@given(
    kinds=st.lists(st.sampled_from(sorted(CURABLE_KINDS)), min_size=1, max_size=60), seed=st.integers(0, 99)
)
def test_repair_always_ends(kinds: list[ErrorKind], seed: int) -> None:
    """However the failures come, an image gets at most one plain try and the maximum of edits."""
    assert len(play(optimizer(seed=seed), kinds)) <= 5


def test_the_safety_filter_gets_one_neutral_try() -> None:
    """An image withheld for safety is never argued with: at most one edit, and a neutral one."""
    for seed in range(20):
        chosen = play(optimizer(seed=seed), [ErrorKind.BLOCKED] * 10, reason="SAFETY")
        edited = [prompt.edits[0] for prompt in chosen if prompt.edits]
        assert edited in ([], ["neutral_words"])
        assert len(chosen) - len(edited) == 1, "the user's own words twice in all, and no more"


def test_prohibited_content_ends_the_image_at_once_even_after_an_edit() -> None:
    """No call follows it, whatever came before."""
    chosen = play(optimizer(), [ErrorKind.BLOCKED, ErrorKind.PROHIBITED, ErrorKind.BLOCKED])

    assert chosen == [BASE]


def test_words_to_keep_stand_in_every_edit() -> None:
    """Whatever is tried, the words that matter to the user are there."""
    for seed in range(20):
        for prompt in play(optimizer(seed=seed, keep=["bright colours"]), [ErrorKind.NO_IMAGE] * 10):
            assert "bright colours" in prompt.text.lower()


def test_all_images_of_a_run_learn_together() -> None:
    """What rescued one image is tried first on the next."""
    ours = optimizer()
    for _ in range(40):
        repair, attempts = ours.begin_image(), [failed(ErrorKind.BLOCKED)]
        prompt = fail_and_revise(repair, BASE, attempts)
        while prompt is not None and prompt.edits != ("specific",):
            attempts.append(failed(ErrorKind.BLOCKED, prompt))
            prompt = fail_and_revise(repair, prompt, attempts)
        if prompt is not None:
            repair.on_success()

    later = [play(ours, [ErrorKind.BLOCKED] * 2) for _ in range(20)]
    first_edits = [next(prompt.edits for prompt in chosen if prompt.edits) for chosen in later]
    assert first_edits.count(("specific",)) >= 15


def test_the_control_keeps_the_users_words_and_says_so() -> None:
    """Where the coin is against the edit, the same words go out once more, marked, and are counted apart."""
    ours = optimizer(control=1.0)
    chosen = play(ours, [ErrorKind.BLOCKED] * 2, then_answered=True)

    assert [prompt.is_control for prompt in chosen] == [False, True]
    assert {prompt.text for prompt in chosen} == {BASE.text}
    measured = ours.estimate_uplift()
    assert (measured.asked_again.tries, measured.asked_again.rescues, measured.edited.tries) == (1, 1, 0)


def test_the_uplift_compares_first_edits_with_the_control() -> None:
    """Edits that rescue while asking again does not are shown to be worth something."""
    ours = optimizer(control=0.5, seed=3)
    for _ in range(60):
        repair, attempts = ours.begin_image(), [failed(ErrorKind.REFUSED)]
        prompt = fail_and_revise(repair, BASE, attempts)
        if prompt == BASE:  # the plain second call, which is left out once it is known to help nobody
            attempts.append(failed(ErrorKind.REFUSED, prompt))
            prompt = fail_and_revise(repair, BASE, attempts)
        if prompt is not None and prompt.edits:
            repair.on_success()
        elif prompt is not None:
            fail_and_revise(repair, prompt, [*attempts, failed(ErrorKind.REFUSED, prompt)])

    measured = ours.estimate_uplift()
    assert measured.edited.rescues == measured.edited.tries > 5
    assert measured.asked_again.rescues == 0 < measured.asked_again.tries
    assert measured.is_significant


@pytest.mark.parametrize("kind", sorted(CURABLE_KINDS))
def test_without_optimization_the_words_stay(kind: ErrorKind) -> None:
    """Without the option a random kind gets one plain second try, any other none."""
    assert play(RetryOnce(), [kind] * 5) == ([BASE] if kind in RANDOM_KINDS else [])
