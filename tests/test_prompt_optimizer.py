"""Rules of prompt_optimizer.py."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorKind
from models import Attempt, Prompt
from prompt_optimizer import (
    CURABLE,
    EDITS,
    RANDOM_KINDS,
    AskAgain,
    PromptOptimizer,
    asks_for_picture,
    core_of,
)
from retry_handler import POLICIES, Verdict
from tests.fakes import START

BASE = Prompt(text="Please convert this photo to anime style. Use bright colours (but not too bright)!")


def failed(kind: ErrorKind | None, prompt: Prompt = BASE, number: int = 1) -> Attempt:
    """Return a call that failed in this way."""
    return Attempt(number=number, started_at=START, seconds=1.0, prompt=prompt, timeout_s=180.0, kind=kind)


def play(optimizer: PromptOptimizer | AskAgain, kinds: Sequence[ErrorKind]) -> list[Prompt]:
    """Let an image fail in these ways, one after the other; return the prompts chosen in between."""
    prompt, attempts, chosen = BASE, list[Attempt](), list[Prompt]()
    for kind in kinds:
        attempts.append(failed(kind, prompt, len(attempts) + 1))
        revised = optimizer.revise(prompt, attempts)
        if revised is None:
            break
        prompt = revised
        chosen.append(prompt)
    return chosen


def test_exactly_the_kinds_to_repair_have_edits() -> None:
    """What the retry table calls repairable is what the edits serve: nothing else ever changes a prompt."""
    assert {kind for kind in ErrorKind if POLICIES[kind].verdict is Verdict.REPAIR} == CURABLE


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - CURABLE))
def test_what_words_cannot_cure_never_changes_the_prompt(kind: ErrorKind) -> None:
    """429s, outages, bad images and prohibited content end the image, however often they come."""
    attempts = [failed(kind, number=number) for number in range(1, 6)]

    assert PromptOptimizer(BASE).revise(BASE, attempts) is None
    assert AskAgain().revise(BASE, attempts) is None


@pytest.mark.parametrize("kind", sorted(CURABLE))
def test_the_first_failure_asks_again_with_the_same_words(kind: ErrorKind) -> None:
    """The cheapest cure comes first."""
    assert play(PromptOptimizer(BASE), [kind]) == [BASE]


@pytest.mark.parametrize("kind", sorted(CURABLE))
def test_the_second_failure_of_a_kind_changes_the_words(kind: ErrorKind) -> None:
    """From the second failure on, each try uses an edit that serves the kind, none of them twice."""
    chosen = play(PromptOptimizer(BASE), [kind] * 10)

    edited = chosen[1:]
    assert edited
    assert len({prompt.text for prompt in edited}) == len(edited) <= 4
    assert BASE.text not in {prompt.text for prompt in edited}
    assert [prompt.revision for prompt in edited] == list(range(1, len(edited) + 1))


def test_failures_of_different_kinds_are_not_consistent() -> None:
    """One failure of each of two kinds is chance, not a reason for other words."""
    assert play(PromptOptimizer(BASE), [ErrorKind.BLOCKED, ErrorKind.EMPTY]) == [BASE, BASE]


def test_transient_failures_do_not_count() -> None:
    """A 503 between two blocks of the same kind changes nothing about their count."""
    attempts = [failed(ErrorKind.SERVER), failed(ErrorKind.SERVER), failed(ErrorKind.BLOCKED)]

    assert PromptOptimizer(BASE).revise(BASE, attempts) == BASE


def test_no_edits_allowed_means_no_edit() -> None:
    """With a maximum of 0 edits only the plain second try is left."""
    assert play(PromptOptimizer(BASE, max_edits=0), [ErrorKind.BLOCKED] * 3) == [BASE]


@given(kinds=st.lists(st.sampled_from(sorted(CURABLE)), min_size=1, max_size=60))
def test_repair_always_ends(kinds: list[ErrorKind]) -> None:
    """However the failures come, an image gets at most one plain try per kind and the maximum of edits."""
    chosen = play(PromptOptimizer(BASE, max_edits=4), kinds)

    assert len(chosen) <= len(CURABLE) + 4


@pytest.mark.parametrize("kind", sorted(CURABLE))
def test_without_optimization_the_words_stay(kind: ErrorKind) -> None:
    """Without the option a random kind gets one plain second try, any other none."""
    assert play(AskAgain(), [kind] * 5) == ([BASE] if kind in RANDOM_KINDS else [])


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
@given(prompt=st.text(min_size=1, max_size=400).filter(str.strip))
def test_an_edit_keeps_the_words_and_stays_short(edit: object, prompt: str) -> None:
    """No edit yields an empty prompt, a left-over placeholder, or a much longer one."""
    apply = edit.apply  # type: ignore[attr-defined]  # hypothesis and parametrize share the signature
    edited = apply(prompt)

    assert edited.strip()
    assert len(edited) <= len(prompt) + 120


def test_edit_names_are_unique() -> None:
    """A name in the record means one edit."""
    assert len({edit.name for edit in EDITS}) == len(EDITS)


@pytest.mark.parametrize(
    ("prompt", "core"),
    [
        ("anime style", "anime style"),
        (BASE.text, "convert this photo to anime style"),
        ("Could you please describe the dog? Then the cat.", "describe the dog"),
        ("(only an aside)", "(only an aside)"),
        ("Please", "Please"),
    ],
    ids=["short", "courtesy-aside-second-sentence", "question", "aside", "courtesy-only"],
)
def test_the_core_is_the_task(prompt: str, core: str) -> None:
    """The core is the first sentence without courtesies and asides, and never nothing."""
    assert core_of(prompt) == core


def test_anime_style_becomes_specific() -> None:
    """The edit asked for by name: short words become a concrete picture."""
    specify = next(edit for edit in EDITS if edit.name == "specify")

    assert (
        specify.apply("anime style")
        == "anime style: one simple illustration, clean lines, minimal background"
    )


@pytest.mark.parametrize(
    "prompt",
    [
        "Convert this to anime style",
        "anime style illustration",
        "Turn the dog into a knight",
        "draw it as a comic",
    ],
)
def test_prompts_for_pictures_are_recognised(prompt: str) -> None:
    """Words that ask for a picture are seen, so that the user can be told about text-only models."""
    assert asks_for_picture(prompt)


@pytest.mark.parametrize("prompt", ["Describe this photo", "List every object", "What does the sign say?"])
def test_prompts_for_text_are_left_alone(prompt: str) -> None:
    """A plain question brings no advice about picture models."""
    assert not asks_for_picture(prompt)
