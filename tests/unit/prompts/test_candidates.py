"""Rules of prompts/candidates.py and of the policy that tries what a model proposed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorKind
from models import Usage
from prompts.candidates import (
    ENOUGH_IMAGES,
    GOOD_ENOUGH,
    KNOWN_AFTER,
    MOST_IMAGES,
    Proposal,
    ProposedRow,
    Standing,
    Trials,
)
from prompts.edit_stats import Pool
from prompts.edits import ASK_AGAIN
from prompts.policy import AskAgain, Failure, ImageStory, Limits, Policy, UseEdit
from prompts.rules import CURABLE
from tests.support.policy_scenario import (
    EDITS,
    NO_CONTROL,
    empty_pool,
    first,
    policy,
    teach,
    twice,
)

BLOCKED = ErrorKind.BLOCKED
NAME = "proposed_blocked_1"


def hear_of(trials: Trials, images: int, kind: ErrorKind = BLOCKED) -> None:
    """Let so many images fail consistently."""
    for number in range(images):
        trials.hear(kind, f"words of image {number}", is_new=True)


def propose(trials: Trials, text: str = "Say it in other words", kind: ErrorKind = BLOCKED) -> Proposal:
    """Let a model propose these words."""
    return trials.accept(kind, text, proposed_by="m", usage=Usage(), cost=None)


def refuse(trials: Trials, kind: ErrorKind = BLOCKED) -> Proposal:
    """Let a model answer with nothing of use."""
    return trials.refuse(kind, "it is empty", proposed_by="m", usage=Usage(), cost=None)


def kept(name: str, outcome: Standing, text: str = "Words of an earlier night") -> ProposedRow:
    """Return what an earlier night left."""
    return ProposedRow(kind=BLOCKED, name=name, text=text, proposed_by="m", outcome=outcome)


def chooser(
    trials: Trials, *, limits: Limits = NO_CONTROL, seed: int = 0, pool: Pool | None = None
) -> Policy:
    """Return a policy that may try proposals."""
    return policy(pool, limits=limits, seed=seed, trials=trials)


def chosen(ours: Policy, times: int, story: ImageStory | None = None) -> list[str]:
    """Return what so many images that fail consistently are given."""
    steps = [ours.next(story or twice(BLOCKED)) for _ in range(times)]
    return [step.arm if isinstance(step, UseEdit) else "" for step in steps]


def test_a_model_is_asked_when_enough_images_failed_and_no_edit_is_good() -> None:
    """Not one image earlier, not while an edit does well, and not where nobody may ask."""
    trials, silent = Trials(asks=True), Trials(asks=False)
    hear_of(trials, ENOUGH_IMAGES - 1)
    assert not trials.wants(BLOCKED, 0.1)
    trials.hear(BLOCKED, "the same image once more", is_new=False)
    assert not trials.wants(BLOCKED, 0.1)
    for one in (trials, silent):
        hear_of(one, ENOUGH_IMAGES)

    assert trials.wants(BLOCKED, GOOD_ENOUGH)
    assert not trials.wants(BLOCKED, GOOD_ENOUGH + 0.01)
    assert not silent.wants(BLOCKED, 0.1)
    assert not silent.cases(BLOCKED)


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - CURABLE))
def test_no_model_is_ever_asked_about_what_words_cannot_cure(kind: ErrorKind) -> None:
    """Prohibited content and its kin: never."""
    trials = Trials(asks=True)
    hear_of(trials, 100, kind)

    assert not trials.wants(kind, 0.0)


def test_one_trial_at_a_time_and_two_proposals_for_a_class() -> None:
    """Refused answers count: they were paid for too."""
    trials = Trials(asks=True)
    hear_of(trials, ENOUGH_IMAGES)
    propose(trials)
    assert not trials.wants(BLOCKED, 0.1)
    for _ in range(MOST_IMAGES):
        trials.give(NAME)
        trials.learn(NAME, rescued=False)
    assert trials.wants(BLOCKED, 0.1)
    refuse(trials)

    assert not trials.wants(BLOCKED, 0.1)
    assert [one.outcome for one in trials.proposals()] == [Standing.DROPPED, Standing.REFUSED]


def test_what_joined_is_given_time_before_another_is_asked_for() -> None:
    """One rescue says little, and the belief in it is low still; after some images it counts alone."""
    trials = Trials(asks=True)
    hear_of(trials, ENOUGH_IMAGES)
    propose(trials)
    for image in range(KNOWN_AFTER):
        assert not trials.wants(BLOCKED, 0.1)
        trials.learn(NAME, rescued=image == 0)

    assert trials.wants(BLOCKED, 0.1)


def test_earlier_nights_count_and_their_names_are_not_used_again() -> None:
    """What was dropped is not bought again, and no count of one edit goes to another."""
    rows = [kept("proposed_blocked_1", Standing.DROPPED, "Old words")]
    trials = Trials(rows=rows, taken=["proposed_blocked_2"], asks=True)
    hear_of(trials, ENOUGH_IMAGES)

    assert trials.wants(BLOCKED, 0.1)
    assert propose(trials).name == "proposed_blocked_3"
    assert "Old words" in trials.texts()
    assert trials.dropped(BLOCKED) == ("Old words",)
    both = Trials(rows=[*rows, kept("proposed_blocked_4", Standing.JOINED)], asks=True)
    hear_of(both, ENOUGH_IMAGES)
    assert not both.wants(BLOCKED, 0.1)


@given(
    outcomes=st.lists(st.sampled_from(["give", "fail", "lose"]), max_size=60),
)
def test_never_more_than_four_images_before_the_first_rescue(outcomes: list[str]) -> None:
    """On their way and ended together; what nobody will hear of gives its place back; then it is dropped."""
    trials = Trials(asks=True)
    proposal = propose(trials)
    on_way = ended = 0
    for step in outcomes:
        if step == "give" and trials.next_for(BLOCKED) == NAME:
            trials.give(NAME)
            on_way += 1
        elif step == "fail" and on_way:
            trials.learn(NAME, rescued=False)
            on_way, ended = on_way - 1, ended + 1
        elif step == "lose" and on_way:
            trials.give_back(NAME)
            on_way -= 1
        assert on_way + ended <= MOST_IMAGES
        assert (proposal.outcome is Standing.DROPPED) == (ended == MOST_IMAGES)
        assert not trials.joined(BLOCKED)
    assert proposal.tried == ended


@given(failures=st.integers(0, MOST_IMAGES - 1))
def test_a_rescue_lets_it_join_for_good(failures: int) -> None:
    """However the images end that were given to it before."""
    trials = Trials(asks=True)
    proposal = propose(trials)
    for _ in range(MOST_IMAGES):
        trials.give(NAME)
    for _ in range(failures):
        trials.learn(NAME, rescued=False)
    trials.learn(NAME, rescued=True)
    for _ in range(MOST_IMAGES):
        trials.learn(NAME, rescued=False)

    assert proposal.outcome is Standing.JOINED
    assert (proposal.tried, proposal.rescued) == (failures + 1, 1)
    assert trials.joined(BLOCKED) == (NAME,)
    assert trials.next_for(BLOCKED) is None


def test_what_is_kept_is_all_but_refused_answers() -> None:
    """And it is told that there is something to keep only when there is."""
    trials = Trials(rows=[kept("proposed_blocked_1", Standing.JOINED)], asks=True)
    assert trials.changes == 0
    refuse(trials)
    assert trials.changes == 0
    propose(trials, "New words")

    assert trials.changes == 1
    assert [(row.name, row.outcome) for row in trials.rows()] == [
        ("proposed_blocked_1", Standing.JOINED),
        ("proposed_blocked_3", Standing.ON_TRIAL),
    ]


def test_words_paid_for_serve_without_a_model_and_open_trials_wait_for_one() -> None:
    """What joined is offered on every later night; what was not decided only where a model may be asked."""
    rows = [kept("proposed_blocked_1", Standing.JOINED), kept("proposed_blocked_2", Standing.ON_TRIAL)]
    alone, asking = Trials(rows=rows), Trials(rows=rows, asks=True)

    assert alone.joined(BLOCKED) == asking.joined(BLOCKED) == ("proposed_blocked_1",)
    assert (alone.next_for(BLOCKED), asking.next_for(BLOCKED)) == (None, "proposed_blocked_2")
    assert [one.name for one in alone.proposals()] == ["proposed_blocked_1"]


@pytest.mark.parametrize("text", ["", "{prompt}\x1b[2J", "x" * 10_000, "Describe it"])
def test_words_from_a_file_are_distrusted_too(text: str) -> None:
    """What lies in the journal may have been changed: it is not offered unless it passes all checks."""
    rows = [kept("proposed_blocked_1", Standing.JOINED, text), kept("x", Standing.ON_TRIAL, text)]
    trials = Trials(prompt="Describe it", rows=rows, asks=True)

    assert trials.joined(BLOCKED) == ()
    assert trials.next_for(BLOCKED) is None
    assert trials.words("x") is None


def test_a_consistent_failure_is_given_to_the_trial_first() -> None:
    """Before anything is drawn, also where nothing else is worth a call; the first failure never is."""
    trials = Trials(asks=True)
    propose(trials)
    pool = empty_pool()
    for name in (*EDITS, ASK_AGAIN):
        teach(pool, name, rescues=0, failures=30)
    ours = chooser(trials, pool=pool)

    assert ours.next(first(BLOCKED)) == AskAgain()
    assert NAME not in chosen(ours, 5, twice(ErrorKind.EMPTY))
    assert chosen(ours, MOST_IMAGES + 2) == [NAME] * MOST_IMAGES + ["", ""]


def test_the_coin_may_be_against_a_trial_as_against_any_edit() -> None:
    """And then the image takes no place of it."""
    trials = Trials(asks=True)
    proposal = propose(trials)
    ours = chooser(trials, limits=Limits(control_share=1.0))

    step = ours.next(twice(BLOCKED))

    assert isinstance(step, AskAgain)
    assert step.trial is not None
    assert proposal.on_way == 0


def test_an_image_gets_no_more_edits_because_of_a_trial() -> None:
    """The user's maximum holds."""
    trials = Trials(asks=True)
    propose(trials)
    ours = chooser(trials, limits=Limits(max_edits=1, control_share=0.0))
    used = twice(BLOCKED).then("edit_1", Failure(kind=BLOCKED))

    assert NAME not in chosen(ours, 5, used)


