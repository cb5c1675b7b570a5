"""Would one edited prompt have served the whole run better than the user's own?

The naive answer names the edit with the most rescues. But an edit is only ever tried on images that the
user's words failed on: how it does on those that they serve nobody knows, and some of what it rescued
would have been answered by asking again.

So an edit is named when all of this holds, and else nothing is said:

1. It was tried on at least ten images, with the run's own settings, and the lower end of its share of
   rescues (Wilson's interval) is at least one half.
2. The user's words failed consistently on at least a tenth of the images asked about; less is not worth
   another prompt.
3. It did better than the control, the same words asked once more, beyond chance (Newcombe's interval).
4. What it would have saved covers what one has to fear on the images that were never tried: that it fails
   on as large a part of them as it may on the images which the user's words failed on (one less the lower
   end), and that each takes as many calls then as those did. An edit keeps the intent, so that images
   which gave the user's words no trouble are hardly harder for it than those which did.

Saved are only calls that were made: those of the images that it answered, but one for each. Nothing is
carried over to images that it was not tried on. Several such edits: the one that saves the most. Nothing
here counts.
"""

import re
import textwrap
from collections.abc import Iterator

from prompts.uplift import Tally as Tries
from prompts.uplift import newcombe, wilson
from reports.documents import Suggestion
from reports.edit_outcomes import Candidate, Wordings
from utils.logger import one_line

TRIED_AT_LEAST = 10
"""Images that an edit must have been tried on."""
LOW_AT_LEAST = 0.5
"""What the lower end of its share of rescues must reach."""
HARD_ONE_IN = 10
"""Of so many images asked about, the user's words must have failed on one at least."""

_FLAG = "--prompt "


def suggestion(seen: Wordings, *, calls: int) -> Suggestion | None:
    """Return the edited prompt that should have been there from the start; None where none is sure to.

    Args:
        seen: what came of all words.
        calls: all calls of the run.
    """
    if seen.hard * HARD_ONE_IN < seen.asked:
        return None
    serving = [name for name, candidate in seen.candidates.items() if _serves(candidate, seen)]
    if not serving:
        return None
    name = min(serving, key=lambda one: (-seen.candidates[one].saved_calls, one))
    best = seen.candidates[name]
    return Suggestion(
        edit=name,
        prompt=best.text,
        tried=best.tried,
        rescued=best.rescued,
        saved_calls=best.saved_calls,
        calls=calls,
        not_tried_on=seen.served,
        may_fail_on=_may_fail_on(best, seen),
    )


def _serves(candidate: Candidate, seen: Wordings) -> bool:
    low = wilson(candidate.rescued, candidate.tried).low
    if candidate.tried < TRIED_AT_LEAST or low < LOW_AT_LEAST:
        return False
    edited = Tries(tries=candidate.tried, rescues=candidate.rescued)
    again = Tries(tries=seen.asked_again.tried, rescues=seen.asked_again.rescued)
    return newcombe(edited, again).low > 0.0 and _may_fail_on(candidate, seen) >= (1.0 - low) * seen.served


def _may_fail_on(candidate: Candidate, seen: Wordings) -> int:
    """Return on how many of the images served the edit may fail before all it saves is lost."""
    # Every failure takes at least one more call.
    further = max(seen.hard_calls - seen.hard, seen.hard)
    return min(seen.served, candidate.saved_calls * seen.hard // further)


def closing_lines(said: Suggestion, *, width: int, document: str) -> Iterator[str]:
    """Yield the suggestion for people, the prompt at its end as one types it.

    Args:
        said: the suggestion.
        width: columns that a line may take, unless one word of the prompt takes more.
        document: where the same stands in full.
    """
    flag = list(_typed(said.prompt, width)) if _is_plain(said.prompt) else []
    # Answers hang on the prompt: with another one nothing counts as answered.
    end = (
        "To use it, which asks about all images anew:"
        if flag
        else f"It stands in {document} under suggestion."
    )
    yield from textwrap.wrap(
        one_line(f"{_sentence(said)} {end}"), width, break_long_words=False, break_on_hyphens=False
    )
    yield from flag


def _sentence(said: Suggestion) -> str:
    seen = (
        f'"{said.edit}" answered {said.rescued:,} of {said.tried:,} images that your words failed on twice.'
        " As the prompt of the whole run it might have saved"
        f" some {said.saved_calls:,} of {said.calls:,} calls"
    )
    if not said.not_tried_on:
        return f"{seen}."
    images = f"{said.not_tried_on:,} image{'' if said.not_tried_on == 1 else 's'}"
    return (
        f"{seen}; it was not tried on the {images} that your words served, and may fail on"
        f" {said.may_fail_on:,} of them before that is lost."
    )


def _is_plain(prompt: str) -> bool:
    """Tell whether a terminal shows these words as they are, and obeys none of them."""
    return prompt.replace("\n", "").isprintable()


def _typed(prompt: str, width: int) -> Iterator[str]:
    """Yield the flag as a shell reads it: quoted pieces, each but the last followed by a backslash.

    The shell joins them to the very prompt, to the last blank; wrapped like prose it would become another.
    """
    pieces = [""]
    for word in re.findall(r"\s*\S+\s*|\s+", prompt):
        room = width - len("\\") - (len(_FLAG) if len(pieces) == 1 else 0)
        if pieces[-1] and ("\n" in pieces[-1] or len(_quoted(pieces[-1] + word.rstrip("\n"))) > room):
            pieces.append("")
        pieces[-1] += word
    *some, last = map(_quoted, pieces)
    lines = [*(f"{piece}\\" for piece in some), last]
    yield from f"{_FLAG}{lines[0]}".split("\n")
    for line in lines[1:]:
        yield from line.split("\n")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"
