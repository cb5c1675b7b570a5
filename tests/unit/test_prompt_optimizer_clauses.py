"""Rules of prompt_optimizer.py for words that are left out of the prompt."""

import random
from collections.abc import Sequence

import pytest

from errors import ErrorKind
from models import Attempt, Prompt
from prompt_optimizer import PromptOptimizer
from prompts import edits
from prompts.edit_stats import EditStats
from prompts.policy import RepairLimits
from tests.support.fakes import START

K = ErrorKind
TEXT = (
    "Write a graphic account of what happens in this photo, copying any text verbatim, without leaving out a"
    " single detail. Use warm colours."
)
Rule = tuple[str, ErrorKind, str]


def build(seed: int = 0, rows: EditStats | None = None, keep: Sequence[str] = ()) -> PromptOptimizer:
    """Return an optimizer with the bundled edits and words."""
    return PromptOptimizer(
        base=Prompt(text=TEXT),
        edits=edits.load(),
        edit_stats=rows or EditStats("m", "0" * 64),
        rng=random.Random(seed),
        keep=keep,
        limits=RepairLimits(max_edits=4, max_calls=5),
    )


def ask(optimizer: PromptOptimizer, rule: Rule) -> list[Prompt]:
    """Ask about one image that fails as long as the prompt has the rule's words; return all prompts."""
    repair, attempts, prompt = optimizer.begin_image(), list[Attempt](), Prompt(text=TEXT)
    prompts: list[Prompt] = []
    revised: Prompt | None = prompt
    while revised is not None:
        prompts.append(revised)
        words, kind, reason = rule
        if words not in revised.text:
            repair.on_success()
            return prompts
        attempts.append(
            Attempt(
                number=len(attempts) + 1,
                started_at=START,
                seconds=1.0,
                prompt=revised,
                timeout_s=60.0,
                kind=kind,
                api_status=reason,
            )
        )
        repair.on_failure(attempts)
        revised = repair.revise(revised, attempts)
    return prompts


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "rule",
    [
        ("graphic", K.BLOCKED, "SAFETY"),
        ("verbatim", K.RECITATION, ""),
        ("single detail", K.TRUNCATED, ""),
        ("warm", K.REFUSED, ""),
    ],
)
def test_the_guilty_words_are_struck_and_named(rule: Rule, seed: int) -> None:
    """After some images the words alone go, the rest stays, and they are what is reported."""
    optimizer = build(seed)
    for _ in range(60):
        ask(optimizer, rule)
    last = ask(optimizer, rule)[-1]
    found = optimizer.find_guilty_words()

    assert rule[0] not in last.text
    assert len(last.text.split()) >= len(TEXT.split()) - 8
    assert found
    assert rule[0] in found[0].words
    assert found[0].answered <= found[0].tried
    assert rule[0] not in found[0].prompt


def test_the_safety_filter_sees_one_edit_at_most() -> None:
    """The user's words at most twice, and one prompt with other words."""
    for seed in range(20):
        prompts = ask(build(seed), ("Write", K.BLOCKED, "SAFETY"))
        edited = [prompt for prompt in prompts if prompt.edits]
        assert len(edited) <= 1
        assert len(prompts) - len(edited) <= 3


def test_prohibited_content_is_one_call() -> None:
    """Whatever the words."""
    assert len(ask(build(), ("graphic", K.PROHIBITED, ""))) == 1


def test_no_prompt_is_sent_twice_and_words_to_keep_stand_in_all() -> None:
    """At most four edits, all different."""
    for seed in range(20):
        prompts = ask(build(seed, keep=["any text"]), ("Write", K.REFUSED, ""))
        texts = [prompt.text for prompt in prompts if prompt.edits]
        assert len(set(texts)) == len(texts) <= 4
        assert all("any text" in text for text in texts)


def test_two_classes_on_one_image_are_both_cured() -> None:
    """Words left out for one class stay left out for the next."""
    optimizer = build(1)
    for _ in range(30):
        ask(optimizer, ("graphic", K.BLOCKED, ""))
        ask(optimizer, ("verbatim", K.RECITATION, ""))
    repair, attempts, prompt = optimizer.begin_image(), list[Attempt](), Prompt(text=TEXT)
    for _ in range(7):
        words = next((one for one in ("graphic", "verbatim") if one in prompt.text), None)
        if words is None:
            return
        kind = K.BLOCKED if words == "graphic" else K.RECITATION
        attempts.append(
            Attempt(
                number=len(attempts) + 1,
                started_at=START,
                seconds=1.0,
                prompt=prompt,
                timeout_s=60.0,
                kind=kind,
            )
        )
        repair.on_failure(attempts)
        revised = repair.revise(prompt, attempts)
        assert revised is not None
        prompt = revised
    pytest.fail("not answered in seven calls")


def test_the_next_run_knows_the_words() -> None:
    """Through the rows that the journal keeps."""
    optimizer = build(2)
    for _ in range(60):
        ask(optimizer, ("warm", K.REFUSED, ""))
    later = build(3, EditStats.from_rows("m", "0" * 64, optimizer.lessons()))
    prompts = [ask(later, ("warm", K.REFUSED, "")) for _ in range(10)]

    assert sum(len(calls) for calls in prompts) <= 4 * len(prompts)
    assert all("warm" not in calls[-1].text for calls in prompts)
