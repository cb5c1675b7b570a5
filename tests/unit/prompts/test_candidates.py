"""Rules of prompts/candidates.py, and of the policy that tries candidates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorKind
from models import Usage
from prompts.candidates import (
    GOOD_ENOUGH_RATE,
    MAX_TRIAL_IMAGES,
    MIN_FAILED_IMAGES,
    MIN_IMAGES_BEFORE_NEXT,
    Candidate,
    CandidatePool,
)
from prompts.edit_stats import EditStats
from prompts.edits import ASK_AGAIN
from prompts.history import Failure, FailureHistory
from prompts.policy import AskAgain, Policy, RepairLimits, UseEdit
from prompts.records import CandidateRow, CandidateStatus
from prompts.rules import CURABLE_KINDS
from tests.support.policy_scenario import (
    EDITS,
    NO_CONTROL,
    empty_stats,
    failed_once,
    failed_twice,
    policy,
    teach,
)

BLOCKED = ErrorKind.BLOCKED
NAME = "proposed_blocked_1"


def add_failures(candidates: CandidatePool, images: int, kind: ErrorKind = BLOCKED) -> None:
    """Let so many images fail consistently."""
    for number in range(images):
        candidates.add_failure(kind, f"words of image {number}", is_new=True)


def propose(
    candidates: CandidatePool, text: str = "Say it in other words", kind: ErrorKind = BLOCKED
) -> Candidate:
    """Let a model propose this prompt."""
    return candidates.add_on_trial(kind, text, proposed_by="m", usage=Usage(), cost=None)


def refuse(candidates: CandidatePool, kind: ErrorKind = BLOCKED) -> Candidate:
    """Let a model give an answer that is rejected."""
    return candidates.add_rejected(kind, "it is empty", proposed_by="m", usage=Usage(), cost=None)


def earlier_row(name: str, outcome: CandidateStatus, text: str = "Words of an earlier night") -> CandidateRow:
    """Return the row of a candidate of an earlier run."""
    return CandidateRow(kind=BLOCKED, name=name, text=text, proposed_by="m", status=outcome)


def chooser(
    candidates: CandidatePool,
    *,
    limits: RepairLimits = NO_CONTROL,
    seed: int = 0,
    edit_stats: EditStats | None = None,
) -> Policy:
    """Return a policy that may try candidates."""
    return policy(edit_stats, limits=limits, seed=seed, candidates=candidates)


def choose_arms(policy_under_test: Policy, times: int, history: FailureHistory | None = None) -> list[str]:
    """Return what so many images that fail consistently are given."""
    steps = [policy_under_test.next_step(history or failed_twice(BLOCKED)) for _ in range(times)]
    return [step.arm if isinstance(step, UseEdit) else "" for step in steps]


def test_a_model_is_asked_when_enough_images_failed_and_no_edit_is_good() -> None:
    """Not one image earlier, not while an edit does well, and not where no model may be asked."""
    candidates, silent = CandidatePool(can_request=True), CandidatePool(can_request=False)
    add_failures(candidates, MIN_FAILED_IMAGES - 1)
    assert not candidates.should_request(BLOCKED, 0.1)
    candidates.add_failure(BLOCKED, "the same image once more", is_new=False)
    assert not candidates.should_request(BLOCKED, 0.1)
    for one in (candidates, silent):
        add_failures(one, MIN_FAILED_IMAGES)

    assert candidates.should_request(BLOCKED, GOOD_ENOUGH_RATE)
    assert not candidates.should_request(BLOCKED, GOOD_ENOUGH_RATE + 0.01)
    assert not silent.should_request(BLOCKED, 0.1)
    assert not silent.failure_examples(BLOCKED)


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - CURABLE_KINDS))
def test_no_model_is_ever_asked_about_what_words_cannot_cure(kind: ErrorKind) -> None:
    """Prohibited content and its kin: never."""
    candidates = CandidatePool(can_request=True)
    add_failures(candidates, 100, kind)

    assert not candidates.should_request(kind, 0.0)


def test_one_trial_at_a_time_and_two_proposals_for_a_class() -> None:
    """Rejected answers count: they were paid for too."""
    candidates = CandidatePool(can_request=True)
    add_failures(candidates, MIN_FAILED_IMAGES)
    propose(candidates)
    assert not candidates.should_request(BLOCKED, 0.1)
    for _ in range(MAX_TRIAL_IMAGES):
        candidates.reserve(NAME)
        candidates.learn(NAME, rescued=False)
    assert candidates.should_request(BLOCKED, 0.1)
    refuse(candidates)

    assert not candidates.should_request(BLOCKED, 0.1)
    assert [one.status for one in candidates.reportable_candidates()] == [
        CandidateStatus.DROPPED,
        CandidateStatus.REJECTED,
    ]


def test_what_joined_is_given_time_before_another_is_asked_for() -> None:
    """One rescue says little, and the belief in it is low still; after some images it counts alone."""
    candidates = CandidatePool(can_request=True)
    add_failures(candidates, MIN_FAILED_IMAGES)
    propose(candidates)
    for image in range(MIN_IMAGES_BEFORE_NEXT):
        assert not candidates.should_request(BLOCKED, 0.1)
        candidates.learn(NAME, rescued=image == 0)

    assert candidates.should_request(BLOCKED, 0.1)


def test_earlier_nights_count_and_their_names_are_not_used_again() -> None:
    """What was dropped is not bought again, and no count of one edit goes to another."""
    rows = [earlier_row("proposed_blocked_1", CandidateStatus.DROPPED, "Old words")]
    candidates = CandidatePool(rows=rows, reserved_names=["proposed_blocked_2"], can_request=True)
    add_failures(candidates, MIN_FAILED_IMAGES)

    assert candidates.should_request(BLOCKED, 0.1)
    assert propose(candidates).name == "proposed_blocked_3"
    assert "Old words" in candidates.texts()
    assert candidates.dropped_texts(BLOCKED) == ("Old words",)
    both = CandidatePool(
        rows=[*rows, earlier_row("proposed_blocked_4", CandidateStatus.ACCEPTED)], can_request=True
    )
    add_failures(both, MIN_FAILED_IMAGES)
    assert not both.should_request(BLOCKED, 0.1)


@given(
    outcomes=st.lists(st.sampled_from(["give", "fail", "lose"]), max_size=60),
)
def test_never_more_than_four_images_before_the_first_rescue(outcomes: list[str]) -> None:
    """Images in flight and ended ones together; a released image counts no more; then it is dropped."""
    candidates = CandidatePool(can_request=True)
    candidate = propose(candidates)
    on_way = ended = 0
    for step in outcomes:
        if step == "give" and candidates.next_candidate(BLOCKED) == NAME:
            candidates.reserve(NAME)
            on_way += 1
        elif step == "fail" and on_way:
            candidates.learn(NAME, rescued=False)
            on_way, ended = on_way - 1, ended + 1
        elif step == "lose" and on_way:
            candidates.release(NAME)
            on_way -= 1
        assert on_way + ended <= MAX_TRIAL_IMAGES
        assert (candidate.status is CandidateStatus.DROPPED) == (ended == MAX_TRIAL_IMAGES)
        assert not candidates.accepted_names(BLOCKED)
    assert candidate.tried == ended


@given(failures=st.integers(0, MAX_TRIAL_IMAGES - 1))
def test_a_rescue_lets_it_join_for_good(failures: int) -> None:
    """However the images end that were given to it before."""
    candidates = CandidatePool(can_request=True)
    candidate = propose(candidates)
    for _ in range(MAX_TRIAL_IMAGES):
        candidates.reserve(NAME)
    for _ in range(failures):
        candidates.learn(NAME, rescued=False)
    candidates.learn(NAME, rescued=True)
    for _ in range(MAX_TRIAL_IMAGES):
        candidates.learn(NAME, rescued=False)

    assert candidate.status is CandidateStatus.ACCEPTED
    assert (candidate.tried, candidate.rescued) == (failures + 1, 1)
    assert candidates.accepted_names(BLOCKED) == (NAME,)
    assert candidates.next_candidate(BLOCKED) is None


def test_what_is_kept_is_all_but_refused_answers() -> None:
    """And a change is counted only if there is something to store."""
    candidates = CandidatePool(
        rows=[earlier_row("proposed_blocked_1", CandidateStatus.ACCEPTED)], can_request=True
    )
    assert candidates.changes == 0
    refuse(candidates)
    assert candidates.changes == 0
    propose(candidates, "New words")

    assert candidates.changes == 1
    assert [(row.name, row.status) for row in candidates.rows()] == [
        ("proposed_blocked_1", CandidateStatus.ACCEPTED),
        ("proposed_blocked_3", CandidateStatus.ON_TRIAL),
    ]


def test_words_paid_for_serve_without_a_model_and_open_trials_wait_for_one() -> None:
    """An accepted candidate is used in every later run, an undecided one only where a model may be asked."""
    rows = [
        earlier_row("proposed_blocked_1", CandidateStatus.ACCEPTED),
        earlier_row("proposed_blocked_2", CandidateStatus.ON_TRIAL),
    ]
    alone, asking = CandidatePool(rows=rows), CandidatePool(rows=rows, can_request=True)

    assert alone.accepted_names(BLOCKED) == asking.accepted_names(BLOCKED) == ("proposed_blocked_1",)
    assert (alone.next_candidate(BLOCKED), asking.next_candidate(BLOCKED)) == (None, "proposed_blocked_2")
    assert [one.name for one in alone.reportable_candidates()] == ["proposed_blocked_1"]


@pytest.mark.parametrize("text", ["", "{prompt}\x1b[2J", "x" * 10_000, "Describe it"])
def test_words_from_a_file_are_distrusted_too(text: str) -> None:
    """What lies in the journal may have been changed: it is not offered unless it passes all checks."""
    rows = [
        earlier_row("proposed_blocked_1", CandidateStatus.ACCEPTED, text),
        earlier_row("x", CandidateStatus.ON_TRIAL, text),
    ]
    candidates = CandidatePool(prompt="Describe it", rows=rows, can_request=True)

    assert candidates.accepted_names(BLOCKED) == ()
    assert candidates.next_candidate(BLOCKED) is None
    assert candidates.edited_prompt("x") is None


def test_a_consistent_failure_is_given_to_the_trial_first() -> None:
    """Before anything is drawn, also where nothing else is worth a call; never on the first failure."""
    candidates = CandidatePool(can_request=True)
    propose(candidates)
    stats = empty_stats()
    for name in (*EDITS, ASK_AGAIN):
        teach(stats, name, rescues=0, failures=30)
    policy_under_test = chooser(candidates, edit_stats=stats)

    assert policy_under_test.next_step(failed_once(BLOCKED)) == AskAgain()
    assert NAME not in choose_arms(policy_under_test, 5, failed_twice(ErrorKind.EMPTY))
    assert choose_arms(policy_under_test, MAX_TRIAL_IMAGES + 2) == [NAME] * MAX_TRIAL_IMAGES + ["", ""]


def test_the_coin_may_be_against_a_trial_as_against_any_edit() -> None:
    """And then the image does not count as one of the trial."""
    candidates = CandidatePool(can_request=True)
    candidate = propose(candidates)
    policy_under_test = chooser(candidates, limits=RepairLimits(control_share=1.0))

    step = policy_under_test.next_step(failed_twice(BLOCKED))

    assert isinstance(step, AskAgain)
    assert step.assignment is not None
    assert candidate.in_flight == 0


def test_an_image_gets_no_more_edits_because_of_a_trial() -> None:
    """The user's maximum holds."""
    candidates = CandidatePool(can_request=True)
    propose(candidates)
    policy_under_test = chooser(candidates, limits=RepairLimits(max_edits=1, control_share=0.0))
    used = failed_twice(BLOCKED).with_failure("edit_1", Failure(kind=BLOCKED))

    assert NAME not in choose_arms(policy_under_test, 5, used)


