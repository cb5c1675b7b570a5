"""Suggestion of an edited prompt that would have served the whole run better than the user's own.

An edit is only ever tried on images that the user's prompt failed on. So one is suggested only if its success
rate, the share of hard images, the gain over the control group and the saved calls are all large enough: the
conditions stand in docs/output.md (``suggestion``), their reason in docs/adr/0011. Of several edits, the
one that saves the most calls is named.
"""

import re
from collections.abc import Iterator

from prompts.uplift import SuccessCount, newcombe_interval, wilson_interval
from reports.documents import Suggestion
from reports.edit_outcomes import EditOutcomes, SuggestionCandidate
from reports.formatting import format_images, wrap
from utils.printable import escape_unprintable

MIN_TRIED = 10
"""Images that an edit must have been tried on, at least."""
MIN_RESCUE_SHARE = 0.5
"""Least value of the lower end of its share of rescues (Wilson interval)."""
HARD_ONE_IN = 10
"""The user's prompt must have failed consistently on at least one in so many images."""

_FLAG = "--prompt "


def find_suggestion(outcomes: EditOutcomes, *, calls: int) -> Suggestion | None:
    """Return the edit that meets all conditions and saves the most calls; None if there is none.

    Args:
        outcomes: counts of all edits.
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
    """Return on how many of the images served by the user's prompt the edit may fail without a loss."""
    # Every failure takes at least one more call.
    further = max(outcomes.hard_calls - outcomes.hard_images, outcomes.hard_images, 1)
    return min(outcomes.served_by_base, candidate.saved_calls * outcomes.hard_images // further)


def format_suggestion(suggestion: Suggestion, *, width: int, document: str) -> Iterator[str]:
    """Yield the lines of the suggestion, with a ``--prompt`` flag at the end that can be typed.

    Args:
        suggestion: the suggestion.
        width: columns of a line; a longer word of the prompt stays whole.
        document: path of the document that has the suggestion in full.
    """
    flag = list(_format_flag(suggestion.prompt, width)) if _is_plain(suggestion.prompt) else []
    # Answers belong to one prompt: with another prompt no image counts as answered.
    end = (
        "To use it, which asks about all images anew:"
        if flag
        else f"It stands in {document} under suggestion."
    )
    yield from wrap(escape_unprintable(f"{_describe(suggestion)} {end}"), width=width)
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
    return (
        f"{text}; it was not tried on the {format_images(suggestion.not_tried_on)} that your words served,"
        f" and may fail on {suggestion.may_fail_on:,} of them before that is lost."
    )


def _is_plain(prompt: str) -> bool:
    """Return whether a terminal shows the prompt as it is, without control characters."""
    return prompt.replace("\n", "").isprintable()


def _format_flag(prompt: str, width: int) -> Iterator[str]:
    """Yield the flag for a shell: quoted pieces, each but the last followed by a backslash.

    The shell joins them to exactly this prompt, every blank included; wrapped text would be another prompt.
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
