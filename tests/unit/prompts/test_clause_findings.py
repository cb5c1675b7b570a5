"""Rules of prompts/clause_findings.py: words are blamed for what was answered without them."""

import pytest

from errors import ErrorKind
from prompts.clause_edits import ClauseEdits
from prompts.clause_findings import find_guilty_words
from prompts.clauses import PromptParts
from prompts.edits import LEAVE_OUT

PROMPT = "Describe this photo in two sentences, copying any text verbatim, and name the colours."
WHOLE, INSIDE = "copying any text verbatim", "verbatim"


def number_of(clauses: ClauseEdits, words: str) -> int:
    """Return the number of the part with these words."""
    return next(part.number for part in clauses.parts.parts if part.words == words)


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        pytest.param({WHOLE: 20}, {WHOLE}, id="the words inside were never tried alone"),
        pytest.param({INSIDE: 20}, {INSIDE}, id="they alone were tried"),
    ],
)
def test_only_words_that_were_tried_are_named(tried: dict[str, int], expected: set[str]) -> None:
    """What was answered without a whole clause says nothing of one word in it."""
    clauses = ClauseEdits(PromptParts(PROMPT, phrases=(INSIDE,)))
    for words, images in tried.items():
        arm = f"{LEAVE_OUT}:{number_of(clauses, words)}"
        for _ in range(images):
            clauses.learn(ErrorKind.RECITATION, [], arm, cured=True, answered=True)

    found = {one.words: one for one in find_guilty_words(clauses)}

    assert expected <= found.keys()
    assert sum(one.images for one in found.values()) <= sum(tried.values())
    for words, one in found.items():
        assert words not in one.prompt
        assert one.tried > 0
