"""Rules of prompts/rules.py and prompts/policy.py."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorKind
from models import Parameter
from prompts.edits import ASK_AGAIN, load
from prompts.history import Failure, FailureHistory
from prompts.policy import (
    MAX_FAILED_CHANGES,
    AskAgain,
    ChangeParameter,
    GiveUp,
    Policy,
    RepairLimits,
    UseEdit,
)
from prompts.rules import CURABLE_KINDS, RULES, SAFETY_REASONS
from retry_handler import POLICIES, Verdict
from tests.support.policy_scenario import (
    EDITS,
    NO_CONTROL,
    PLAIN_KINDS,
    empty_stats,
    failed_once,
    failed_twice,
    policy,
    steps,
    teach,
)


def test_every_kind_has_its_row() -> None:
    """A new kind of failure is decided about before it can cost a call."""
    assert set(RULES) == set(ErrorKind)


def test_the_curable_kinds_are_those_of_the_retry_table() -> None:
    """What the retry table calls repairable is what may be repaired, and nothing else."""
    assert {kind for kind in ErrorKind if POLICIES[kind].verdict is Verdict.REPAIR} == CURABLE_KINDS


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - CURABLE_KINDS))
@pytest.mark.parametrize("failures", [1, 2, 5])
def test_what_words_cannot_cure_gets_no_call(kind: ErrorKind, failures: int) -> None:
    """429s, outages, bad images, prohibited content: never another prompt, never another call from here."""
    history = FailureHistory(failures=(Failure(kind=kind),) * failures, arms=(ASK_AGAIN,) * (failures - 1))

    assert isinstance(policy().next_step(history), GiveUp)


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_the_first_failure_of_a_class_asks_again(kind: ErrorKind) -> None:
    """With the same prompt, whatever is known of edits."""
    stats = empty_stats()
    teach(stats, EDITS[0], rescues=30, failures=0, kind=kind)

    assert policy(stats).next_step(failed_once(kind)) == AskAgain()


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_two_failures_of_a_class_bring_the_best_known_edit(kind: ErrorKind) -> None:
    """What rescued others is tried first."""
    stats = empty_stats()
    teach(stats, EDITS[3], rescues=40, failures=5, kind=kind)
    chosen = Counter(
        step.arm
        for seed in range(100)
        if not isinstance(
            step := policy(stats, seed=seed, limits=NO_CONTROL).next_step(failed_twice(kind)), GiveUp
        )
    )

    assert chosen[EDITS[3]] >= 80


def test_failures_of_different_classes_are_not_consistent() -> None:
    """One of each is chance, no reason for other words."""
    history = failed_once(ErrorKind.BLOCKED).with_failure(ASK_AGAIN, Failure(kind=ErrorKind.EMPTY))

    assert policy().next_step(history) == AskAgain()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ErrorKind.TRUNCATED, [Parameter.MORE_OUTPUT_TOKENS, Parameter.LESS_THINKING]),
        (ErrorKind.NO_IMAGE, [Parameter.PICTURE_ONLY]),
        (ErrorKind.BLOCKED, []),
    ],
)
def test_parameters_come_before_words(kind: ErrorKind, expected: list[Parameter]) -> None:
    """More output tokens for a truncated answer, pictures only where none came; then the rest."""
    chooser = policy(parameters=list(Parameter))
    found = [step for _, step in steps(chooser, [Failure(kind=kind)] * 4)]

    assert found[: len(expected)] == [ChangeParameter(parameter=one) for one in expected]
    assert not any(isinstance(step, ChangeParameter) for step in found[len(expected) :])


def test_a_parameter_that_this_run_cannot_change_is_passed_over() -> None:
    """Then the plain second call comes first."""
    assert policy(parameters=[]).next_step(failed_once(ErrorKind.TRUNCATED)) == AskAgain()


def test_what_a_parameter_did_says_nothing_of_an_edit() -> None:
    """Neither the statistics nor the comparison with asking again counts it."""
    history = failed_once(ErrorKind.TRUNCATED)
    for parameter in (Parameter.MORE_OUTPUT_TOKENS, Parameter.LESS_THINKING):
        history = history.with_failure(parameter, Failure(kind=ErrorKind.TRUNCATED))

    assert history.tried_arms() == ()
    assert history.is_first_repair


def test_what_was_tried_before_the_class_was_consistent_does_not_count() -> None:
    """The plain second call belongs to every image; an edit in another class belongs to that class."""
    history = failed_twice(ErrorKind.BLOCKED)
    assert history.tried_arms() == ()
    history = history.with_failure(EDITS[0], Failure(kind=ErrorKind.EMPTY)).with_failure(
        ASK_AGAIN, Failure(kind=ErrorKind.EMPTY)
    )

    assert history.tried_arms() == ()
    assert not history.is_first_repair
    assert history.with_failure(EDITS[1], Failure(kind=ErrorKind.BLOCKED)).tried_arms() == (EDITS[0],)


@pytest.mark.parametrize("reason", sorted(SAFETY_REASONS))
@pytest.mark.parametrize("seed", range(20))
def test_the_safety_filter_gets_one_neutral_try_at_most(reason: str, seed: int) -> None:
    """And no edit that is not marked as neutral."""
    chooser = policy(seed=seed, neutral_edits=EDITS[2:4], limits=NO_CONTROL)
    story_failures = [Failure(kind=ErrorKind.BLOCKED, reason=reason)] * 8
    edits = [step.name for _, step in steps(chooser, story_failures) if isinstance(step, UseEdit)]

    assert len(edits) <= 1
    assert set(edits) <= set(EDITS[2:4])


def test_the_bundled_edits_have_one_neutral_try_for_the_safety_filter() -> None:
    """So that there is something to try."""
    book = load()

    assert book.neutral_names
    assert any(ErrorKind.BLOCKED in book[name].serves for name in book.neutral_names)


failures_of_an_image = st.lists(
    st.builds(Failure, kind=st.sampled_from(sorted(CURABLE_KINDS)), reason=st.sampled_from(["", "SAFETY"])),
    min_size=1,
    max_size=30,
)


@given(failures=failures_of_an_image, seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.15, 1.0]))
def test_repair_always_ends_and_tries_nothing_twice(failures: list[Failure], seed: int, share: float) -> None:
    """At most five calls besides the parameters, at most four edits, none of them twice."""
    chooser = policy(seed=seed, limits=RepairLimits(control_share=share), parameters=list(Parameter))
    made = [step for _, step in steps(chooser, failures) if not isinstance(step, GiveUp)]
    edits = [step.name for step in made if isinstance(step, UseEdit)]
    parameters = [step for step in made if isinstance(step, ChangeParameter)]

    assert len(made) - len(parameters) <= 5
    assert len(edits) == len(set(edits)) <= 4
    assert len(parameters) == len(set(parameters))


@given(failures=failures_of_an_image, seed=st.integers(0, 99))
def test_an_edit_is_used_only_on_a_consistent_failure(failures: list[Failure], seed: int) -> None:
    """Whatever comes between: the present class was seen twice on the image."""
    for history, step in steps(policy(seed=seed), failures):
        assert not isinstance(step, UseEdit) or history.times_of_kind >= 2


def test_no_edits_allowed_means_no_edit() -> None:
    """With a maximum of 0 only calls with the same prompt are left."""
    chooser = policy(limits=RepairLimits(max_edits=0))

    assert not any(
        isinstance(step, UseEdit) for _, step in steps(chooser, [Failure(kind=ErrorKind.REFUSED)] * 8)
    )


def test_the_same_draws_and_outcomes_give_the_same_steps() -> None:
    """A run can be repeated exactly."""
    runs = [
        [step for n in range(20) for _, step in steps(chooser, [Failure(kind=PLAIN_KINDS[n % 3])] * 6)]
        for chooser in (policy(seed=7), policy(seed=7))
    ]

    assert runs[0] == runs[1]


def test_a_class_that_nothing_rescues_is_given_up() -> None:
    """After enough images that all failed, the next one gets no further call."""
    chooser = policy()
    for _ in range(60):
        list(steps(chooser, [Failure(kind=ErrorKind.BLOCKED)] * 8))

    assert isinstance(chooser.next_step(failed_twice(ErrorKind.BLOCKED)), GiveUp)


def test_a_hopeless_class_does_not_end_a_hopeful_one() -> None:
    """What nothing rescues in one class says little about another that edits do rescue."""
    stats = empty_stats()
    chooser = policy(stats, limits=NO_CONTROL)
    teach(stats, EDITS[0], rescues=40, failures=10, kind=ErrorKind.EMPTY)
    for _ in range(60):
        list(steps(chooser, [Failure(kind=ErrorKind.BLOCKED)] * 8))

    assert not isinstance(chooser.next_step(failed_twice(ErrorKind.EMPTY)), GiveUp)


def test_an_image_that_withstood_the_best_edits_is_given_up_before_its_calls_end() -> None:
    """Three edits that rescue nearly everything failed: it is the image."""
    stats = empty_stats()
    for edit in EDITS[:3]:
        teach(stats, edit, rescues=95, failures=5)
    for edit in EDITS[3:]:
        teach(stats, edit, rescues=0, failures=25)
    history = failed_twice(ErrorKind.BLOCKED)
    for edit in EDITS[:3]:
        history = history.with_failure(edit, Failure(kind=ErrorKind.BLOCKED))

    assert isinstance(policy(stats).next_step(history), GiveUp)


def test_the_coin_falls_once_for_an_image_and_keeps_its_share() -> None:
    """15 of 100 first edits are replaced at first, a third of that when enough controls are drawn."""
    stats = empty_stats()
    teach(stats, EDITS[0], rescues=400, failures=100)
    chooser = policy(stats)
    assignments = []
    for _ in range(2_000):
        failures = [Failure(kind=ErrorKind.BLOCKED)] * 6
        found = [step.assignment for _, step in steps(chooser, failures, learn=False)
                 if isinstance(step, AskAgain | UseEdit) and step.assignment]  # fmt: skip
        assert len(found) <= 1
        assignments += found
    early = [assignment.is_control for assignment in assignments if assignment.control_share == 0.15]
    late = [
        assignment.is_control for assignment in assignments if assignment.control_share == pytest.approx(0.05)
    ]

    assert sum(early) == 30
    assert 0.10 <= sum(early) / len(early) <= 0.22
    assert 0.03 <= sum(late) / len(late) <= 0.07


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_control_keeps_the_words(share: float) -> None:
    """With a share of 0 there is no control, with 1 every first edit is replaced by one."""
    stats = empty_stats()
    teach(stats, EDITS[0], rescues=40, failures=5)
    step = policy(stats, limits=RepairLimits(control_share=share)).next_step(failed_twice(ErrorKind.BLOCKED))

    assert isinstance(step, AskAgain if share else UseEdit)
    assert step.assignment is not None
    assert step.assignment.is_control == bool(share)


SETTINGS = [(kind, parameter) for kind, rule in RULES.items() for parameter in rule.parameters]


def tries(chooser: Policy, kind: ErrorKind, parameter: Parameter) -> bool:
    """Return whether an image of the class would have the parameter changed, after those before it."""
    history = failed_once(kind)
    while isinstance(step := chooser.next_step(history), ChangeParameter) and step.parameter is not parameter:
        history = history.with_failure(step.arm, Failure(kind=kind))
    return isinstance(step, ChangeParameter)


def test_every_setting_belongs_to_one_class() -> None:
    """What cures it is learned for the class, so no setting is another's."""
    assert sorted(parameter for _, parameter in SETTINGS) == sorted(Parameter)


