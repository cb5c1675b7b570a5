"""Rules of prompt_optimizer.py about settings: when a call has one changed, and when not again."""

import random
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorKind
from models import Attempt, Parameter, Prompt
from prompt_optimizer import OptimizedImageRepair, PromptOptimizer
from prompts import edits
from prompts.edit_stats import EditStats
from prompts.policy import RepairLimits
from prompts.rules import CURABLE_KINDS
from tests.support.fakes import START

K = ErrorKind
MORE, LESS, ALONE = Parameter.MORE_OUTPUT_TOKENS, Parameter.LESS_THINKING, Parameter.PICTURE_ONLY
BASE = Prompt(text="Please convert this photo to anime style. Use bright colours (but not too bright)!")
BOOK = edits.load()
ALL = frozenset(Parameter)
NOT_TAKEN = K.INVALID_REQUEST


def optimizer(*, seed: int = 0, parameters: Collection[Parameter] = ALL) -> PromptOptimizer:
    """Return an optimizer without any outcomes yet."""
    return PromptOptimizer(
        base=BASE,
        edits=BOOK,
        edit_stats=EditStats("model", "0" * 64),
        rng=random.Random(seed),
        parameters=parameters,
        limits=RepairLimits(control_share=0.0),
    )


def after(repair: OptimizedImageRepair, kind: ErrorKind, prompt: Prompt) -> Prompt | None:
    """Let a call with this prompt fail; return what comes next."""
    attempt = Attempt(
        number=1, started_at=START, seconds=1.0, prompt=prompt, timeout_s=180.0, kind=kind, detail=str(kind)
    )
    repair.on_failure([attempt])
    return repair.revise(prompt, [attempt])


def prompts(
    ours: PromptOptimizer, kinds: Sequence[ErrorKind], *, refused: Collection[Parameter] = ()
) -> list[Prompt]:
    """Let an image fail in these ways; a call with a new setting of the refused ones meets a 400 instead."""
    repair, prompt, found = ours.begin_image(), BASE, list[Prompt]()
    left = list(kinds)
    while left:
        is_refused = not set(prompt.parameters).isdisjoint(refused)
        following = after(repair, NOT_TAKEN if is_refused else left.pop(0), prompt)
        if following is None:
            return found
        prompt = following
        found.append(prompt)
        assert len(found) <= len(kinds) + len(Parameter), "a refused setting is tried again and again"
    return found


@pytest.mark.parametrize("seed", range(10))
def test_an_answer_cut_off_gets_room_then_less_thinking_and_keeps_both(seed: int) -> None:
    """Both with the user's own words, and every edit after them with both."""
    first, second, *later = prompts(optimizer(seed=seed), [K.TRUNCATED] * 9)

    assert first == Prompt(text=BASE.text, parameters=(MORE,))
    assert second == Prompt(text=BASE.text, parameters=tuple(sorted({LESS, MORE})))
    assert any(prompt.edits for prompt in later)
    assert {prompt.parameters for prompt in later} == {second.parameters}


@pytest.mark.parametrize("seed", range(10))
def test_a_missing_picture_is_asked_for_alone_once(seed: int) -> None:
    """With the user's own prompt; whatever follows allows text beside the picture again."""
    first, *later = prompts(optimizer(seed=seed), [K.NO_IMAGE] * 9)

    assert first == Prompt(text=BASE.text, parameters=(ALONE,))
    assert any(prompt.edits for prompt in later)
    assert {prompt.parameters for prompt in later} == {()}


@pytest.mark.parametrize("kind", sorted(CURABLE_KINDS - {K.TRUNCATED, K.NO_IMAGE}))
def test_other_classes_never_change_a_setting(kind: ErrorKind) -> None:
    """However often they come."""
    found = prompts(optimizer(), [kind] * 9)

    assert len(found) >= 2
    assert {prompt.parameters for prompt in found} == {()}


