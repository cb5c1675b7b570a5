"""Findings about words of the prompt: which of them cost images, and what was answered without them."""

from collections.abc import Iterator
from dataclasses import dataclass

from errors import ErrorKind
from prompts.clause_edits import ClauseEdits

MIN_IMAGES = 2.0
"""Images that words must explain to be named."""
MIN_SHARE = 0.1
"""Share of the images of the class that words must explain."""
MIN_ANSWERED = 2
"""Images that were answered without the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseFinding:
    """Words that cost images in one class."""

    kind: ErrorKind
    words: str
    images: int
    """Images that are explained by them."""
    tried: int
    """Images that were asked without them, and without few other words."""
    answered: int
    prompt: str
    """The user's prompt without them."""


def find_guilty_words(clauses: ClauseEdits) -> Iterator[ClauseFinding]:
    """Yield the words that are to blame, by class.

    Words inside others that are to blame are left out unless they were tried without these: what was
    answered without both says nothing of the fewer words alone.
    """
    for kind in clauses.kinds():
        blame = clauses.posterior(kind).blame()
        least = max(MIN_IMAGES, MIN_SHARE * sum(blame))
        guilty = [part for part, images in zip(clauses.parts.parts, blame, strict=True) if images >= least]
        together = clauses.parts.close(sum(1 << (part.number - 1) for part in guilty))
        for part in guilty:
            bit = 1 << (part.number - 1)
            around = sum(1 << (one.number - 1) for one in guilty if one is not part and one.mask & bit)
            if around and not clauses.count_outcomes(kind, bit, within=together & ~around)[0]:
                continue
            tried, answered = clauses.count_outcomes(kind, bit, within=together)
            if answered >= MIN_ANSWERED:
                yield ClauseFinding(
                    kind=kind,
                    words=part.words,
                    images=max(answered, round(blame[part.number - 1])),
                    tried=tried,
                    answered=answered,
                    prompt=clauses.parts.without(part.mask),
                )