@pytest.mark.parametrize(("kind", "parameter"), SETTINGS)
def test_a_setting_that_cured_none_of_several_images_is_left_out(
    kind: ErrorKind, parameter: Parameter
) -> None:
    """For the rest of the run, and it alone."""
    chooser = policy(parameters=list(Parameter))
    for _ in range(MAX_FAILED_CHANGES):
        assert tries(chooser, kind, parameter)
        chooser.learn(failed_once(kind), parameter, rescued=False)

    assert [pair for pair in SETTINGS if not tries(chooser, *pair)] == [(kind, parameter)]


@pytest.mark.parametrize(("kind", "parameter"), SETTINGS)
@pytest.mark.parametrize("before", [0, 1, MAX_FAILED_CHANGES - 1, MAX_FAILED_CHANGES, 5 * MAX_FAILED_CHANGES])
def test_a_setting_that_cured_some_stays(kind: ErrorKind, parameter: Parameter, before: int) -> None:
    """However often it was in vain; even where the cure was still on its way when it was left out."""
    chooser = policy(parameters=list(Parameter))
    for rescued in [*[False] * before, True, *[False] * 50]:
        chooser.learn(failed_once(kind), parameter, rescued=rescued)

    assert tries(chooser, kind, parameter)


@pytest.mark.parametrize(("kind", "parameter"), SETTINGS)
def test_a_setting_that_the_model_does_not_take_is_never_tried_again(
    kind: ErrorKind, parameter: Parameter
) -> None:
    """Not even where it cured images, and the others go on."""
    chooser = policy(parameters=list(Parameter))
    chooser.learn(failed_once(kind), parameter, rescued=True)
    chooser.disable_parameter(parameter)

    assert [pair for pair in SETTINGS if not tries(chooser, *pair)] == [(kind, parameter)]


def test_changed_settings_take_none_of_an_images_other_calls() -> None:
    """All calls that the user allows are made besides."""
    limits = RepairLimits(max_calls=3, max_edits=2, control_share=0.0)
    chooser = policy(parameters=list(Parameter), limits=limits)
    found = [step for _, step in steps(chooser, [Failure(kind=ErrorKind.TRUNCATED)] * 9, learn=False)]

    assert sum(isinstance(step, ChangeParameter) for step in found) == 2
    assert sum(isinstance(step, AskAgain | UseEdit) for step in found) == 3
