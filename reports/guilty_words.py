"""Words of the user's prompt that cost images: what each cost, and the prompt without them.

A number of images is what the posterior explains by the words (``prompts.clause_posterior``); "answered"
counts images that got a prompt without them. Intervals are Wilson's.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from errors import ErrorKind
from prompts.clause_findings import ClauseFinding
from prompts.uplift import wilson_interval
from reports.formatting import format_images, wrap
from reports.share import Share, build_share
from utils.printable import escape_unprintable

MAX_SHOWN = 5
"""Findings in the summary; the document has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuiltyWords:
    """Words that cost images in one class of failure."""

    words: str
    kind: ErrorKind
    images: int
    """Images that they cost, of all that were asked."""
    share: Share
    """That share of them."""
    tried: int
    """Images that were asked with a prompt without them."""
    answered: int
    answered_share: Share
    prompt: str
    """The user's prompt without them."""
    difference: str
    """The same word by word: ``[-left out-]`` and ``{+put in+}``."""


def build_guilty_words(
    findings: Iterable[ClauseFinding], *, prompt: str, images_asked: int
) -> tuple[GuiltyWords, ...]:
    """Return what words cost, the most images first."""
    entries = []
    for one in findings:
        images = min(one.images, images_asked)
        entries.append(
            GuiltyWords(
                words=one.words,
                kind=one.kind,
                images=images,
                share=build_share(wilson_interval(images, images_asked)),
                tried=one.tried,
                answered=one.answered,
                answered_share=build_share(wilson_interval(one.answered, one.tried)),
                prompt=one.prompt,
                difference=show_difference(prompt, one.prompt),
            )
        )
    return tuple(sorted(entries, key=lambda entry: (-entry.images, entry.words)))


def show_difference(before: str, after: str) -> str:
    """Return the first text with the words that the second leaves out and puts in marked."""
    old, new = before.split(), after.split()
    shown: list[str] = []
    for what, start, end, new_start, new_end in difflib.SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if what == "equal":
            shown += old[start:end]
            continue
        if end > start:
            shown.append(f"[-{' '.join(old[start:end])}-]")
        if new_end > new_start:
            shown.append(f"{{+{' '.join(new[new_start:new_end])}+}}")
    return " ".join(shown)


def format_guilty_words(found: Sequence[GuiltyWords], *, width: int, document: str) -> Iterator[str]:
    """Yield the lines of the summary; ``document`` is the path of the document with the prompts."""
    for one in found[:MAX_SHOWN]:
        text = (
            f'The words "{one.words}" cost you {format_images(one.images)}'
            f" ({_percent(one.share)}, {one.kind});"
            f" without them {one.answered:,} of {one.tried:,} were answered: {one.difference}"
        )
        yield from wrap(escape_unprintable(text), width=width)
    if found:
        more = f"{len(found) - MAX_SHOWN:,} more and " if len(found) > MAX_SHOWN else ""
        yield from wrap(f"{more}each prompt without them: words_to_blame in {document}", width=width)


def _percent(share: Share) -> str:
    estimate, low, high = (round(100 * value) for value in (share.estimate, share.low, share.high))
    return f"{estimate} % [{low}, {high}]"