@pytest.mark.parametrize("reason", ["SAFETY", "IMAGE_SAFETY"])
def test_the_safety_filter_is_never_tried_with_a_models_words(reason: str) -> None:
    """Neither on trial nor accepted, also when another reason was named in between."""
    candidates = CandidatePool(
        rows=[earlier_row("proposed_blocked_9", CandidateStatus.ACCEPTED)], can_request=True
    )
    propose(candidates)
    filtered, other = Failure(kind=BLOCKED, reason=reason), Failure(kind=BLOCKED, reason="OTHER")
    stories = [
        FailureHistory(failures=(filtered, filtered), arms=(ASK_AGAIN,)),
        FailureHistory(failures=(filtered, other), arms=(ASK_AGAIN,)),
        FailureHistory(failures=(other, filtered), arms=(ASK_AGAIN,)),
    ]

    tried = {
        name
        for seed in range(30)
        for history in stories
        for name in choose_arms(chooser(candidates, seed=seed), 1, history)
    }
    assert not {name for name in tried if name.startswith("proposed")}


def test_what_joined_is_an_edit_like_any_other() -> None:
    """It learns with them, and where it is good it is chosen."""
    candidates = CandidatePool(can_request=True)
    propose(candidates)
    policy_under_test = chooser(candidates)
    for _ in range(20):
        step = policy_under_test.next_step(failed_twice(BLOCKED))
        if isinstance(step, UseEdit):
            policy_under_test.learn(failed_twice(BLOCKED), step.arm, rescued=step.name == NAME)

    assert policy_under_test.best_rate(BLOCKED) > GOOD_ENOUGH_RATE
    assert choose_arms(policy_under_test, 20).count(NAME) >= 15
