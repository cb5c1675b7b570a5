"""Rules of gemini/refusal_detection.py on sentences that its patterns were not tuned on.

Two sets, in ``tests/data``, divided by lines of ``%``. The first was written before its patterns; the
second after them, by a person who knew them, to be unlike the first. Of both, every other refusal was
used to improve the patterns and the rest was not. A bound lies just below what was reached, so it fails
when detection gets worse. For good answers there is no bound: none may be lost, in any set.
November 2026, with the first patterns: 34 of 99 and 11 of 40 refusals seen, 30 of 246 and 33 of 90 good
answers lost.
"""

import pytest

from gemini.refusal_detection import is_refusal
from tests.support.paths import DATA


def entries(name: str) -> list[str]:
    """Return the entries of a file of tests/data."""
    return [entry.strip("\n") for entry in (DATA / name).read_text(encoding="utf-8").split("\n%\n")]


def recall(refusals: list[str]) -> float:
    """Return the share of refusals that are seen."""
    return sum(map(is_refusal, refusals)) / len(refusals)


REFUSALS = entries("refusals.txt")
UNSEEN = entries("refusals_unseen.txt")
GOOD_ANSWERS = entries("good_answers.txt") + entries("good_answers_unseen.txt")
SAID_NEXT = [
    "A ginger cat sleeps on a windowsill.",
    "The sign says: no parking.",
    "Total: 12.40",
    "But a boy in a red coat runs after a kite.",
    "However, three boats lie at anchor.",
]


@pytest.mark.parametrize("text", GOOD_ANSWERS)
def test_no_good_answer_is_thrown_away(text: str) -> None:
    """Signs, poems, transcripts, verdicts, doubts and other languages: all of them are answers."""
    assert not is_refusal(text)


def test_the_sets_are_large_enough_to_mean_something() -> None:
    """A share of a handful would be chance; an entry that stands twice would count twice."""
    assert len(set(REFUSALS + UNSEEN)) == len(REFUSALS) + len(UNSEEN) >= 130
    assert len(set(GOOD_ANSWERS)) == len(GOOD_ANSWERS) >= 400


@pytest.mark.parametrize(
    ("refusals", "at_least"),
    [
        pytest.param(REFUSALS[::2], 0.88, id="first set, used for the patterns"),
        pytest.param(REFUSALS[1::2], 0.85, id="first set, held out"),
        pytest.param(UNSEEN[::2], 0.95, id="second set, used for the patterns"),
        pytest.param(UNSEEN[1::2], 0.5, id="second set, held out"),
    ],
)
def test_most_refusals_are_seen(refusals: list[str], at_least: float) -> None:
    """Those held out of the second set are the best estimate: about half, and never a wrong one."""
    assert recall(refusals) >= at_least


@pytest.mark.parametrize("described", SAID_NEXT)
@pytest.mark.parametrize("between", [" ", "\n\n", " - "])
def test_a_refusal_that_goes_on_to_describe_is_an_answer(described: str, between: str) -> None:
    """Whatever is declined first: what was described was paid for and is kept."""
    prose = [text for text in REFUSALS + UNSEEN if text[0] not in '{`"\u201c']

    assert not [text for text in prose if is_refusal(text + between + described)]
    assert not [text for text in prose if is_refusal(described + between + text)]


@pytest.mark.parametrize("text", [text for text in REFUSALS + UNSEEN if is_refusal(text)])
def test_how_a_refusal_is_dressed_does_not_hide_it(text: str) -> None:
    """Space around it, line breaks between its sentences and typographic quotes change nothing."""
    assert is_refusal(f"\n  {text}\n\n")
    if not text.startswith(("{", "`")):
        assert is_refusal(text.replace("'", "\u2019"))
        assert is_refusal(text.replace(". ", ".\n\n"))
        assert is_refusal(f"**{text}**")