@given(
    kinds=st.lists(st.sampled_from(sorted(CURABLE_KINDS)), min_size=1, max_size=30),
    seed=st.integers(0, 99),
    parameters=st.sets(st.sampled_from(Parameter)),
)
def test_a_setting_is_only_changed_for_its_own_class(
    kinds: list[ErrorKind], seed: int, parameters: set[Parameter]
) -> None:
    """Only one that the model takes, each newly once, and newly only with the user's own words."""
    found = prompts(optimizer(seed=seed, parameters=parameters), kinds)
    known = set[Parameter]()
    for kind, prompt in zip(kinds, found, strict=False):
        changed = set(prompt.parameters)
        assert changed <= parameters & ({MORE, LESS} if kind is K.TRUNCATED else {ALONE})
        assert not changed or kind in {K.TRUNCATED, K.NO_IMAGE}
        if new := changed - known:
            assert len(new) == 1
            assert (prompt.text, prompt.revision, prompt.edits) == (BASE.text, 0, ())
        known |= changed
    assert sum(ALONE in prompt.parameters for prompt in found) <= 1


@pytest.mark.parametrize("refused", Parameter)
@pytest.mark.parametrize("seed", range(5))
def test_a_refused_setting_counts_as_if_it_had_not_been_tried(refused: Parameter, seed: int) -> None:
    """It costs one call; the image goes on exactly as in a run that does not know the setting."""
    kinds = [K.TRUNCATED, K.TRUNCATED, K.NO_IMAGE, *[K.TRUNCATED] * 3, *[K.NO_IMAGE] * 3]
    others = set(Parameter) - {refused}
    found = prompts(optimizer(seed=seed), kinds, refused=[refused])

    assert sum(refused in prompt.parameters for prompt in found) == 1
    assert [prompt for prompt in found if refused not in prompt.parameters] == prompts(
        optimizer(seed=seed, parameters=others), kinds
    )


def test_no_other_image_tries_a_refused_setting() -> None:
    """Neither one that begins later, nor one that had its first failures before."""
    ours = optimizer()
    early = ours.begin_image()
    room = after(early, K.TRUNCATED, BASE)
    assert room is not None
    assert LESS in {
        parameter for prompt in prompts(ours, [K.TRUNCATED] * 2) for parameter in prompt.parameters
    }
    prompts(ours, [K.TRUNCATED] * 3, refused=[LESS])

    following = after(early, K.TRUNCATED, room)
    later = prompts(ours, [K.TRUNCATED] * 5)
    assert following is not None
    assert [LESS in prompt.parameters for prompt in (following, *later)] == [False] * (1 + len(later))
    assert later[0].parameters == (MORE,)


def test_a_refused_setting_teaches_nothing() -> None:
    """The pool and the comparison are as before."""
    ours = optimizer()
    prompts(ours, [K.TRUNCATED], refused=ALL)

    assert ours.outcomes_learned == 0
    assert (ours.estimate_uplift().edited.tries, ours.estimate_uplift().asked_again.tries) == (0, 0)


def test_a_wrong_request_without_a_new_setting_ends_the_image() -> None:
    """Then it is the image or the run that is refused, and no setting is blamed for it."""
    ours = optimizer()
    repair = ours.begin_image()
    plain = after(repair, K.BLOCKED, BASE)

    assert plain is not None
    assert after(repair, NOT_TAKEN, plain) is None
    assert prompts(ours, [K.TRUNCATED])[0].parameters == (MORE,)


def test_an_outage_during_a_changed_call_is_not_the_settings_fault() -> None:
    """It says nothing about the setting, which the next image tries as ever."""
    ours = optimizer()
    for _ in range(20):
        repair = ours.begin_image()
        changed = after(repair, K.TRUNCATED, BASE)
        assert changed == Prompt(text=BASE.text, parameters=(MORE,))
        assert after(repair, K.SERVER, changed) is None
