"""Sentences about images that were answered under other settings: what a run does with their answers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reports.formatting import format_dollars, format_images

if TYPE_CHECKING:
    from reports.documents import EarlierAnswers

_HOW = {
    "another model": "by another model",
    "another prompt": "with another prompt",
    "another model and prompt": "by another model with another prompt",
    "other settings": "under other settings",
}
"""By what differs, as the journal's plan names it."""
_WHERE_THEY_GO = "the earlier answers go to the history; --keep-answers leaves them"


def describe_asked_anew(counts: Mapping[str, int], *, cost_usd: float | None) -> str:
    """Return the warning before answered images are paid for again; "" if there are none.

    Args:
        counts: images, by what differs between then and now.
        cost_usd: what asking again costs, in US dollars; None if unknown.
    """
    if not counts:
        return ""
    total = sum(counts.values())
    images = f"{format_images(total)} {'was' if total == 1 else 'were'} answered"
    how = [_HOW[what] if len(counts) == 1 else f"{count:,} {_HOW[what]}" for what, count in counts.items()]
    price = "" if cost_usd is None else f" (about {format_dollars(cost_usd)})"
    again = "it is asked anew" if total == 1 else "they are asked anew"
    several = "before, " if len(how) > 1 else ""
    return f"{images} {several}{', '.join(how)}: {again}{price}, {_WHERE_THEY_GO}"


def describe_kept(counts: Mapping[str, int], *, flag: str) -> str:
    """Return the line about answers of other settings that a flag leaves in place; "" if there are none."""
    if not counts:
        return ""
    total = sum(counts.values())
    answers = "1 answer of other settings is" if total == 1 else f"{total:,} answers of other settings are"
    return f"{answers} left in place ({flag}): {_by_model(counts)}"


def describe_repaired(counts: Mapping[str, int]) -> str:
    """Return the line about answers of repairs, which count until ``--force``; "" if there are none."""
    if not counts:
        return ""
    return f"answered in repairs, which count until --force: {_by_model(counts)}"


def qualify_answered(earlier: "EarlierAnswers") -> str:
    """Return which model made the answers of other settings, to follow "answered by an earlier run"."""
    parts = [f"{count:,} of them by {model} in a repair" for model, count in earlier.repaired.by.items()]
    parts += [
        f"{count:,} of them by {model} under other settings" for model, count in earlier.kept.by.items()
    ]
    return "".join(f", {part}" for part in parts)


def _by_model(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} by {model}" for model, count in counts.items())