@pytest.mark.parametrize("reason", ["SAFETY", "IMAGE_SAFETY"])
def test_the_safety_filter_is_never_tried_with_a_models_words(reason: str) -> None:
    """Neither on trial nor joined, also when another reason was named in between."""
    trials = Trials(rows=[kept("proposed_blocked_9", Standing.JOINED)], asks=True)
    propose(trials)
    filtered, other = Failure(kind=BLOCKED, reason=reason), Failure(kind=BLOCKED, reason="OTHER")
    stories = [
        ImageStory(failures=(filtered, filtered), arms=(ASK_AGAIN,)),
        ImageStory(failures=(filtered, other), arms=(ASK_AGAIN,)),
        ImageStory(failures=(other, filtered), arms=(ASK_AGAIN,)),
    ]

    tried = {
        name
        for seed in range(30)
        for story in stories
        for name in chosen(chooser(trials, seed=seed), 1, story)
    }
    assert not {name for name in tried if name.startswith("proposed")}


def test_what_joined_is_an_edit_like_any_other() -> None:
    """It learns with them, and where it is good it is chosen."""
    trials = Trials(asks=True)
    propose(trials)
    ours = chooser(trials)
    for _ in range(20):
        step = ours.next(twice(BLOCKED))
        if isinstance(step, UseEdit):
            ours.learn(twice(BLOCKED), step.arm, rescued=step.name == NAME)

    assert ours.best(BLOCKED) > GOOD_ENOUGH
    assert chosen(ours, 20).count(NAME) >= 15
