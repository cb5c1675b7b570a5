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

from prompts.uplift import SuccessCount, newcombe_interval, wilson_interval
from reports.documents import Suggestion
from reports.edit_outcomes import EditOutcomes, SuggestionCandidate
from utils.logger import escape_unprintable

MIN_TRIED = 10
"""Images that an edit must have been tried on."""
MIN_RESCUE_SHARE = 0.5
"""What the lower end of its share of rescues must reach."""
HARD_ONE_IN = 10
"""Of so many images asked about, the user's words must have failed on one at least."""

_FLAG = "--prompt "


def find_suggestion(outcomes: EditOutcomes, *, calls: int) -> Suggestion | None:
    """Return the edited prompt that should have been there from the start; None where none is sure to.

    Args:
        outcomes: what came of all words.
        calls: all calls of the run.
    """
    if outcomes.hard_images * HARD_ONE_IN < outcomes.images_asked:
        return None
    better = [
        name
        for name, candidate in outcomes.suggestion_candidates.items()
        if _is_better_prompt(candidate, outcomes)
    ]
    if not better:
        return None
    name = min(better, key=lambda one: (-outcomes.suggestion_candidates[one].saved_calls, one))
    best = outcomes.suggestion_candidates[name]
    return Suggestion(
        edit=name,
        prompt=best.text,
        tried=best.tried,
        rescued=best.rescued,
        saved_calls=best.saved_calls,
        calls=calls,
        not_tried_on=outcomes.served_by_base,
        may_fail_on=_max_failures(best, outcomes),
    )


def _is_better_prompt(candidate: SuggestionCandidate, outcomes: EditOutcomes) -> bool:
    low = wilson_interval(candidate.rescued, candidate.tried).low
    if candidate.tried < MIN_TRIED or low < MIN_RESCUE_SHARE:
        return False
    edited = SuccessCount(tries=candidate.tried, rescues=candidate.rescued)
    again = SuccessCount(tries=outcomes.asked_again.tried, rescues=outcomes.asked_again.rescued)
    return (
        newcombe_interval(edited, again).low > 0.0
        and _max_failures(candidate, outcomes) >= (1.0 - low) * outcomes.served_by_base
    )


def _max_failures(candidate: SuggestionCandidate, outcomes: EditOutcomes) -> int:
    """Return on how many of the images served the edit may fail before all it saves is lost."""
    # Every failure takes at least one more call.
    further = max(outcomes.hard_calls - outcomes.hard_images, outcomes.hard_images)
    return min(outcomes.served_by_base, candidate.saved_calls * outcomes.hard_images // further)


def format_suggestion(suggestion: Suggestion, *, width: int, document: str) -> Iterator[str]:
    """Yield the suggestion for people, the prompt at its end as one types it.

    Args:
        suggestion: the suggestion.
        width: columns that a line may take, unless one word of the prompt takes more.
        document: where the same stands in full.
    """
    flag = list(_format_flag(suggestion.prompt, width)) if _is_plain(suggestion.prompt) else []
    # Answers hang on the prompt: with another one nothing counts as answered.
    end = (
        "To use it, which asks about all images anew:"
        if flag
        else f"It stands in {document} under suggestion."
    )
    yield from textwrap.wrap(
        escape_unprintable(f"{_describe(suggestion)} {end}"),
        width,
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from flag


def _describe(suggestion: Suggestion) -> str:
    text = (
        f'"{suggestion.edit}" answered {suggestion.rescued:,} of {suggestion.tried:,} images'
        " that your words failed on twice."
        " As the prompt of the whole run it might have saved"
        f" some {suggestion.saved_calls:,} of {suggestion.calls:,} calls"
    )
    if not suggestion.not_tried_on:
        return f"{text}."
    images = f"{suggestion.not_tried_on:,} image{'' if suggestion.not_tried_on == 1 else 's'}"
    return (
        f"{text}; it was not tried on the {images} that your words served, and may fail on"
        f" {suggestion.may_fail_on:,} of them before that is lost."
    )


def _is_plain(prompt: str) -> bool:
    """Tell whether a terminal shows these words as they are, and obeys none of them."""
    return prompt.replace("\n", "").isprintable()


def _format_flag(prompt: str, width: int) -> Iterator[str]:
    """Yield the flag as a shell reads it: quoted pieces, each but the last followed by a backslash.

    The shell joins them to the very prompt, to the last blank; wrapped like prose it would become another.
    """
    pieces = [""]
    for word in re.findall(r"\s*\S+\s*|\s+", prompt):
        width_left = width - len("\\") - (len(_FLAG) if len(pieces) == 1 else 0)
        if pieces[-1] and ("\n" in pieces[-1] or len(_quote(pieces[-1] + word.rstrip("\n"))) > width_left):
            pieces.append("")
        pieces[-1] += word
    *some, last = map(_quote, pieces)
    lines = [*(f"{piece}\\" for piece in some), last]
    yield from f"{_FLAG}{lines[0]}".split("\n")
    for line in lines[1:]:
        yield from line.split("\n")


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"
